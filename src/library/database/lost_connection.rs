//! Repeats a statement whose connection was lost, on another connection of the pool.
//!
//! The pool does not test connections that were used a moment ago, which saves a round trip per statement. When a server
//! restarts, the next statement on each of them fails. Only reads and BEGIN are repeated, because both are idempotent.

use sea_orm::{DatabaseConnection, DbBackend, DbErr, RuntimeErr, sqlx::Error as SqlxError};

/// The attempts at one statement: the first, and at most one more for each connection that the pool has after it.
pub(in crate::library) struct Attempts<'a> {
    pool: &'a DatabaseConnection,
    left: Option<u32>,
}

impl<'a> Attempts<'a> {
    pub fn on(pool: &'a DatabaseConnection) -> Self {
        Self { pool, left: None }
    }

    /// Returns whether to run the statement again, because its connection was lost.
    pub fn repeats<T>(&mut self, outcome: &Result<T, DbErr>) -> bool {
        if !outcome.as_ref().is_err_and(is_lost) {
            return false;
        }
        let left = self.left.unwrap_or_else(|| open_connections(self.pool));
        self.left = Some(left.saturating_sub(1));
        left > 0
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "reads a pool's size, and takes no connection"
)]
fn open_connections(pool: &DatabaseConnection) -> u32 {
    match pool.get_database_backend() {
        DbBackend::Postgres => pool.get_postgres_connection_pool().size(),
        // A SQLite connection is a thread of this process.
        _ => 0,
    }
}

/// Returns whether the server closed the connection, or the network did. A statement that waits for a connection does
/// not count.
fn is_lost(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(source))
    | DbErr::Query(RuntimeErr::SqlxError(source))
    | DbErr::Conn(RuntimeErr::SqlxError(source))) = error
    else {
        return false;
    };
    match source.as_ref() {
        SqlxError::Io(_) => true,
        // 57P01 admin shutdown, 57P02 crash shutdown, 57P05 idle session timeout: the server's last message.
        SqlxError::Database(error) => error
            .code()
            .is_some_and(|code| matches!(code.as_ref(), "57P01" | "57P02" | "57P05")),
        _ => false,
    }
}
