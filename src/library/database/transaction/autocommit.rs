//! [`Autocommit`]: statements on one connection, each of which is its own transaction.
//!
//! **Invariant:** a statement that was cancelled, or whose outcome is unknown, closes its connection.

use sea_orm::ConnectionTrait as _;

use super::{
    Connection, DbBackend, DbErr, Hold, Instant, Link, QueryResult, State, Statement, query_failed,
};
use crate::library::database::{kept_connections::KeptConnections, lost_connection::Attempts};

/// A connection for statements that each commit by themselves.
pub(in crate::library) struct Autocommit(Link);

impl Autocommit {
    /// Takes a connection.
    ///
    /// # Errors
    /// When none is free in time.
    pub async fn on(kept: &KeptConnections) -> Result<Self, DbErr> {
        let hold = Hold::Alone(Connection::free(kept.into()).await?);
        let state = State::Open;
        Ok(Self(Link { hold, state }))
    }

    /// Runs a statement and returns its first row. After an error of the database, nothing of the statement was done. After
    /// any other error, it may have been done.
    pub async fn query_one(&mut self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_all(&statement).await?.into_iter().next())
    }

    /// Runs a statement and returns its rows, with the errors of [`Autocommit::query_one`].
    pub async fn query_all(&mut self, statement: &Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.0.claim(State::Open)?;
        let began = Instant::now();
        let outcome = self.0.connection()?.fetch_all(statement).await;
        let rows = self.0.settle(&statement.sql, began, outcome);
        rows.map_err(query_failed)
    }
}

impl Drop for Autocommit {
    fn drop(&mut self) {
        self.0.leave(State::Open);
    }
}

/// Runs one statement that only reads, and returns its rows. Repeats it if its connection was lost.
pub(in crate::library) async fn query_all(
    kept: &KeptConnections,
    statement: &Statement,
) -> Result<Vec<QueryResult>, DbErr> {
    let pool = kept.pool();
    if pool.get_database_backend() == DbBackend::Sqlite {
        // The time limit of a statement begins when the pool lends the connection.
        return pool.query_all_raw(statement.clone()).await;
    }
    let mut attempts = Attempts::on(pool);
    loop {
        let rows = query_once(kept, statement).await;
        if !attempts.repeats(&rows) {
            return rows;
        }
    }
}

async fn query_once(
    kept: &KeptConnections,
    statement: &Statement,
) -> Result<Vec<QueryResult>, DbErr> {
    Autocommit::on(kept).await?.query_all(statement).await
}
