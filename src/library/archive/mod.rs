//! Archives: one user's whole library with its history as JSON Lines, which import to an equal library elsewhere.
//!
//! ```text
//! {"library":{"format":1,"epoch":"1763809200000","version":42,"floor":3}}
//! {"tag":{"id":"0199…","stamp":7,"name":"time loop",…}}
//! {"story":{"id":"0199…","stamp":42,"title":"Emma",…}}
//! …
//! {"end":{"rows":1234}}
//! ```
//!
//! In the flow: `http` and `library-sync export` call [`Library::export_archive`](super::handle::Library::export_archive);
//! `library-sync import` calls `import_archive`.
//!
//! A line holds one row, with the columns of its [table](table). Columns that follow from others are left out. Receipts,
//! tickets, push endpoints and devices belong to a server, so an archive does not contain them.
//!
//! **Invariant:** an archive is one snapshot: its rows are the library at the head in its first line.
//! **Invariant:** memory is bounded by one page of rows, regardless of the size of the library.

pub(super) mod export;
pub(super) mod exports;
pub(super) mod header;
pub(super) mod import;
pub(super) mod row;
pub(super) mod table;
