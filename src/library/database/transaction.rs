//! One transaction on one connection. Every write and every snapshot runs in one. On SQLite a write may be a savepoint in a
//! transaction that it [shares](write_group).
//!
//! It sends BEGIN, COMMIT and ROLLBACK itself. sqlx 0.9.0 counts the transaction depth of a connection, and the count
//! stays wrong after SQLite has rolled back by itself (disk full, I/O error, out of memory; transact-rs/sqlx#3742).
//! sea-orm 2.0.4 then opens savepoints in a transaction that nobody commits: every later change is answered and never
//! stored. Nothing here depends on that count. Delete this file when sea-orm closes such a connection.
//!
//! **Invariant:** a connection returns to its pool only after a successful COMMIT or ROLLBACK. Otherwise (error, timeout,
//! panic, cancellation) it is closed, which makes the database roll back.
//! **Invariant:** after a statement that failed or was cancelled, no statement and no COMMIT is sent, unless a rollback to
//! a savepoint succeeded first. PostgreSQL would answer COMMIT with ROLLBACK, which sqlx reports as success; SQLite, after
//! its own rollback, would commit each further statement separately.
//! **Invariant:** [`Transaction::commit`] succeeds only if the database has committed the outermost transaction.

#![expect(
    clippy::disallowed_methods,
    reason = "library rows change only in transactions"
)]

pub(in crate::library) mod autocommit;
mod connection;
#[cfg(test)]
mod tests;
pub(super) mod write_group;

use std::{mem, time::Instant};

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement,
    sqlx::{self, Connection as _, Error as SqlxError, PgConnection, Row as _, SqliteConnection},
};
use tokio::sync::{Mutex, MutexGuard};

pub(in crate::library) use self::connection::Source;
use self::{
    connection::{Connection, query_failed},
    write_group::{Alone, Seat, WriteGroups},
};
use super::{lost_connection::Attempts, statement_metrics::observe};
use crate::library::error::Error;

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::library) enum Purpose {
    /// Writes. SQLite takes its write lock at BEGIN, because upgrading a read transaction fails after another's write.
    Write,
    /// Reads from one consistent snapshot.
    Snapshot,
}

/// An open transaction. Dropping it before its end closes the connection, or leaves its savepoint to be rolled back.
pub(in crate::library) struct Transaction {
    link: Mutex<Link>,
    backend: DbBackend,
    /// The turn of a write that joins no group.
    alone: Option<Alone>,
}

struct Link {
    hold: Hold,
    state: State,
}

/// How a transaction holds its connection.
enum Hold {
    Alone(Connection),
    /// Together with other writes, on SQLite.
    Grouped(Seat),
    /// No more.
    Left,
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Commit,
    RollBack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A statement awaits its answer. Final if the statement was cancelled.
    Busy,
    Open,
    /// A statement failed: the transaction cannot commit.
    Failed,
    /// Committed or rolled back.
    Ended,
}

impl Transaction {
    /// Begins a transaction.
    ///
    /// # Errors
    /// When no connection is free in time, or BEGIN fails.
    pub async fn begin(source: impl Into<Source<'_>>, purpose: Purpose) -> Result<Self, DbErr> {
        let source = source.into();
        let mut attempts = Attempts::on(source.pool());
        loop {
            let begun = Self::begin_once(source, purpose).await;
            if !attempts.repeats(&begun) {
                return begun;
            }
        }
    }

