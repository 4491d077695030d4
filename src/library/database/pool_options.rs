//! The options of each [pool](super::pools), by what it is used for.
//!
//! **Invariant:** a SQLite write is on disk before it is answered (`synchronous=FULL`).

use std::{future::ready, time::Duration};

use sea_orm::{
    ConnectOptions,
    sqlx::{
        ConnectOptions as _, Connection as _, Error as SqlxError, PgConnection,
        postgres::PgConnectOptions,
        sqlite::{SqliteJournalMode, SqliteSynchronous},
    },
};
use tokio::time::timeout;

use super::{
    first_connection::{self, Sessions},
    options::{DatabaseOptions, NO_LIMIT, Opening},
    promises,
    read_connection::{SETTLES_WITHIN, look_for_client},
    replica::REPLICA_WAIT,
    transaction,
    write_probe::PROBE_BUSY,
};
use crate::address::{Mode, SqliteFile};

/// Idle time after which a connection to PostgreSQL is tested before it is lent. A connection that was lost before that
/// fails its next statement, which [`Attempts`](super::lost_connection::Attempts) repeat on another one.
const TESTED_AFTER: Duration = Duration::from_secs(1);

/// Size in bytes to which SQLite truncates a large write-ahead log after a checkpoint.
const KEPT_LOG_BYTES: &str = "67108864";

/// Stands in for the address in sea-orm's options, which it would log. The parsed options replace it.
pub(super) const POSTGRES: &str = "postgres://";
const SQLITE: &str = "sqlite:";

/// What a pool is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Write,
    Read,
    /// Reads a database that may be unreachable.
    Replica,
    /// Writes rarely, and does not wait.
    Probe,
}

pub(super) fn base(options: &DatabaseOptions, url: &str, access: Access) -> ConnectOptions {
    let mut connect = ConnectOptions::new(url);
    connect
        .connect_lazy(matches!(access, Access::Replica | Access::Probe))
        .acquire_timeout(options.acquire_timeout)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .test_before_acquire(false);
    connect
}

pub(super) fn postgres(
    options: &DatabaseOptions,
    server: &PgConnectOptions,
    sessions: Sessions,
    access: Access,
) -> ConnectOptions {
    let mut connect = base(options, POSTGRES, access);
    if access == Access::Replica {
        connect.acquire_timeout(options.acquire_timeout.min(REPLICA_WAIT));
    }
    let mut server = server.clone().application_name("library-sync");
    if sessions.take_settings {
        server = server.options(options.settings());
    }
    connect
        .max_connections(match access {
            Access::Probe => 1,
            _ => options.max_connections,
        })
        .map_sqlx_postgres_pool_opts(move |pool| {
            let pool = pool
                .before_acquire(|link, used| Box::pin(may_lend(link, used.idle_for)))
                .after_release(|link, _| Box::pin(may_return(link)));
            if sessions.are_shared {
                return pool;
            }
            pool.after_connect(move |link, _| {
                Box::pin(async move {
                    if access != Access::Replica {
                        promises::commit_durably(link).await?;
                    }
                    look_for_client(link).await
                })
            })
        })
        .map_sqlx_postgres_opts(move |_| server.clone());
    connect
}

/// Returns whether an idle connection may be lent.
async fn may_lend(link: &mut PgConnection, idle_for: Duration) -> Result<bool, SqlxError> {
    Ok(idle_for < TESTED_AFTER || link.ping().await.is_ok())
}

/// Returns whether a released connection may be reused. Without this time limit the pool would wait indefinitely for its
/// answer and lose the slot.
async fn may_return(link: &mut PgConnection) -> Result<bool, SqlxError> {
    let answer = timeout(SETTLES_WITHIN, transaction::is_free_postgres(link)).await;
    answer.unwrap_or_else(|_| Err(first_connection::timed_out()))
}

pub(super) fn sqlite(
    options: &DatabaseOptions,
    file: &SqliteFile,
    access: Access,
) -> ConnectOptions {
    let busy = match options.statement_timeout {
        _ if access == Access::Probe => PROBE_BUSY,
        // Zero would disable waiting in SQLite.
        Duration::ZERO => NO_LIMIT,
        timeout => timeout,
    };
    let mut connect = base(options, SQLITE, access);
    connect.max_connections(match access {
        Access::Write | Access::Probe => 1,
        Access::Read | Access::Replica => options.max_connections,
    });
    connect.map_sqlx_sqlite_before_acquire(|link, _| {
        let is_free = transaction::is_free(link);
        Box::pin(ready(Ok(is_free)))
    });
    let creates = options.opening == Opening::Create && file.mode == Mode::Create;
    let file = file.options.clone();
    connect.map_sqlx_sqlite_opts(move |_| {
        let sqlite = file
            .clone()
            .create_if_missing(creates && access == Access::Write)
            .foreign_keys(true)
            .busy_timeout(busy)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging();
        match access {
            Access::Write | Access::Probe => sqlite
                .journal_mode(SqliteJournalMode::Wal)
                .pragma("journal_size_limit", KEPT_LOG_BYTES)
                // Deleted content is overwritten, so that an erasure leaves none in free space of the file.
                .pragma("secure_delete", "on"),
            Access::Read | Access::Replica => sqlite.pragma("query_only", "on"),
        }
    });
    connect
}
