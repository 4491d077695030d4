//! The address of a PostgreSQL or SQLite database.

use std::fmt;

use sea_orm::sqlx::postgres::PgConnectOptions;

use super::{
    error::InvalidAddress,
    postgres::{parse as parse_postgres, place as postgres_place},
    sqlite::SqliteFile,
};

/// The address of a database.
#[derive(Clone)]
pub enum DatabaseAddress {
    /// A PostgreSQL server and its login.
    Postgres(Box<PgConnectOptions>),
    /// A SQLite file.
    Sqlite(Box<SqliteFile>),
}

impl DatabaseAddress {
    /// Parses `postgres://user:password@host/name` or `sqlite://path?mode=rwc`.
    ///
    /// # Errors
    /// When the address is invalid. The error does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        match text.split_once(':') {
            Some(("postgres" | "postgresql", rest)) => {
                Ok(Self::Postgres(Box::new(parse_postgres(rest)?)))
            }
            Some(("sqlite", rest)) => Ok(Self::Sqlite(Box::new(SqliteFile::parse(rest)?))),
            _ => Err(InvalidAddress::Scheme),
        }
    }

    /// Returns the settings of the PostgreSQL client, or `None` for SQLite.
    pub fn postgres(&self) -> Option<&PgConnectOptions> {
        match self {
            Self::Postgres(server) => Some(server),
            Self::Sqlite(_) => None,
        }
    }
}

impl fmt::Display for DatabaseAddress {
    /// Writes the server or the path, without user, password or options.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(server) => f.write_str(&postgres_place(server)),
            Self::Sqlite(file) => write!(f, "{}", file.path.display()),
        }
    }
}

impl fmt::Debug for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
