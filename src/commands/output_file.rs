//! Files that commands write: whole or not at all, private, and never through a link that somebody else laid.
//!
//! **Invariant:** a regular file is written under a random name in its folder, made for this alone and readable by its
//! owner only, and takes its name when it is on disk. A symbolic link at that name is replaced, not followed.
//! **Invariant:** what is no regular file (a FIFO, a device, `/dev/stdout`) is written to, and never replaced.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, ErrorKind, Write},
    path::Path,
};

use anyhow::Context as _;
use tempfile::NamedTempFile;

/// What the names of unfinished files begin with.
const PREFIX: &str = ".library-sync-";

/// Writes to `path` what `fill` writes.
///
/// # Errors
/// When the file cannot be written, and what `fill` returns. A regular file is then as it was.
pub fn write(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let unwritable = || format!("{} cannot be written", path.display());
    let is_special = match fs::metadata(path) {
        Ok(found) => !found.is_file() || path.starts_with("/dev") || path.starts_with("/proc"),
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(error).with_context(unwritable),
    };
    if is_special {
        // Standard output may be a file to which others have written.
        let opened = OpenOptions::new().append(true).open(path);
        return fill_buffered(opened.with_context(unwritable)?, fill);
    }
    let unfinished = unfinished(path).with_context(unwritable)?;
    fill_buffered(unfinished.as_file(), fill)?;
    unfinished.as_file().sync_all().with_context(unwritable)?;
    let placed = unfinished.persist(path).map_err(|error| error.error);
    placed.with_context(unwritable)?;
    sync_folder(path).with_context(unwritable)
}

/// A file of a random name in the folder of `path`, which is removed unless it is given another name.
pub fn unfinished(path: &Path) -> std::io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(PREFIX)
        .tempfile_in(folder(path))
}

/// Gives a finished file a name that no file has.
///
/// # Errors
/// When there is a file of that name, whatever it is.
pub fn place(finished: NamedTempFile, path: &Path) -> std::io::Result<()> {
    finished.as_file().sync_all()?;
    let placed = finished.persist_noclobber(path);
    placed.map_err(|error| error.error)?;
    sync_folder(path)
}

/// Makes the names in the folder of `path` last.
pub fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// The folder that `path` is in.
pub fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn fill_buffered(
    to: impl Write,
    fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut to = BufWriter::new(to);
    fill(&mut to)?;
    Ok(to.flush()?)
}
