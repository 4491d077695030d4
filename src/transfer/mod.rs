//! `library-sync import` and `library-sync export`: a library from a file and to one, without a server.
//!
//! ```text
//! bytes ─ decode ─┬─ table ─ layout ─ draft ─┬─ rows ─ import ─ library.write
//!                 └─ json ────────┘          └─ report (warnings, --dry-run)
//! library.export ─ export ─ csv, json, goodreads, calibre
//! ```
//!
//! Our own CSV and JSON hold the same fields, under the names that `importLibrary` gives them, and what is exported
//! imports to the same: exporting that gives the same bytes. Entries come in the order in which they were added. Ids,
//! versions and times are not in a file: the library that an entry is added to gives it its own. Nor are labels that are
//! on no story; their number is reported.
//!
//! **Invariant:** a file is read as a whole before anything is written, so a file that is refused changes nothing.

mod calibre;
mod cell;
mod csv;
mod decode;
mod draft;
mod export;
mod file;
mod goodreads;
mod import;
mod json;
mod layout;
mod report;
mod table;

pub use self::{
    export::export,
    file::{Choice, Contents, Row, read},
    import::import,
};

/// The fields of an entry, as our own files and `importLibrary` name them.
const FIELDS: [&str; 16] = [
    "title",
    "author",
    "url",
    "source",
    "publicationStatus",
    "description",
    "summary",
    "chapterCount",
    "wordCount",
    "isNsfw",
    "tags",
    "fandoms",
    "readingStatus",
    "currentChapter",
    "rating",
    "notes",
];
