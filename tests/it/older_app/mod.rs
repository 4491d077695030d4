//! A PostgreSQL database of the older app: it is refused before it is adopted, adopted as a whole, and given back.

pub mod adopting;
pub mod guard;
pub mod live;
pub mod older_database;
pub mod older_writer;
pub mod statuses;
