//! File formats of `library-sync import` and `library-sync export`.
//!
//! ```text
//! bytes ─ decode ─┬─ table ─ layout ─ draft ─┬─ rows ─ import ─ library.write
//!                 └─ json ────────┘          └─ report (warnings, --dry-run)
//! library.export ─ export ─ csv, json, goodreads, calibre
//! ```
//!
//! The library-sync CSV and JSON have the same fields, with the names of `importLibrary`. Entries are in the order in
//! which they were added. Files do not contain ids, versions and times, because the library assigns new ones. Unused
//! labels are omitted, and their number is reported.
//!
//! **Invariant:** exporting a library that was imported from an export produces the same bytes.
//! **Invariant:** a file is read completely before the first write, so a refused file changes nothing.

pub(crate) mod calibre;
mod cell_value;
mod column_layout;
pub(crate) mod contents;
pub(crate) mod csv;
mod entry_builder;
mod fields;
pub(crate) mod file;
pub(crate) mod goodreads;
pub(crate) mod json;
pub(crate) mod report;
mod table;
mod text_encoding;

pub use self::{
    contents::{Choice, Contents, Row},
    file::read,
};
