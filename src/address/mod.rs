//! Addresses of servers and database files, as settings give them. They may hold a password.
//!
//! In the flow: first of all. An address is taken apart here, so that the client libraries get settings and never the
//! text, which some of them would repeat in an error or a log line.
//!
//! **Invariant:** no error, `Debug` or `Display` of this module shows more of an address than where it leads: host and
//! port, the path of a socket, or the path of a file.

mod authority;
mod database;
mod error;
mod postgres;
mod sqlite;

pub(crate) use self::authority::split_authority;
pub use self::{
    database::DatabaseAddress,
    error::InvalidAddress,
    postgres::{parse as parse_postgres, place as postgres_place},
    sqlite::{Mode, SqliteFile},
};
