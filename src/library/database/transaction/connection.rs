//! [`Connection`]: one connection of a pool, on SQLite or PostgreSQL.

use sea_orm::{
    ConnAcquireErr, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr,
    Statement,
    sea_query::Values,
    sqlx::{
        self, AssertSqlSafe, Connection as _, Error as SqlxError, Executor as _, Sqlite,
        pool::PoolConnection,
    },
};
use sea_query_sqlx::SqlxValues;

use crate::library::database::kept_connections::{KeptConnections, Lent};

/// Where a connection is taken from.
#[derive(Clone, Copy)]
pub(in crate::library) enum Source<'a> {
    Pool(&'a DatabaseConnection),
    Kept(&'a KeptConnections),
}

impl<'a> Source<'a> {
    pub fn pool(self) -> &'a DatabaseConnection {
        match self {
            Self::Pool(pool) => pool,
            Self::Kept(kept) => kept.pool(),
        }
    }
}

impl<'a> From<&'a DatabaseConnection> for Source<'a> {
    fn from(pool: &'a DatabaseConnection) -> Self {
        Self::Pool(pool)
    }
}

impl<'a> From<&'a KeptConnections> for Source<'a> {
    fn from(kept: &'a KeptConnections) -> Self {
        Self::Kept(kept)
    }
}

#[derive(Debug)]
pub(in crate::library::database) enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(Lent),
}

impl Connection {
    async fn of(source: Source<'_>) -> Result<Self, DbErr> {
        let lent = match source {
            _ if source.pool().get_database_backend() == DbBackend::Sqlite => {
                let pool = source.pool().get_sqlite_connection_pool();
                Box::pin(pool.acquire()).await.map(Self::Sqlite)
            }
            Source::Pool(pool) => Lent::of_pool(pool).await.map(Self::Postgres),
            Source::Kept(kept) => kept.lend().await.map(Self::Postgres),
        };
        lent.map_err(|error| match error {
            SqlxError::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
            SqlxError::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
            error => DbErr::Conn(RuntimeErr::SqlxError(error.into())),
        })
    }

    /// Takes a connection that is not in a transaction.
    pub async fn free(source: Source<'_>) -> Result<Self, DbErr> {
        let mut connection = Self::of(source).await?;
        if connection.is_in_transaction() {
            connection.close_on_drop();
            return Err(DbErr::Conn(RuntimeErr::Internal(
                "the pool returned a connection that is in a transaction".to_owned(),
            )));
        }
        Ok(connection)
    }

    /// Returns whether sqlx counts the connection as in a transaction. Transactions of this module do not count.
    pub fn is_in_transaction(&mut self) -> bool {
        match self {
            Self::Sqlite(link) => link.is_in_transaction(),
            Self::Postgres(lent) => lent.link().is_in_transaction(),
        }
    }

    pub fn backend(&self) -> DbBackend {
        match self {
            Self::Sqlite(_) => DbBackend::Sqlite,
            Self::Postgres(_) => DbBackend::Postgres,
        }
    }

    pub fn close_on_drop(&mut self) {
        match self {
            Self::Sqlite(link) => link.close_on_drop(),
            Self::Postgres(lent) => lent.link().close_on_drop(),
        }
    }

    /// Gives the connection back after its last statement was answered, outside of a transaction.
    pub fn give_back(self) {
        if let Self::Postgres(lent) = self {
            lent.give_back();
        }
    }

    /// Sends commands without parameters, separated by semicolons. The first that fails is the last that runs.
    pub async fn send(&mut self, sql: &'static str) -> Result<(), SqlxError> {
        match self {
            Self::Sqlite(link) => link.execute(sql).await.map(|_| ()),
            Self::Postgres(lent) => lent.link().execute(sql).await.map(|_| ()),
        }
    }

    pub async fn execute(&mut self, statement: &Statement) -> Result<ExecResult, SqlxError> {
        let (sql, values) = parts(statement);
        match self {
            Self::Sqlite(link) => {
                let done = sqlx::query_with(sql, values).execute(&mut **link).await;
                done.map(Into::into)
            }
            Self::Postgres(lent) => {
                let link = &mut **lent.link();
                let done = sqlx::query_with(sql, values).execute(link).await;
                done.map(Into::into)
            }
        }
    }

    pub async fn fetch_all(
        &mut self,
        statement: &Statement,
    ) -> Result<Vec<QueryResult>, SqlxError> {
        let (sql, values) = parts(statement);
        match self {
            Self::Sqlite(link) => {
                let rows = sqlx::query_with(sql, values).fetch_all(&mut **link).await?;
                Ok(rows.into_iter().map(Into::into).collect())
            }
            Self::Postgres(lent) => {
                let link = &mut **lent.link();
                let rows = sqlx::query_with(sql, values).fetch_all(link).await?;
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

pub(in crate::library::database) fn query_failed(error: SqlxError) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}
