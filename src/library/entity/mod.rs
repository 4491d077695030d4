//! The tables as sea-orm sees them. Private: outside `library`, nobody can name a row's columns, let alone write them.
//!
//! Names of statuses and sources are stored as the older app spells them. A stored name that no longer parses is
//! a fault, not a default: silence would lose it at the next write.

pub(super) mod columns;
pub(super) mod label;
pub(super) mod progress;
pub(super) mod receipt;
pub(super) mod story;
pub(super) mod ticket;
pub(super) mod tombstone;
pub(super) mod user;
pub(super) mod write;
