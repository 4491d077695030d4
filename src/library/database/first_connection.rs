//! The first connections to a PostgreSQL server, outside any pool, so that an error names its cause.
//!
//! sqlx 0.9.0's pool (`PoolInner::connect`) retries "connection refused" until its timeout, and then reports only the
//! timeout. No issue is filed.
//!
//! The address may lead to a connection pooler such as PgBouncer. In transaction mode it shares one server session among
//! connections: session state (settings, advisory locks, LISTEN) is then lost between statements, and prepared statements
//! work only if the pooler tracks them.

use std::{io, time::Duration};

use sea_orm::{
    DbErr, RuntimeErr,
    sqlx::{
        Connection as _, Error as SqlxError, PgConnection, error::DatabaseError,
        postgres::PgConnectOptions, query_as,
    },
};
use tokio::time::timeout;

use crate::address::{DatabaseAddress, postgres_place};

/// Why a database cannot be opened, in one line: its address and the cause.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub(crate) String);

impl OpenError {
    /// Describes an error of the database client.
    pub(super) fn new(address: &DatabaseAddress, error: &DbErr) -> Self {
        let cause = match error {
            DbErr::Conn(RuntimeErr::SqlxError(error))
            | DbErr::Exec(RuntimeErr::SqlxError(error))
            | DbErr::Query(RuntimeErr::SqlxError(error)) => cause(error),
            error => error.to_string(),
        };
        match address {
            DatabaseAddress::Postgres(_) => Self(format!("cannot connect to {address}: {cause}")),
            DatabaseAddress::Sqlite(_) => Self(format!("{address} cannot be opened: {cause}")),
        }
    }
}

/// Capabilities of the sessions at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sessions {
    /// Startup messages may carry settings.
    pub take_settings: bool,
    /// A pooler shares one session among several connections.
    pub are_shared: bool,
}

impl Sessions {
    /// Sessions without a connection pooler.
    pub const OWN: Self = Self {
        take_settings: true,
        are_shared: false,
    };
}

/// Connects twice and detects the capabilities of the sessions. `settings` are sent in the startup message.
pub(super) async fn survey(
    server: &PgConnectOptions,
    settings: &[(&str, String)],
    patience: Duration,
) -> Result<Sessions, OpenError> {
    let with_settings = server.clone().options(settings.iter().cloned());
    let (take_settings, server, first) = match connect(&with_settings, patience).await {
        Err(SqlxError::Database(error)) if is_about_settings(error.as_ref()) => {
            (false, server, connect(server, patience).await)
        }
        first => (true, &with_settings, first),
    };
    let first = first.map_err(|error| unreachable(server, &error))?;
    let second = connect(server, patience).await;
    let second = second.map_err(|error| unreachable(server, &error))?;
    let compared = compare(first, second, patience).await;
    let (are_shared, has_timeout) = compared.map_err(|error| match &error {
        SqlxError::Database(cause) if is_about_statements(cause.as_ref()) => {
            no_prepared_statements(server)
        }
        error => unreachable(server, error),
    })?;
    let times_statements =
        |(name, value): &(&str, String)| *name == "statement_timeout" && value != "0";
    if !has_timeout && settings.iter().any(times_statements) {
        tracing::warn!(
            server.address = postgres_place(server),
            "the connection pooler drops statement_timeout: set it by ALTER ROLE … SET statement_timeout"
        );
    }
    Ok(Sessions {
        take_settings,
        are_shared,
    })
}

/// Returns whether two connections share one session, and whether the session has a statement timeout.
///
/// Both run a prepared statement, the first on each connection, and sqlx gives both the same name. A pooler that shares
/// the session without tracking names fails the second.
async fn compare(
    mut first: PgConnection,
    mut second: PgConnection,
    patience: Duration,
) -> Result<(bool, bool), SqlxError> {
    let asked = async {
        let (session, has_timeout) = ask(&mut first).await?;
        let (other, _) = ask(&mut second).await?;
        Ok((session == other, has_timeout))
    };
    let found = timeout(patience, asked)
        .await
        .unwrap_or_else(|_| Err(timed_out()))?;
    // A connection that does not close in time is closed when it is dropped.
    let _ = timeout(patience, async {
        tokio::join!(first.close(), second.close())
    })
    .await;
    Ok(found)
}

/// Returns the session's process id, and whether it has a statement timeout.
async fn ask(connection: &mut PgConnection) -> Result<(i32, bool), SqlxError> {
    query_as("SELECT pg_backend_pid(), current_setting('statement_timeout') <> '0'")
        .fetch_one(connection)
        .await
}

/// Connects once. A timeout counts as a refusal.
async fn connect(server: &PgConnectOptions, patience: Duration) -> Result<PgConnection, SqlxError> {
    let connected = timeout(patience, PgConnection::connect_with(server)).await;
    connected.unwrap_or_else(|_| Err(timed_out()))
}

pub(super) fn timed_out() -> SqlxError {
    SqlxError::Io(io::ErrorKind::TimedOut.into())
}

/// Returns why the server is unreachable; `None` if it accepts a connection.
pub(super) async fn why_unreachable(
    server: &PgConnectOptions,
    patience: Duration,
) -> Option<OpenError> {
    match connect(server, patience).await {
        Ok(connection) => {
            let _ = timeout(patience, connection.close()).await;
            None
        }
        Err(error) => Some(unreachable(server, &error)),
    }
}

/// SQLSTATE 08P01, protocol violation: PgBouncer rejects a setting in the startup message.
fn is_about_settings(error: &dyn DatabaseError) -> bool {
    error.code().as_deref() == Some("08P01") && error.message().contains("startup parameter")
}

/// SQLSTATE 42P05, duplicate prepared statement; 26000, invalid statement name.
fn is_about_statements(error: &dyn DatabaseError) -> bool {
    matches!(error.code().as_deref(), Some("42P05" | "26000"))
}

fn no_prepared_statements(server: &PgConnectOptions) -> OpenError {
    OpenError(format!(
        "{} is a connection pooler that shares sessions and does not support prepared statements: use PgBouncer 1.21 or \
         newer with max_prepared_statements above 0, or pool_mode = session, or the address of PostgreSQL itself",
        postgres_place(server)
    ))
}

fn unreachable(server: &PgConnectOptions, error: &SqlxError) -> OpenError {
    OpenError(format!(
        "cannot connect to {}: {}",
        postgres_place(server),
        cause(error)
    ))
}

/// Returns sqlx's error without its prefix.
pub(super) fn cause(error: &SqlxError) -> String {
    match error {
        SqlxError::Database(error) => error.message().to_owned(),
        SqlxError::Io(error) => io_cause(error),
        error => error.to_string(),
    }
}

/// Returns the system's error message without its number.
pub(crate) fn io_cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => return "no answer in time".to_owned(),
        // For SQLite files and Unix sockets alike.
        io::ErrorKind::NotFound => return "no such file or folder".to_owned(),
        _ => {}
    }
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}
