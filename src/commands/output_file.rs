//! Output files of commands: written atomically, private, and without following symbolic links.
//!
//! **Invariant:** a regular file is written under a random name in its folder, readable by its owner only, and renamed once
//! it is on disk. A symbolic link at the final name is replaced, not followed.
//! **Invariant:** a special file (a FIFO, a device, `/dev/stdout`) is written to and never replaced.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, ErrorKind, Write},
    path::Path,
};

use anyhow::Context as _;
use tempfile::NamedTempFile;

/// Prefix of the names of temporary files.
const PREFIX: &str = ".library-sync-";

/// Creates or replaces the file at `path` with the content that `fill` writes.
///
/// # Errors
/// When the file cannot be written or `fill` fails. A regular file is then unchanged.
pub fn write(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let unwritable = || format!("cannot write {}", path.display());
    let is_special = match fs::metadata(path) {
        Ok(found) => !found.is_file() || path.starts_with("/dev") || path.starts_with("/proc"),
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(error).with_context(unwritable),
    };
    if is_special {
        // Standard output may be a file with content, so append.
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

/// Creates a temporary file in the folder of `path`. It is deleted on drop.
pub fn unfinished(path: &Path) -> std::io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(PREFIX)
        .tempfile_in(folder(path))
}

/// Moves a finished file to `path`.
///
/// # Errors
/// When a file of any kind exists at `path`.
pub fn place(finished: NamedTempFile, path: &Path) -> std::io::Result<()> {
    finished.as_file().sync_all()?;
    let placed = finished.persist_noclobber(path);
    placed.map_err(|error| error.error)?;
    sync_folder(path)
}

/// Syncs the folder of `path` to disk, so that renames in it are durable.
pub fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// Returns the folder of `path`.
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
