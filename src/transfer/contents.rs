//! What was read of a file: its entries, by line.

use std::collections::BTreeSet;

use super::entry_builder::Done;
use crate::{config::FileKind, library::EntryLine};

/// What a file holds.
#[derive(Debug, Default, PartialEq)]
pub struct Contents {
    /// Whose form it has.
    pub kind: FileKind,
    /// The entries, in their order.
    pub rows: Vec<Row>,
    /// Names of columns or fields that mean nothing here.
    pub ignored: BTreeSet<String>,
    /// What to report about the file as a whole.
    pub remark: Option<String>,
}

/// An entry of a file.
#[derive(Debug, PartialEq)]
pub struct Row {
    /// The line on which it begins, from 1.
    pub line: usize,
    /// The entry, or why it is refused.
    pub entry: Result<EntryLine, String>,
    /// Optional cells that were left empty, and why.
    pub warnings: Vec<String>,
}

impl Row {
    pub(super) fn of(line: usize, done: Done) -> Self {
        Self {
            line,
            entry: done.entry,
            warnings: done.warnings,
        }
    }

    pub(super) fn refused(line: usize, why: String) -> Self {
        Self {
            line,
            entry: Err(why),
            warnings: Vec::new(),
        }
    }
}

/// What the caller says of a file.
#[derive(Debug, Default)]
pub struct Choice<'a> {
    /// Its kind; recognised when absent.
    pub kind: Option<FileKind>,
    /// What columns hold, by their names.
    pub mapped: &'a [(String, String)],
}
