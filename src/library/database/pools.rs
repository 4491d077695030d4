//! The connection pools of a [`Library`](crate::library::handle::Library).
//!
//! PostgreSQL has one pool. SQLite has a single connection that writes, because it allows one writer and its busy
//! handler is unfair, and several [that only read](super::read_connection). Work for a user waits for its turn in the
//! [fair queue](super::fair_queue).
//!
//! Queries read from the replica, if one is configured. Versions never do: a version would be announced late, or before
//! the primary has it.
//!
//! **Invariant:** a SQLite write is on disk before it is answered (`synchronous=FULL`).
//! **Invariant:** no request waits indefinitely for an unresponsive database, and its connection is not reused: the
//! server's own timeouts do not apply once the server is gone.

use std::{
    future::{Future, ready},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use metrics::gauge;
use sea_orm::{
    ConnectOptions, DatabaseConnection, DbBackend, DbErr,
    sqlx::{
        ConnectOptions as _, Connection as _, Error as SqlxError, PgConnection,
        postgres::PgConnectOptions,
        sqlite::{SqliteJournalMode, SqliteSynchronous},
    },
};
use tokio::time::timeout;

use super::{
    admission::AdmissionControl,
    clock::Skew,
    first_connection::{self, OpenError, Sessions},
    kept_connections::KeptConnections,
    options::{DatabaseOptions, NO_LIMIT, Opening},
    outage::Diagnosis,
    promises,
    read_connection::{SETTLES_WITHIN, look_for_client},
    replica::{REPLICA_WAIT, ReplicaState},
    sqlite_file::{self, OpenFile},
    statement_metrics::observed,
    transaction,
    write_probe::{PROBE_BUSY, WriteState},
};
use crate::{
    address::{DatabaseAddress, Mode, SqliteFile},
    library::error::{Error, Unanswered},
};

/// Idle time after which a connection to PostgreSQL is tested before it is lent. A connection that was lost before that
/// fails its next statement, which [`Attempts`](super::lost_connection::Attempts) repeat on another one.
const TESTED_AFTER: Duration = Duration::from_secs(1);

/// Size in bytes to which SQLite truncates a large write-ahead log after a checkpoint.
const KEPT_LOG_BYTES: &str = "67108864";

/// An open database.
#[derive(Debug, Clone)]
pub struct Database {
    pub(in crate::library) write: DatabaseConnection,
    /// Reads the newest committed state for the server itself. Reads for a user go through a reader.
    pub(in crate::library) fresh: DatabaseConnection,
    /// Connections of `fresh`, for the short work of users.
    pub(in crate::library) kept: KeptConnections,
    /// Admission of users' work.
    pub(super) lending: AdmissionControl,
    pub(in crate::library) replica: Option<DatabaseConnection>,
    /// A connection for the write probe only: the pools may be busy.
    pub(in crate::library) probe: DatabaseConnection,
    pub(in crate::library) state: Arc<WriteState>,
    pub(super) address: DatabaseAddress,
    /// Capabilities of the sessions at a PostgreSQL address.
    pub(super) sessions: Sessions,
    /// The open SQLite file.
    file: Option<Arc<OpenFile>>,
    pub(super) diagnosis: Arc<Diagnosis>,
    /// The state of the replica.
    pub(in crate::library) replica_state: ReplicaState,
    pub(in crate::library) max_replica_lag: Duration,
    /// Maximum wait for a turn, or for a connection.
    pub(in crate::library) wait: Duration,
    patience: Duration,
    /// Whether the tables were once found complete, see [`Database::missing_schema`].
    pub(super) has_schema: Arc<AtomicBool>,
    /// Clock skew between this node and the database.
    pub(in crate::library) skew: Arc<Skew>,
}

impl Database {
    /// Opens the pools and checks that the database answers. An unreachable replica is skipped until it answers.
    ///
    /// # Errors
    /// When the database is unreachable, does not exist, or does not allow [`DatabaseOptions::opening`].
    pub async fn connect(options: &DatabaseOptions) -> Result<Self, OpenError> {
        let address = &options.address;
        let (sessions, lock) = prepare(options).await?;
        let access = match options.opening {
            Opening::Read => Access::Read,
            Opening::Create | Opening::Change => Access::Write,
        };
        let write = open(options, address, sessions, access).await?;
        let fresh = match address {
            DatabaseAddress::Sqlite(_) if access == Access::Write => {
                open(options, address, sessions, Access::Read).await?
            }
            // PostgreSQL has one pool for both.
            _ => write.clone(),
        };
        let kept = KeptConnections::of(fresh.clone(), options.max_connections);
        let replica = open_replica(options).await?;
        let lending = AdmissionControl::new(options, &write, &kept, replica.as_ref());
        let file = match address {
            DatabaseAddress::Sqlite(file) => Some(Arc::new(OpenFile::note(file, lock)?)),
            DatabaseAddress::Postgres(_) => None,
        };
        let probe = match access {
            Access::Write => open(options, address, sessions, Access::Probe).await?,
            _ => write.clone(),
        };
        let db = Self {
            write,
            fresh,
            kept,
            lending,
            replica,
            probe,
            state: Arc::default(),
            address: address.clone(),
            sessions,
            file,
            diagnosis: Arc::default(),
            replica_state: ReplicaState::default(),
            max_replica_lag: options.max_replica_lag,
            wait: options.acquire_timeout,
            patience: options.patience(),
            has_schema: Arc::default(),
            skew: Arc::default(),
        };
        db.look_at_replica().await;
        gauge!("library_sync_database_up").set(1.0);
        Ok(db)
    }

    /// Returns whether the address leads to a connection pooler that shares sessions.
    pub fn shares_sessions(&self) -> bool {
        self.sessions.are_shared
    }

    /// Fails when the SQLite file was replaced or removed.
    pub(in crate::library) fn check_file(&self) -> Result<(), Error> {
        let checked = self.file.as_ref().map_or(Ok(()), |file| file.check());
        checked.map_err(Error::unavailable)
    }

    /// Returns the time limit of one request's work: the wait for a connection, and two statements at their timeout.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Waits for `work`, at most for [`Database::patience`].
    pub(in crate::library) async fn in_time<T, E: Into<Error>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error> {
        let done = match timeout(self.patience, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.explained(error.into()).await),
            Err(_) => Err(Error::unavailable(Unanswered(self.patience))),
        };
        done.inspect_err(|error| self.note(error))
    }

    /// Returns the kind of database.
    pub(in crate::library) fn backend(&self) -> DbBackend {
        self.write.get_database_backend()
    }

    /// Returns whether a replica is configured.
    pub(in crate::library) fn has_replica(&self) -> bool {
        self.replica.is_some()
    }

    /// Drops the replica.
    pub(in crate::library) fn without_replica(self) -> Self {
        Self {
            lending: self.lending.without_replica(),
            replica: None,
            ..self
        }
    }

    /// Closes the pools after their running statements.
    pub async fn close(self) -> Result<(), DbErr> {
        self.probe.close().await?;
        self.lending.close().await?;
        if let Some(replica) = self.replica {
            replica.close().await?;
        }
        self.kept.close();
        self.fresh.close().await?;
        self.write.close().await
    }
}

