//! The contents of a file: its entries with their line numbers, and remarks.

use std::collections::BTreeSet;

use super::entry_builder::Done;
use crate::{config::FileKind, library::EntryLine};

/// The contents of a file.
#[derive(Debug, Default, PartialEq)]
pub struct Contents {
    /// The kind that was detected or chosen.
    pub kind: FileKind,
    /// The entries, in file order.
    pub rows: Vec<Row>,
    /// Names of columns or fields that were ignored.
    pub ignored: BTreeSet<String>,
    /// A remark to report about the whole file.
    pub remark: Option<String>,
}

/// An entry of a file.
#[derive(Debug, PartialEq)]
pub struct Row {
    /// Number of its first line, from 1.
    pub line: usize,
    /// The entry, or the reason why it is refused.
    pub entry: Result<EntryLine, String>,
    /// Warnings about optional cells, such as a cell that was left empty, with the reason.
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

/// The caller's options for reading a file.
#[derive(Debug, Default)]
pub struct Choice<'a> {
    /// The kind of the file. `None` detects it.
    pub kind: Option<FileKind>,
    /// Pairs of a column name and the field that it maps to.
    pub mapped: &'a [(String, String)],
}
