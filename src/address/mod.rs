//! Addresses of servers and database files in settings. They may contain a password.
//!
//! In the flow: addresses are parsed here at startup. The client libraries get settings instead of the text, which some of
//! them repeat in errors and log lines.
//!
//! **Invariant:** errors, `Debug` and `Display` of this module show only host and port, the path of a socket, or the path of
//! a file.

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
