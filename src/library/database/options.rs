//! How to reach a database, and how much of it to use.

use std::time::Duration;

use crate::address::DatabaseAddress;

/// How long "without end" lasts: SQLite counts milliseconds in 31 bits.
pub(super) const NO_LIMIT: Duration = Duration::from_hours(24);

/// How to reach the database and how much of it to use.
#[derive(Debug, Clone)]
pub struct DatabaseOptions {
    /// Where it is.
    pub address: DatabaseAddress,
    /// A replica of it that queries may read, which may lag behind.
    pub replica: Option<DatabaseAddress>,
    /// How far the replica may lag behind before it is not read. Zero: without end.
    pub max_replica_lag: Duration,
    /// What the command does with it.
    pub opening: Opening,
    /// PostgreSQL connections, or SQLite connections that read.
    pub max_connections: u32,
    /// How long a request waits for a connection before it is answered as unavailable.
    pub acquire_timeout: Duration,
    /// How long one statement may run; on SQLite, one that reads, and how long one waits for the lock of another
    /// process. Zero: without end.
    pub statement_timeout: Duration,
    /// How many queries, and how many statements that read, one user may have at once; at most half of the connections.
    pub max_user_reads: Option<u32>,
}

/// What a command does with a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Fills it, and creates it if the address says so.
    Create,
    /// Changes what is there.
    Change,
    /// Reads what is there.
    Read,
}

impl DatabaseOptions {
    /// How long one request's work may take: a wait for a connection, and two statements of the longest kind.
    pub(super) fn patience(&self) -> Duration {
        if self.statement_timeout.is_zero() {
            return NO_LIMIT;
        }
        self.acquire_timeout + 2 * self.statement_timeout
    }

    /// What each session of a PostgreSQL pool begins with.
    pub(super) fn settings(&self) -> [(&'static str, String); 3] {
        let timeout = self.statement_timeout.as_millis().to_string();
        [
            ("statement_timeout", timeout.clone()),
            ("idle_in_transaction_session_timeout", timeout),
            // For the statements outside of transactions, whatever a role asks for by default.
            ("default_transaction_isolation", "read committed".to_owned()),
        ]
    }
}
