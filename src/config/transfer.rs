//! The settings of `import` and `export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Database, Limits};

/// What `--help` says of files.
pub(super) const FILE_HELP: &str = r"The file:
  CSV   A first row of column names, in any order: title, author, url, source, status, description,
        summary, chapterCount (or chapters), wordCount, isNsfw, tags, fandoms, progressStatus,
        currentChapter, rating, notes. Only title and url are needed. Several tags or fandoms in one
        cell are separated by `;`, and a `;` or `\` in a name has a `\` before it.
  JSON  An array of objects with the same names, tags and fandoms as arrays of strings: what the
        mutation importLibrary takes as `entries`.

Both hold what you see of an entry, and no ids, versions or times, nor tags and fandoms that are on no
story. What is exported and imported elsewhere exports to the same bytes again.";

/// `library-sync import`.
#[derive(Debug, Clone, Args)]
pub struct Import {
    /// Whose library: the `sub` of their tokens.
    #[arg(long, value_name = "NAME")]
    pub sub: String,
    /// The file; `-` for standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What the file is; by its ending when not given.
    #[arg(id = "file_format", long = "format", value_name = "FORMAT")]
    pub format: Option<FileFormat>,
    /// The database.
    #[command(flatten)]
    pub database: Database,
    /// How much the library may hold.
    #[command(flatten)]
    pub limits: Limits,
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
}
