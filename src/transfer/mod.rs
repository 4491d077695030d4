//! Files of entries: what `library-sync import` reads and `library-sync export` writes.
//!
//! ```text
//! bytes ─ decode ─┬─ table ─ layout ─ draft ─┬─ rows ─ import ─ library.write
//!                 └─ json ────────┘          └─ report (warnings, --dry-run)
//! library.export ─ export ─ csv, json, goodreads, calibre
//! ```
//!
//! Our own CSV and JSON hold the same fields, under the names that `importLibrary` gives them, and what is exported
//! imports to the same: exporting that gives the same bytes. Entries come in the order in which they were added. Ids,
//! versions and times are not in a file: the library assigns new ones. Unused labels are omitted, and their number is
//! reported.
//!
//! **Invariant:** a file is read as a whole before anything is written, so a file that is refused changes nothing.

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
