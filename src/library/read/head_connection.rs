//! [`HeadConnection`]: the connection of a [`HeadReader`](super::head_reader::HeadReader) while requests keep coming.
//!
//! The pool tests each PostgreSQL connection that returns to it, with two round trips. So the statements of a busy server
//! would take three round trips each.
//!
//! **Invariant:** a connection is kept only after a statement that was answered.

use sea_orm::{
    DatabaseConnection, DbBackend, DbErr, FromQueryResult as _, QueryResult, QueryTrait as _,
    Statement,
};

use crate::{
    library::{
        database::{lost_connection::Attempts, transaction::autocommit::Autocommit},
        entity::user,
        error::Error,
        write::user_row::{find_rows, select_rows},
    },
    version::UserId,
};

/// A connection that is kept between statements, if there is one.
#[derive(Default)]
pub(super) struct HeadConnection(Option<Autocommit>);

impl HeadConnection {
    /// Finds the rows of `users` in one statement.
    pub async fn find_rows(
        &mut self,
        pool: &DatabaseConnection,
        users: impl IntoIterator<Item = &UserId> + Send,
    ) -> Result<Vec<user::Model>, Error> {
        let backend = pool.get_database_backend();
        if backend == DbBackend::Sqlite {
            // Returns without a test. The time limit of its statements begins when the pool lends it.
            return find_rows(pool, users).await;
        }
        let select = select_rows(backend, users).build(backend);
        let mut attempts = Attempts::on(pool);
        let rows = loop {
            let rows = self.query(pool, &select).await;
            if !attempts.repeats(&rows) {
                break rows?;
            }
        };
        let row = |row| Ok(user::Model::from_query_result(row, "")?);
        rows.iter().map(row).collect()
    }

    async fn query(
        &mut self,
        pool: &DatabaseConnection,
        select: &Statement,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let mut connection = match self.0.take() {
            Some(connection) => connection,
            None => Autocommit::on(pool).await?,
        };
        let rows = connection.query_all(select).await?;
        self.0 = Some(connection);
        Ok(rows)
    }

    /// Returns the connection to its pool.
    pub fn release(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::library::database::{
        options::{DatabaseOptions, Opening},
        pools::Database,
    };

    #[expect(clippy::disallowed_methods, reason = "the address of the test server")]
    async fn postgres() -> Database {
        let address = std::env::var("LIBRARY_SYNC_TEST_POSTGRES")
            .expect("LIBRARY_SYNC_TEST_POSTGRES: run the tests by scripts/test");
        let options = DatabaseOptions {
            opening: Opening::Read,
            ..DatabaseOptions::for_test(&address)
        };
        Database::connect(&options).await.unwrap()
    }

    /// The number of the session that answers.
    async fn session(head: &mut HeadConnection, db: &Database) -> i32 {
        let select = Statement::from_string(DbBackend::Postgres, "SELECT pg_backend_pid()");
        let rows = head.query(&db.fresh, &select).await.unwrap();
        rows[0].try_get_by_index(0).unwrap()
    }

    #[tokio::test]
    async fn a_connection_is_kept_only_after_an_answered_statement() {
        let (db, mut head) = (postgres().await, HeadConnection::default());
        let first = session(&mut head, &db).await;
        assert_eq!(session(&mut head, &db).await, first);
        let long = Statement::from_string(DbBackend::Postgres, "SELECT pg_sleep(5)");
        let cancelled = timeout(Duration::from_millis(50), head.query(&db.fresh, &long)).await;
        assert!(cancelled.is_err());
        let second = session(&mut head, &db).await;
        assert_ne!(second, first);
        let wrong = Statement::from_string(DbBackend::Postgres, "SELECT 1 / 0");
        assert!(head.query(&db.fresh, &wrong).await.is_err());
        assert_ne!(session(&mut head, &db).await, second);
        // The pool has one connection.
        head.release();
        assert!(db.fresh.ping().await.is_ok());
    }
}
