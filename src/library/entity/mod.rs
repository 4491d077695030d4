//! The sea-orm entities. Private, so that code outside `library` cannot read or write rows.
//!
//! Statuses and sources are stored in the older app's spelling. An unknown stored name is a fault, not a default, which
//! the next write would overwrite.

pub(super) mod columns;
pub(super) mod label;
pub(super) mod progress;
pub(super) mod receipt;
pub(super) mod story;
pub(super) mod ticket;
pub(super) mod tombstone;
pub(super) mod user;
pub(super) mod write;
