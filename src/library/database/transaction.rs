//! One transaction on one connection: what every change of a library and every snapshot runs in.
//!
//! It sends BEGIN, COMMIT and ROLLBACK itself instead of through sea-orm. sqlx 0.9.0 counts how deep a connection is in
//! transactions, and its count stays wrong after SQLite has rolled back by itself (disk full, I/O error, out of memory;
//! transact-rs/sqlx#3742): sea-orm 2.0.4 then opens savepoints in a transaction that nobody commits, so every later
//! change is answered and never stored. Nothing here depends on that count. Delete this file when sea-orm hands out a
//! transaction that closes such a connection.
//!
//! **Invariant:** a connection goes back to its pool only after a COMMIT or ROLLBACK that succeeded. After an error of
//! these two, a timeout, a panic or a caller that went away it is closed, which makes the database roll back.
//! **Invariant:** once a statement has failed or was cut off, neither another statement nor COMMIT is sent. PostgreSQL
//! would answer COMMIT with ROLLBACK, which sqlx reports as success; SQLite, when it has rolled back by itself, would
//! commit each further statement alone.
//! **Invariant:** [`Transaction::commit`] succeeds only if the database has committed the outermost transaction.

#![expect(
    clippy::disallowed_methods,
    reason = "transactions are what changes are made in"
)]

#[cfg(test)]
mod tests;

use std::time::Instant;

use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult,
    RuntimeErr, Statement,
    sea_query::Values,
    sqlx::{
        self, AssertSqlSafe, Connection as _, Error as SqlxError, Executor as _, PgConnection,
        Postgres, Row as _, Sqlite, SqliteConnection, pool::PoolConnection,
    },
};
use sea_query_sqlx::SqlxValues;
use tokio::sync::{Mutex, MutexGuard};

use super::statement_metrics::observe;

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::library) enum Purpose {
    /// Writes. SQLite takes its write lock at once, because a transaction that reads first and asks for the lock later
    /// fails when another has written in between.
    Write,
    /// Reads several things as of one moment.
    Snapshot,
}

/// An open transaction. Dropped before it has ended, it closes its connection.
pub(in crate::library) struct Transaction {
    link: Mutex<Link>,
    backend: DbBackend,
}

struct Link {
    connection: Connection,
    state: State,
}

enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A statement was sent and its answer has not been read; for good, if the caller has gone.
    Busy,
    Open,
    /// A statement failed: there is nothing left to commit.
    Failed,
    /// Committed or rolled back.
    Ended,
}

impl Transaction {
    /// Begins a transaction on a connection of `pool` that is in none.
    ///
    /// # Errors
    /// When no connection is free in time, or the database does not begin.
    pub async fn begin(pool: &DatabaseConnection, purpose: Purpose) -> Result<Self, DbErr> {
        let backend = pool.get_database_backend();
        let connection = Connection::of(pool).await?;
        let is_free = !connection.is_in_transaction();
        let mut begun = Self {
            link: Mutex::new(Link {
                connection,
                state: State::Busy,
            }),
            backend,
        };
        if !is_free {
            return Err(DbErr::Conn(RuntimeErr::Internal(
                "a connection came out of its pool amid a transaction".to_owned(),
            )));
        }
        let sql = match (purpose, backend) {
            (Purpose::Write, DbBackend::Sqlite) => "BEGIN IMMEDIATE",
            // Said, because a role may ask for more by default, and the bump's lock orders a user's writers already: at
            // SERIALIZABLE, changes of different users would fail each other.
            (Purpose::Write, DbBackend::Postgres) => "BEGIN ISOLATION LEVEL READ COMMITTED",
            (Purpose::Snapshot, DbBackend::Postgres) => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
            }
            // SQLite's transactions are snapshots by nature.
            _ => "BEGIN",
        };
        let link = begun.link.get_mut();
        link.connection.send(sql).await.map_err(query_failed)?;
        link.state = State::Open;
        Ok(begun)
    }

    /// Commits.
    ///
    /// # Errors
    /// When a statement has failed before, or the database does not report that it has committed.
    pub async fn commit(mut self) -> Result<(), DbErr> {
        // In one message and so one round trip: in a transaction that PostgreSQL has given up, the SELECT is an error,
        // while COMMIT alone would not be.
        let commit = match self.backend {
            DbBackend::Postgres => "SELECT; COMMIT",
            _ => "COMMIT",
        };
        self.link.get_mut().end(commit, State::Open).await
    }

    /// Rolls back.
    ///
    /// # Errors
    /// When the database has not rolled back; it does when the connection closes.
    pub async fn roll_back(mut self) -> Result<(), DbErr> {
        let link = self.link.get_mut();
        let before = link.state;
        let ended = link.end("ROLLBACK", before).await;
        if let Err(error) = &ended {
            if before == State::Failed {
                // Expected of SQLite after a full disk: it has rolled back by itself. The caller reports what failed.
                tracing::debug!(error = %error, "a transaction was rolled back by the database; its connection is closed");
            } else {
                tracing::warn!(error = %error, "a transaction was not rolled back; its connection is closed");
            }
        }
        ended
    }

    /// Takes the connection for one statement.
    async fn turn(&self) -> Result<MutexGuard<'_, Link>, DbErr> {
        let mut link = self.link.lock().await;
        link.claim(State::Open)?;
        Ok(link)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let link = self.link.get_mut();
        if link.state != State::Ended {
            link.connection.close_on_drop();
        }
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut link = self.turn().await?;
        let began = Instant::now();
        let outcome = link.connection.execute(&statement).await;
        link.settle(&statement.sql, began, outcome)
            .map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.execute_raw(Statement::from_string(self.backend, sql))
            .await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        // To its end, even though one row is wanted: SQLite checks foreign keys when a statement ends, and sqlx reads
        // no error once it has the row.
        Ok(self.query_all_raw(statement).await?.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut link = self.turn().await?;
        let began = Instant::now();
        let outcome = link.connection.fetch_all(&statement).await;
        link.settle(&statement.sql, began, outcome)
            .map_err(query_failed)
    }
}

