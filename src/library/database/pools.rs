//! The pools that a [`Library`](crate::library::handle::Library) works through.
//!
//! PostgreSQL has one pool. SQLite has a single connection that writes, because SQLite has one writer anyway and its
//! busy handler is not fair, and several that only read beside it ([`reader`](super::read_connection)). What is done for a user
//! takes its turn ([`turn`](super::fair_queue)), so that no user can keep the others from the database.
//!
//! With a replica, queries read from it; versions never do, so that nobody is told of a version that then cannot be
//! found, or is told late.
//!
//! **Invariant:** a SQLite write is on disk before it is answered (`synchronous=FULL`).
//! **Invariant:** nothing waits for ever for a database that has gone without a word, and such a connection does not
//! come back into its pool: the server's own timeouts end nothing once the server is gone.

use std::{
    future::{Future, ready},
    sync::Arc,
    time::Duration,
};

use metrics::gauge;
use sea_orm::{
    ConnectOptions, DatabaseConnection, DbBackend, DbErr,
    sqlx::{
        ConnectOptions as _, Error as SqlxError, PgConnection,
        postgres::PgConnectOptions,
        sqlite::{SqliteJournalMode, SqliteSynchronous},
    },
};
use tokio::time::timeout;

use super::{
    admission::AdmissionControl,
    clock::Skew,
    first_connection::{self, OpenError, Sessions},
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

/// The most bytes that SQLite leaves of a write-ahead log that has grown, once it was copied into the database.
const KEPT_LOG_BYTES: &str = "67108864";

/// An open database.
#[derive(Debug, Clone)]
pub struct Database {
    pub(in crate::library) write: DatabaseConnection,
    /// Reads what was written last, for the server itself. What is read for a user goes through a reader.
    pub(in crate::library) fresh: DatabaseConnection,
    /// What users are lent.
    pub(super) lending: AdmissionControl,
    pub(in crate::library) replica: Option<DatabaseConnection>,
    /// A connection for the probe alone: others may keep those of the pools busy.
    pub(in crate::library) probe: DatabaseConnection,
    pub(in crate::library) state: Arc<WriteState>,
    pub(super) address: DatabaseAddress,
    /// What is known of the sessions at a PostgreSQL address.
    pub(super) sessions: Sessions,
    /// The SQLite file.
    file: Option<Arc<OpenFile>>,
    pub(super) diagnosis: Arc<Diagnosis>,
    /// What is known of the replica.
    pub(in crate::library) replica_state: ReplicaState,
    pub(in crate::library) max_replica_lag: Duration,
    /// How long a request waits for its turn, or for a connection.
    pub(in crate::library) wait: Duration,
    patience: Duration,
    /// How far this node's clock is from the database's.
    pub(in crate::library) skew: Arc<Skew>,
}

impl Database {
    /// Opens the pools and checks that the database answers. A replica that does not is done without until it does.
    ///
    /// # Errors
    /// When the database cannot be reached, is not there, or may not be used as [`DatabaseOptions::opening`] says.
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
            // One pool for both.
            _ => write.clone(),
        };
        let replica = match &options.replica {
            Some(replica) => Some(open_replica(options, replica).await?),
            None => None,
        };
        let lending = AdmissionControl::new(options, &fresh, replica.as_ref());
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
            skew: Arc::default(),
        };
        db.look_at_replica().await;
        gauge!("library_sync_database_up").set(1.0);
        Ok(db)
    }

    /// Whether the address leads to a connection pooler that lends a session to several connections in turn.
    pub fn shares_sessions(&self) -> bool {
        self.sessions.are_shared
    }

    /// Fails once the SQLite file is no longer at its path.
    pub(in crate::library) fn check_file(&self) -> Result<(), Error> {
        let checked = self.file.as_ref().map_or(Ok(()), |file| file.check());
        checked.map_err(Error::unavailable)
    }

    /// How long one request's work may take: a wait for a connection, and two statements of the longest kind.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Waits for `work`, but no longer than [`Database::patience`].
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

    /// Which database it is.
    pub(in crate::library) fn backend(&self) -> DbBackend {
        self.write.get_database_backend()
    }

    /// Whether queries may read a replica.
    pub(in crate::library) fn has_replica(&self) -> bool {
        self.replica.is_some()
    }

    /// The same without its replica.
    pub(in crate::library) fn without_replica(self) -> Self {
        Self {
            lending: self.lending.without_replica(),
            replica: None,
            ..self
        }
    }

    /// Closes the pools, waiting for what runs.
    pub async fn close(self) -> Result<(), DbErr> {
        self.probe.close().await?;
        self.lending.close().await?;
        if let Some(replica) = self.replica {
            replica.close().await?;
        }
        self.fresh.close().await?;
        self.write.close().await
    }
}

/// What sea-orm is told instead of an address, which it would log: it is replaced by the settings that were parsed.
pub(super) const POSTGRES: &str = "postgres://";
const SQLITE: &str = "sqlite:";

/// Makes sure that the address can be opened as asked, and holds a SQLite file's lock from then on.
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

/// Opens the pool of a replica, which need not be there.
async fn open_replica(
    options: &DatabaseOptions,
    address: &DatabaseAddress,
) -> Result<DatabaseConnection, OpenError> {
    let mut sessions = Sessions::OWN;
    match address {
        DatabaseAddress::Postgres(server) => {
            match first_connection::survey(server, &options.settings(), REPLICA_WAIT).await {
                Ok(found) => sessions = found,
                Err(error) => {
                    tracing::warn!(%error, "the replica cannot be used; the primary is asked instead");
                }
            }
        }
        DatabaseAddress::Sqlite(file) => {
            sqlite_file::prepare(file, Opening::Read)?;
        }
    }
    open(options, address, sessions, Access::Replica).await
}

pub(super) fn base(options: &DatabaseOptions, url: &str, access: Access) -> ConnectOptions {
    let mut connect = ConnectOptions::new(url);
    connect
        .connect_lazy(matches!(access, Access::Replica | Access::Probe))
        .acquire_timeout(options.acquire_timeout)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .test_before_acquire(true);
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
            let pool = pool.after_release(|link, _| Box::pin(may_return(link)));
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

/// Whether a connection that was given back may be lent again. Without a limit of our own, the pool would wait
/// indefinitely for its answer and have one connection less.
async fn may_return(link: &mut PgConnection) -> Result<bool, SqlxError> {
    match timeout(SETTLES_WITHIN, transaction::is_free_postgres(link)).await {
        Ok(answer) => answer,
        Err(_) => Err(SqlxError::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Write,
    Read,
    /// Reads a database that need not be there.
    Replica,
    /// Writes now and then, and does not wait.
    Probe,
}

pub(super) fn sqlite(
    options: &DatabaseOptions,
    file: &SqliteFile,
    access: Access,
) -> ConnectOptions {
    let busy = match options.statement_timeout {
        _ if access == Access::Probe => PROBE_BUSY,
        // SQLite takes zero for no patience at all.
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
                .pragma("journal_size_limit", KEPT_LOG_BYTES),
            Access::Read | Access::Replica => sqlite.pragma("query_only", "on"),
        }
    });
    connect
}
