//! The pools that a [`Library`](super::Library) works through.
//!
//! PostgreSQL has one pool. SQLite has two: a single connection that writes, because SQLite has one writer anyway
//! and a queue in front of it is fair while its busy handler is not, and several that only read beside it.
//!
//! **Invariant:** a SQLite write is on disk before it is answered (`synchronous=FULL`).

use std::time::Duration;

use metrics::{counter, histogram};
use sea_orm::{
    AccessMode, ConnectOptions, DatabaseConnection, DbBackend, DbErr, IsolationLevel,
    SqliteTransactionMode, TransactionOptions,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};

/// How to reach the database and how much of it to use.
#[derive(Debug, Clone)]
pub struct DatabaseOptions {
    /// `postgres://…` or `sqlite://path`.
    pub url: String,
    /// PostgreSQL connections, or SQLite connections that read.
    pub max_connections: u32,
    /// How long a request waits for a connection before it is answered as unavailable.
    pub acquire_timeout: Duration,
    /// How long one statement may run; on SQLite, how long it waits for the lock of another process.
    pub statement_timeout: Duration,
}

/// An open database.
#[derive(Debug, Clone)]
pub struct Database {
    pub(super) write: DatabaseConnection,
    pub(super) read: DatabaseConnection,
}

impl Database {
    /// Opens the pools and checks that the database answers.
    ///
    /// # Errors
    /// When the address is of no known kind or the database does not answer.
    pub async fn connect(options: &DatabaseOptions) -> Result<Self, DbErr> {
        let scheme = options.url.split(':').next().unwrap_or_default();
        match scheme {
            "postgres" | "postgresql" => {
                let pool = observed(sea_orm::Database::connect(postgres(options)).await?);
                Ok(Self {
                    write: pool.clone(),
                    read: pool,
                })
            }
            "sqlite" if options.url.contains(":memory:") || options.url.contains("mode=memory") => {
                Err(DbErr::Custom(
                    "a SQLite database in memory cannot be shared between connections; name a file"
                        .into(),
                ))
            }
            "sqlite" => Ok(Self {
                // The writer first: it creates the file and switches it to write-ahead logging.
                write: observed(sea_orm::Database::connect(sqlite(options, Access::Write)).await?),
                read: observed(sea_orm::Database::connect(sqlite(options, Access::Read)).await?),
            }),
            _ => Err(DbErr::Custom(
                "the database address must begin with postgres:// or sqlite://".into(),
            )),
        }
    }

    /// Checks that the database answers now.
    pub async fn ping(&self) -> Result<(), DbErr> {
        self.read.ping().await
    }

    /// Closes the pools, waiting for what runs.
    pub async fn close(self) -> Result<(), DbErr> {
        self.read.close().await?;
        self.write.close().await
    }

    /// The connection that migrations run on.
    pub fn migration_connection(&self) -> &DatabaseConnection {
        &self.write
    }
}

/// What every write transaction begins with: on SQLite the write lock at once, since a transaction that reads
/// first and asks for the lock later fails when another has written in between.
pub(super) fn write_transaction() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}

/// What a snapshot begins with. (SQLite's transactions are snapshots by nature.)
pub(super) fn read_transaction(db: &DatabaseConnection) -> TransactionOptions {
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    TransactionOptions {
        isolation_level: is_postgres.then_some(IsolationLevel::RepeatableRead),
        access_mode: is_postgres.then_some(AccessMode::ReadOnly),
        ..TransactionOptions::default()
    }
}

fn base(options: &DatabaseOptions) -> ConnectOptions {
    let mut connect = ConnectOptions::new(options.url.clone());
    connect
        .acquire_timeout(options.acquire_timeout)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .test_before_acquire(true);
    connect
}

fn postgres(options: &DatabaseOptions) -> ConnectOptions {
    let timeout = options.statement_timeout.as_millis().to_string();
    let mut connect = base(options);
    connect
        .max_connections(options.max_connections)
        .map_sqlx_postgres_opts(move |postgres| {
            postgres.application_name("library-sync").options([
                ("statement_timeout", timeout.as_str()),
                ("idle_in_transaction_session_timeout", timeout.as_str()),
            ])
        });
    connect
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Write,
    Read,
}

fn sqlite(options: &DatabaseOptions, access: Access) -> ConnectOptions {
    let busy = options.statement_timeout;
    let mut connect = base(options);
    connect.max_connections(if access == Access::Write {
        1
    } else {
        options.max_connections
    });
    connect.map_sqlx_sqlite_opts(move |sqlite| {
        let sqlite = sqlite
            .create_if_missing(access == Access::Write)
            .foreign_keys(true)
            .busy_timeout(busy)
            .synchronous(SqliteSynchronous::Full);
        match access {
            Access::Write => sqlite.journal_mode(SqliteJournalMode::Wal),
            Access::Read => sqlite.pragma("query_only", "on"),
        }
    });
    connect
}

fn observed(mut pool: DatabaseConnection) -> DatabaseConnection {
    pool.set_metric_callback(|statement| {
        // The text alone: values are the users'.
        tracing::trace!(db.statement = statement.statement.sql, "a statement ran");
        let outcome = if statement.failed { "error" } else { "ok" };
        counter!("library_sync_db_statements_total", "outcome" => outcome).increment(1);
        histogram!("library_sync_db_statement_seconds").record(statement.elapsed.as_secs_f64());
    });
    pool
}