impl Link {
    /// Checks the state, and leaves [`State::Busy`] behind until a statement has been answered.
    fn claim(&mut self, expected: State) -> Result<(), DbErr> {
        if self.state != expected || self.state == State::Busy {
            let error = "a statement of this transaction has failed or was cut off before";
            return Err(DbErr::Custom(error.to_owned()));
        }
        self.state = State::Busy;
        Ok(())
    }

    /// Takes down how a statement went.
    fn settle<T>(
        &mut self,
        sql: &str,
        began: Instant,
        outcome: Result<T, SqlxError>,
    ) -> Result<T, SqlxError> {
        observe(sql, began.elapsed(), outcome.is_err());
        self.state = match outcome {
            Ok(_) => State::Open,
            Err(_) => State::Failed,
        };
        outcome
    }

    /// Sends COMMIT or ROLLBACK. The connection is of use again only if that succeeds.
    async fn end(&mut self, sql: &'static str, expected: State) -> Result<(), DbErr> {
        self.claim(expected)?;
        self.connection.send(sql).await.map_err(query_failed)?;
        self.state = State::Ended;
        Ok(())
    }
}

impl Connection {
    async fn of(pool: &DatabaseConnection) -> Result<Self, DbErr> {
        let lent = if pool.get_database_backend() == DbBackend::Postgres {
            let link = pool.get_postgres_connection_pool().acquire().await;
            link.map(Self::Postgres)
        } else {
            let link = pool.get_sqlite_connection_pool().acquire().await;
            link.map(Self::Sqlite)
        };
        lent.map_err(|error| match error {
            SqlxError::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
            SqlxError::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
            error => DbErr::Conn(RuntimeErr::SqlxError(error.into())),
        })
    }

    /// Whether sqlx takes the connection to be in a transaction, which none of ours is for it.
    fn is_in_transaction(&self) -> bool {
        match self {
            Self::Sqlite(link) => link.is_in_transaction(),
            Self::Postgres(link) => link.is_in_transaction(),
        }
    }

    fn close_on_drop(&mut self) {
        match self {
            Self::Sqlite(link) => link.close_on_drop(),
            Self::Postgres(link) => link.close_on_drop(),
        }
    }

    /// Sends a command without parameters. PostgreSQL takes several at once, split by semicolons.
    async fn send(&mut self, sql: &'static str) -> Result<(), SqlxError> {
        match self {
            Self::Sqlite(link) => link.execute(sql).await.map(|_| ()),
            Self::Postgres(link) => link.execute(sql).await.map(|_| ()),
        }
    }

    async fn execute(&mut self, statement: &Statement) -> Result<ExecResult, SqlxError> {
        let (sql, values) = parts(statement);
        match self {
            Self::Sqlite(link) => {
                let done = sqlx::query_with(sql, values).execute(&mut **link).await;
                done.map(Into::into)
            }
            Self::Postgres(link) => {
                let done = sqlx::query_with(sql, values).execute(&mut **link).await;
                done.map(Into::into)
            }
        }
    }

    async fn fetch_all(&mut self, statement: &Statement) -> Result<Vec<QueryResult>, SqlxError> {
        let (sql, values) = parts(statement);
        match self {
            Self::Sqlite(link) => {
                let rows = sqlx::query_with(sql, values).fetch_all(&mut **link).await?;
                Ok(rows.into_iter().map(Into::into).collect())
            }
            Self::Postgres(link) => {
                let rows = sqlx::query_with(sql, values).fetch_all(&mut **link).await?;
                Ok(rows.into_iter().map(Into::into).collect())
            }
        }
    }
}

fn parts(statement: &Statement) -> (AssertSqlSafe<&str>, SqlxValues) {
    let values = statement.values.clone();
    (
        AssertSqlSafe(statement.sql.as_str()),
        SqlxValues(values.unwrap_or_else(|| Values(Vec::new()))),
    )
}

fn query_failed(error: SqlxError) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

/// Whether a SQLite connection may be lent: it is in no transaction that sqlx knows of, such as one of a migration.
pub(in crate::library) fn is_free(link: &SqliteConnection) -> bool {
    !link.is_in_transaction()
}

/// Whether a PostgreSQL connection that was given back may be lent again: it answers, and is in no transaction. sqlx
/// 0.9.0 gives back a connection whose BEGIN was cancelled as if nothing were (transact-rs/sqlx#4385).
pub(in crate::library) async fn is_free_postgres(
    link: &mut PgConnection,
) -> Result<bool, SqlxError> {
    if link.is_in_transaction() {
        return Ok(false);
    }
    // Outside of a transaction, a statement sent by the simple protocol begins its own. (The extended protocol's
    // messages each have a time.)
    let alone = sqlx::raw_sql("SELECT now() = statement_timestamp()");
    alone.fetch_one(link).await?.try_get(0)
}
