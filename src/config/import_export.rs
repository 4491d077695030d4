//! Settings of `library-sync import` and `library-sync export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::database::Database;
use crate::library::Limits;

/// Description of the file formats in `--help`.
pub(super) const FILE_HELP: &str = r"The file:
  CSV   A first row of column names, in any order: title, author, url, source,
        publicationStatus (or status), description, summary, chapterCount (or chapters), wordCount,
        isNsfw, tags, fandoms, readingStatus (or progressStatus), currentChapter, rating, notes.
        Only title is required. Separate tags or fandoms in one cell with `;`. Escape a `;` or `\`
        in a name with `\`. The column separator may also be a semicolon or a tab. The encoding may
        be UTF-8, UTF-16 or Windows-1252.
  JSON  An array of objects with the same fields, and with tags and fandoms as arrays of strings:
        the format of `entries` in the mutation importLibrary.
  Exports of AO3 scrapers, Goodreads, StoryGraph, Calibre and FanFicFare are recognised by their
  columns. docs/import.md describes how each column is mapped.

  JSONL An archive: the whole library with ids, versions, times, deletions and history, one row a line.
        It can only be imported into an empty library, which is then equal to the exported one.

CSV and JSON contain the visible fields of an entry. They contain no ids, versions or times, and no
unused tags or fandoms. An export that is imported elsewhere exports to the same bytes again.";

/// `library-sync import`.
#[derive(Debug, Clone, Args)]
pub struct Import {
    /// User who owns the library: the `sub` claim of their tokens.
    #[arg(long, value_name = "NAME")]
    pub sub: String,
    /// Path of the file, or `-` for standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Program that wrote the file. `auto` recognises it by its columns.
    #[arg(long, default_value = "auto", value_name = "PROGRAM")]
    pub from: FileKind,
    /// Map a column to a field, such as `Stars=rating`. The field is a column name of the CSV format, or `ignore`. Can be
    /// repeated.
    #[arg(long, value_name = "COLUMN=FIELD", value_parser = parse_mapping)]
    pub map: Vec<(String, String)>,
    /// Print a table of the entries that would be added, skipped or refused. Write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The database.
    #[command(flatten)]
    pub database: Database,
    /// Limits of the library.
    #[command(flatten)]
    pub limits: Limits,
}

fn parse_mapping(text: &str) -> Result<(String, String), String> {
    let pair = text
        .rsplit_once('=')
        .filter(|(column, field)| !column.is_empty() && !field.is_empty());
    let (column, field) = pair.ok_or("write COLUMN=FIELD, such as `Stars=rating`")?;
    Ok((column.to_owned(), field.to_owned()))
}

/// Program that wrote a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Recognised by its columns.
    #[default]
    Auto,
    /// Scraper of Archive of Our Own.
    Ao3,
    /// Goodreads export.
    Goodreads,
    /// StoryGraph export.
    Storygraph,
    /// Calibre CSV catalog, or output of `calibredb list --for-machine`.
    Calibre,
    /// FanFicFare metadata.
    Fanficfare,
    /// CSV format of library-sync, or a similar table.
    Csv,
    /// JSON format of library-sync.
    Json,
    /// Archive of library-sync: the library with its history, for an empty library.
    Archive,
}

impl FileKind {
    /// Returns the kind, or `None` for `auto`.
    pub fn kind(self) -> Option<Self> {
        (self != Self::Auto).then_some(self)
    }
}

/// `library-sync export`.
#[derive(Debug, Clone, Args)]
pub struct Export {
    /// User who owns the library: the `sub` claim of their tokens.
    #[arg(long, value_name = "NAME")]
    pub sub: String,
    /// Path of the file. Defaults to standard output.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Format to write. Defaults to the file's extension, and to CSV on standard output.
    #[arg(id = "file_format", long = "format", value_name = "FORMAT")]
    pub format: Option<FileFormat>,
    /// Prefix cells that a spreadsheet would interpret as a formula with `'`. `import` removes the prefix.
    #[arg(long)]
    pub neutralise_formulas: bool,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}

/// File format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// Comma-separated values for spreadsheets.
    Csv,
    /// JSON array.
    Json,
    /// CSV for import into Goodreads and StoryGraph.
    Goodreads,
    /// CSV for Calibre's Import List plugin.
    Calibre,
    /// JSON Lines with the whole library: ids, versions, times, tombstones and history. Extension `.jsonl`.
    Archive,
}
