//! The settings of `import` and `export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{database::Database, limits::Limits};

/// What `--help` says of files.
pub(super) const FILE_HELP: &str = r"The file:
  CSV   A first row of column names, in any order: title, author, url, source,
        publicationStatus (or status), description, summary, chapterCount (or chapters), wordCount,
        isNsfw, tags, fandoms, readingStatus (or progressStatus), currentChapter, rating, notes.
        Only title is needed. Several tags or fandoms in one cell are separated by `;`, and a `;` or
        `\` in a name has a `\` before it. The separator may also be a semicolon or a tab, and the
        encoding UTF-8, UTF-16 or Windows-1252.
  JSON  An array of objects with the same names, tags and fandoms as arrays of strings: what the
        mutation importLibrary takes as `entries`.
  Exports of AO3 scrapers, Goodreads, StoryGraph, Calibre and FanFicFare are recognised by their
  columns. docs/import.md says what becomes of each.

CSV and JSON hold what you see of an entry, and no ids, versions or times, nor tags and fandoms that
are on no story. What is exported and imported elsewhere exports to the same bytes again.";

/// `library-sync import`.
#[derive(Debug, Clone, Args)]
pub struct Import {
    /// Whose library: the `sub` of their tokens.
    #[arg(long, value_name = "NAME")]
    pub sub: String,
    /// The file; `-` for standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Which program wrote the file; recognised by its columns when `auto`.
    #[arg(long, default_value = "auto", value_name = "PROGRAM")]
    pub from: FileKind,
    /// What a column holds, by a name that our own CSV has, such as `Stars=rating`; `ignore` for nothing. May be given
    /// several times.
    #[arg(long, value_name = "COLUMN=FIELD", value_parser = parse_mapping)]
    pub map: Vec<(String, String)>,
    /// Print a table of what would be added, what is there already and what is refused, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The database.
    #[command(flatten)]
    pub database: Database,
    /// How much the library may hold.
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

/// Which program wrote a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Recognised by its columns.
    #[default]
    Auto,
    /// A scraper of Archive of Our Own.
    Ao3,
    /// Goodreads' export.
    Goodreads,
    /// StoryGraph's export.
    Storygraph,
    /// Calibre: a CSV catalog, or `calibredb list --for-machine`.
    Calibre,
    /// FanFicFare's metadata.
    Fanficfare,
    /// Our own CSV, or a table like it.
    Csv,
    /// Our own JSON.
    Json,
}

impl FileKind {
    /// The kind, unless it is to be recognised.
    pub fn kind(self) -> Option<Self> {
        (self != Self::Auto).then_some(self)
    }
}

/// `library-sync export`.
#[derive(Debug, Clone, Args)]
pub struct Export {
    /// Whose library: the `sub` of their tokens.
    #[arg(long, value_name = "NAME")]
    pub sub: String,
    /// The file; standard output when not given.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// What to write; by the file's ending when not given, and CSV to standard output.
    #[arg(id = "file_format", long = "format", value_name = "FORMAT")]
    pub format: Option<FileFormat>,
    /// Put a `'` before cells that a spreadsheet would take for a formula. `import` takes it away again.
    #[arg(long)]
    pub neutralise_formulas: bool,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}

/// How a library is written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// Comma-separated values, as spreadsheets read and write them.
    Csv,
    /// A JSON array.
    Json,
    /// CSV that Goodreads and StoryGraph import.
    Goodreads,
    /// CSV that Calibre's Import List plugin reads.
    Calibre,
}
