//! A PostgreSQL database of the older app: it is refused before its adoption, adopted completely, and restored by an undo.

pub mod adopting;
pub mod guard;
pub mod live;
pub mod live_failures;
pub mod older_database;
pub mod older_writer;
pub mod statuses;
