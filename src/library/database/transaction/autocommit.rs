//! [`Autocommit`]: statements on one connection, each of which is its own transaction.
//!
//! **Invariant:** a statement that was cancelled, or whose outcome is unknown, closes its connection.

use super::{
    Connection, DatabaseConnection, DbErr, Hold, Instant, Link, QueryResult, State, Statement,
    query_failed,
};

/// A connection for statements that each commit by themselves.
pub(in crate::library) struct Autocommit(Link);

impl Autocommit {
    /// Takes a connection of `pool`.
    ///
    /// # Errors
    /// When none is free in time.
    pub async fn on(pool: &DatabaseConnection) -> Result<Self, DbErr> {
        let hold = Hold::Alone(Connection::free(pool).await?);
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
        if self.0.state != State::Open {
            self.0.leave();
        }
    }
}