/// Stands in for the address in sea-orm's options, which it would log. The parsed options replace it.
pub(super) const POSTGRES: &str = "postgres://";
const SQLITE: &str = "sqlite:";

/// Checks the address before it is opened. Returns the lock of a SQLite file.
async fn prepare(
    options: &DatabaseOptions,
) -> Result<(Sessions, Option<std::fs::File>), OpenError> {
    Ok(match &options.address {
        DatabaseAddress::Postgres(server) => {
            let settings = options.settings();
            let survey = first_connection::survey(server, &settings, options.acquire_timeout).await;
            (survey?, None)
        }
        DatabaseAddress::Sqlite(file) => {
            (Sessions::OWN, sqlite_file::prepare(file, options.opening)?)
        }
    })
}

/// Opens one pool.
async fn open(
    options: &DatabaseOptions,
    address: &DatabaseAddress,
    sessions: Sessions,
    access: Access,
) -> Result<DatabaseConnection, OpenError> {
    let connect = match address {
        DatabaseAddress::Postgres(server) => postgres(options, server, sessions, access),
        DatabaseAddress::Sqlite(file) => sqlite(options, file, access),
    };
    let pool = sea_orm::Database::connect(connect).await;
    let pool = observed(pool.map_err(|error| OpenError::new(address, &error))?);
    if access == Access::Write && address.postgres().is_some() {
        promises::check(&pool, address).await?;
    }
    Ok(pool)
}

/// Opens the pool of the replica, if there is one. It may be unreachable.
async fn open_replica(options: &DatabaseOptions) -> Result<Option<DatabaseConnection>, OpenError> {
    let Some(address) = &options.replica else {
        return Ok(None);
    };
    let mut sessions = Sessions::OWN;
    match address {
        DatabaseAddress::Postgres(server) => {
            match first_connection::survey(server, &options.settings(), REPLICA_WAIT).await {
                Ok(found) => sessions = found,
                Err(error) => {
                    tracing::warn!(%error, "the replica cannot be used; queries read the primary");
                }
            }
        }
        DatabaseAddress::Sqlite(file) => {
            sqlite_file::prepare(file, Opening::Read)?;
        }
    }
    open(options, address, sessions, Access::Replica)
        .await
        .map(Some)
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

fn postgres(
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

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Write,
    Read,
    /// Reads a database that may be unreachable.
    Replica,
    /// Writes rarely, and does not wait.
    Probe,
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
