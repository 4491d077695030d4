//! `library-sync export`: writes a user's library to a file or standard output.

use std::{
    io::{self, Write, stderr, stdout},
    path::Path,
};

use anyhow::Context as _;

use super::output_file;
use crate::{
    app::open_database::open_library,
    config::{Export, FileFormat},
    library::{EntryLine, Exported, Library, Opening},
    transfer::{calibre, csv, goodreads, json},
    version::UserId,
};

/// Writes a user's library to a file or standard output.
///
/// # Errors
/// When the user does not exist, the file cannot be written, or the database fails.
pub async fn export(export: &Export) -> anyhow::Result<()> {
    let user = UserId::new(&export.sub).context("--sub")?;
    let format = match (export.format, &export.file) {
        (Some(format), _) => format,
        (None, Some(file)) => format_of(file)?,
        (None, None) => FileFormat::Csv,
    };
    let library = open_library(&export.database, Opening::Read).await?;
    if format == FileFormat::Archive {
        return archive(&library, &user, export.file.as_deref()).await;
    }
    let exported = library.export(&user).await?;
    let Exported { entries, left_out } =
        exported.with_context(|| format!("--sub: the user {user} does not exist"))?;
    if left_out > 0 {
        writeln!(stderr(), "omitted {left_out} unused tags and fandoms")?;
    }
    let neutralised = export.neutralise_formulas;
    match &export.file {
        Some(path) => output_file::write(path, |to| write(&entries, format, neutralised, to)),
        None => write(&entries, format, neutralised, stdout().lock()),
    }
}

/// Writes the library with its history.
async fn archive(library: &Library, user: &UserId, to: Option<&Path>) -> anyhow::Result<()> {
    let archive = library.export_archive(user).await?;
    let mut archive = archive.with_context(|| format!("--sub: the user {user} does not exist"))?;
    if let Some(path) = to {
        return output_file::write(path, |mut to| {
            io::copy(&mut archive.file, &mut to)?;
            Ok(())
        });
    }
    io::copy(&mut archive.file, &mut stdout().lock())?;
    Ok(())
}

fn write(
    entries: &[EntryLine],
    format: FileFormat,
    neutralised: bool,
    mut to: impl Write,
) -> anyhow::Result<()> {
    match format {
        FileFormat::Csv => csv::write(entries, neutralised, &mut to)?,
        FileFormat::Json => json::write(entries, &mut to)?,
        FileFormat::Goodreads => goodreads::write(entries, neutralised, &mut to)?,
        FileFormat::Calibre => calibre::write(entries, neutralised, &mut to)?,
        // Written from the database, without entries.
        FileFormat::Archive => {}
    }
    Ok(to.flush()?)
}

fn format_of(path: &Path) -> anyhow::Result<FileFormat> {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    match extension.to_str() {
        Some("csv") => Ok(FileFormat::Csv),
        Some("json") => Ok(FileFormat::Json),
        Some("jsonl") => Ok(FileFormat::Archive),
        _ => anyhow::bail!(
            "the extension of {} is not .csv, .json or .jsonl: give --format",
            path.display()
        ),
    }
}
