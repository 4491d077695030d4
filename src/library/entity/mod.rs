//! The sea-orm entities. Private, so that code outside `library` cannot read or write rows.
//!
//! Statuses and sources are stored in the older app's spelling. An unknown stored name, of a newer version for example,
//! is read as a default, so that no page fails. It is written only when a change sets it, so the default never replaces
//! it.

pub(super) mod columns;
pub(super) mod field_change;
pub(super) mod label;
pub(super) mod progress;
pub(super) mod receipt;
pub(super) mod story;
pub(super) mod ticket;
pub(super) mod tombstone;
pub(super) mod undone_removal;
pub(super) mod user;
pub(super) mod write;
