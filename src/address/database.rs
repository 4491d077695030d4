//! The address of a database of either kind.

use std::fmt;

use sea_orm::sqlx::postgres::PgConnectOptions;

use super::{
    error::InvalidAddress,
    postgres::{parse as parse_postgres, place as postgres_place},
    sqlite::SqliteFile,
};

/// Where libraries are kept.
#[derive(Clone)]
pub enum DatabaseAddress {
    /// A PostgreSQL server, and how to log in there.
    Postgres(Box<PgConnectOptions>),
    /// A SQLite file.
    Sqlite(Box<SqliteFile>),
}

impl DatabaseAddress {
    /// Parses `postgres://user:password@host/name` or `sqlite://path?mode=rwc`.
    ///
    /// # Errors
    /// Says what is wrong without repeating the text.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        match text.split_once(':') {
            Some(("postgres" | "postgresql", rest)) => {
                Ok(Self::Postgres(Box::new(parse_postgres(rest)?)))
            }
            Some(("sqlite", rest)) => Ok(Self::Sqlite(Box::new(SqliteFile::parse(rest)?))),
            _ => Err(InvalidAddress::Scheme),
        }
    }

    /// The settings of the PostgreSQL client, if that is what it needs.
    pub fn postgres(&self) -> Option<&PgConnectOptions> {
        match self {
            Self::Postgres(server) => Some(server),
            Self::Sqlite(_) => None,
        }
    }
}

impl fmt::Display for DatabaseAddress {
    /// Where it leads, without user, password or options.
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