    async fn begin_once(source: Source<'_>, purpose: Purpose) -> Result<Self, DbErr> {
        let backend = source.pool().get_database_backend();
        let connection = Connection::free(source).await?;
        let mut begun = Self::on(Hold::Alone(connection), backend);
        let sql = match (purpose, backend) {
            (Purpose::Write, DbBackend::Sqlite) => "BEGIN IMMEDIATE",
            // Explicit, because a role may have another default. The bump's lock orders a user's writers already; at
            // SERIALIZABLE, changes of different users would abort each other.
            (Purpose::Write, DbBackend::Postgres) => "BEGIN ISOLATION LEVEL READ COMMITTED",
            // Where PostgreSQL expects few rows, it would read all that are left by a bitmap, and sort them, for each page of
            // a walk. It expects few while a table has no statistics.
            (Purpose::Snapshot, DbBackend::Postgres) => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL enable_bitmapscan = off"
            }
            // SQLite's transactions are snapshots.
            _ => "BEGIN",
        };
        let link = begun.link.get_mut();
        let sent = link.connection()?.send(sql).await;
        sent.map_err(query_failed)?;
        link.state = State::Open;
        Ok(begun)
    }

    /// Begins a write that shares its COMMIT with concurrent ones.
    ///
    /// # Errors
    /// When the turn does not come in time, no connection is free in time, or BEGIN fails.
    pub(super) async fn join(groups: &WriteGroups) -> Result<Self, Error> {
        let mut begun = Self::on(Hold::Grouped(groups.join().await?), DbBackend::Sqlite);
        begun.link.get_mut().state = State::Open;
        Ok(begun)
    }

    fn on(hold: Hold, backend: DbBackend) -> Self {
        let state = State::Busy;
        Self {
            link: Mutex::new(Link { hold, state }),
            backend,
            alone: None,
        }
    }

    /// Keeps the turn until the transaction has ended.
    pub(super) fn in_turn(mut self, alone: Option<Alone>) -> Self {
        self.alone = alone;
        self
    }

    /// Commits.
    ///
    /// # Errors
    /// When an earlier statement failed, or the database does not confirm the commit.
    pub async fn commit(mut self) -> Result<(), DbErr> {
        self.link.get_mut().end(End::Commit, State::Open).await
    }

    /// Rolls back.
    ///
    /// # Errors
    /// When the database does not confirm the rollback. It then rolls back when the connection closes.
    pub async fn roll_back(mut self) -> Result<(), DbErr> {
        let link = self.link.get_mut();
        let before = link.state;
        let ended = link.end(End::RollBack, before).await;
        if let Err(error) = &ended {
            if before == State::Failed {
                // SQLite rolls back by itself on a full disk. The caller reports the original error.
                tracing::debug!(error = %error, "a transaction was rolled back by the database; its connection is closed");
            } else {
                tracing::warn!(error = %error, "a transaction was not rolled back; its connection is closed");
            }
        }
        ended
    }

    /// Locks the connection for one statement.
    async fn turn(&self) -> Result<MutexGuard<'_, Link>, DbErr> {
        let mut link = self.link.lock().await;
        link.claim(State::Open)?;
        Ok(link)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.link.get_mut().leave(State::Ended);
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
        let outcome = link.connection()?.execute(&statement).await;
        link.settle(&statement.sql, began, outcome)
            .map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.execute_raw(Statement::from_string(self.backend, sql))
            .await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        // Fetches to the end: SQLite checks foreign keys at the end of a statement, and sqlx stops reading at the first
        // row.
        Ok(self.query_all_raw(statement).await?.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut link = self.turn().await?;
        let began = Instant::now();
        let outcome = link.connection()?.fetch_all(&statement).await;
        link.settle(&statement.sql, began, outcome)
            .map_err(query_failed)
    }
}

impl Link {
    /// Checks the state, and sets [`State::Busy`] until the statement is answered.
    fn claim(&mut self, expected: State) -> Result<(), DbErr> {
        if self.state != expected || self.state == State::Busy {
            return Err(broken());
        }
        self.state = State::Busy;
        Ok(())
    }

    fn connection(&mut self) -> Result<&mut Connection, DbErr> {
        match &mut self.hold {
            Hold::Alone(connection) => Ok(connection),
            Hold::Grouped(seat) => seat.connection().ok_or_else(broken),
            Hold::Left => Err(broken()),
        }
    }

    /// Records the outcome of a statement.
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

    /// Commits or rolls back. The connection is reusable only if that succeeds.
    async fn end(&mut self, end: End, expected: State) -> Result<(), DbErr> {
        self.claim(expected)?;
        match (&mut self.hold, end) {
            (Hold::Grouped(seat), End::Commit) => seat.commit().await?,
            (Hold::Grouped(seat), End::RollBack) => seat.roll_back().await?,
            (Hold::Alone(connection), end) => {
                let ended = connection.send(end.sql(connection.backend())).await;
                ended.map_err(query_failed)?;
            }
            (Hold::Left, _) => return Err(broken()),
        }
        self.state = State::Ended;
        Ok(())
    }

    /// Gives the connection back, or closes it if the state is not the `expected` one.
    fn leave(&mut self, expected: State) {
        if let Hold::Alone(mut connection) = mem::replace(&mut self.hold, Hold::Left) {
            if self.state == expected {
                connection.give_back();
            } else {
                connection.close_on_drop();
            }
        }
    }
}

impl End {
    fn sql(self, backend: DbBackend) -> &'static str {
        match (self, backend) {
            // One message, so one round trip. In an aborted transaction the SELECT is an error; COMMIT alone would
            // succeed and roll back.
            (Self::Commit, DbBackend::Postgres) => "SELECT; COMMIT",
            (Self::Commit, _) => "COMMIT",
            (Self::RollBack, _) => "ROLLBACK",
        }
    }
}

fn broken() -> DbErr {
    let error = "an earlier statement of this transaction failed or was cancelled";
    DbErr::Custom(error.to_owned())
}

/// Returns whether a SQLite connection may be lent: it is not in a transaction of sqlx, such as a migration's.
pub(in crate::library) fn is_free(link: &SqliteConnection) -> bool {
    !link.is_in_transaction()
}

/// Returns whether a released PostgreSQL connection may be reused: it answers, and is not in a transaction. sqlx 0.9.0
/// releases a connection whose BEGIN was cancelled without a check (transact-rs/sqlx#4385).
pub(in crate::library) async fn is_free_postgres(
    link: &mut PgConnection,
) -> Result<bool, SqlxError> {
    if link.is_in_transaction() {
        return Ok(false);
    }
    // Outside a transaction, a statement of the simple protocol begins its own implicit one. In the extended
    // protocol, each message has its own timestamp.
    let alone = sqlx::raw_sql("SELECT now() = statement_timestamp()");
    alone.fetch_one(link).await?.try_get(0)
}
