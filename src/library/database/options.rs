//! Settings of a database connection.

use std::time::Duration;

use crate::address::DatabaseAddress;

/// The longest timeout, for "unlimited": SQLite counts milliseconds in 31 bits.
pub(super) const NO_LIMIT: Duration = Duration::from_hours(24);

/// Address of the database, and limits of its use.
#[derive(Debug, Clone)]
pub struct DatabaseOptions {
    /// The primary, or the SQLite file.
    pub address: DatabaseAddress,
    /// A read replica for queries, which may lag.
    pub replica: Option<DatabaseAddress>,
    /// Maximum lag of a replica that is read. Zero: unlimited.
    pub max_replica_lag: Duration,
    /// How the command uses the database.
    pub opening: Opening,
    /// Size of the PostgreSQL pool, or number of SQLite connections for reads.
    pub max_connections: u32,
    /// Maximum wait for a connection before a request is answered as unavailable.
    pub acquire_timeout: Duration,
    /// Statement timeout. On SQLite it limits reads, and the wait for another process's lock. Zero: unlimited.
    pub statement_timeout: Duration,
    /// Maximum concurrent queries, and concurrent reads, of one user; at most half of the connections.
    pub max_user_reads: Option<u32>,
}

/// How a command uses a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Writes, and creates the database if the address allows it.
    Create,
    /// Writes to an existing database.
    Change,
    /// Reads an existing database.
    Read,
}

impl DatabaseOptions {
    /// Options for a test: one connection to the database at `url`.
    #[cfg(test)]
    pub(in crate::library) fn for_test(url: &str) -> Self {
        Self {
            address: DatabaseAddress::parse(url).unwrap(),
            replica: None,
            max_replica_lag: Duration::ZERO,
            opening: Opening::Create,
            max_connections: 1,
            max_user_reads: None,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(5),
        }
    }

    /// Returns the time limit of one request's work: the wait for a connection, and two statements at their timeout.
    pub(super) fn patience(&self) -> Duration {
        if self.statement_timeout.is_zero() {
            return NO_LIMIT;
        }
        self.acquire_timeout + 2 * self.statement_timeout
    }

    /// Returns the startup settings of a PostgreSQL session.
    pub(super) fn settings(&self) -> [(&'static str, String); 3] {
        let timeout = self.statement_timeout.as_millis().to_string();
        [
            ("statement_timeout", timeout.clone()),
            ("idle_in_transaction_session_timeout", timeout),
            // For statements outside transactions: a role may have another default.
            ("default_transaction_isolation", "read committed".to_owned()),
        ]
    }
}
