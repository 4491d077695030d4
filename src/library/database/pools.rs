//! The connection pools of a [`Library`](crate::library::handle::Library).
//!
//! PostgreSQL has one pool. SQLite has a single connection that writes, because it allows one writer and its busy
//! handler is unfair, and several [that only read](super::read_connection). Work for a user waits for its turn in the
//! [fair queue](super::fair_queue).
//!
//! Queries read from the replica, if one is configured. Versions never do: a version would be announced late, or before
//! the primary has it.
//!
//! **Invariant:** no request waits indefinitely for an unresponsive database, and its connection is not reused: the
//! server's own timeouts do not apply once the server is gone.

use std::{future::Future, ops::Deref, sync::Arc, time::Duration};

use metrics::gauge;
use sea_orm::{DatabaseConnection, DbBackend, DbErr};
use tokio::time::timeout;

use super::{
    admission::AdmissionControl,
    clock::Skew,
    first_connection::{self, OpenError, Sessions},
    kept_connections::KeptConnections,
    options::{DatabaseOptions, Opening},
    outage::Diagnosis,
    pool_options::{Access, postgres, sqlite},
    promises,
    replica::{REPLICA_WAIT, ReplicaState},
    sqlite_file::{self, OpenFile},
    statement_metrics::observed,
    write_probe::WriteState,
};
use crate::{
    address::DatabaseAddress,
    library::error::{Error, Unanswered},
};

/// An open database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database(Arc<Parts>);

/// The parts of a [`Database`].
#[derive(Debug, Clone)]
pub struct Parts {
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
    /// Clock skew between this node and the database.
    pub(in crate::library) skew: Arc<Skew>,
}

impl Deref for Database {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
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
        let db = Self(Arc::new(Parts {
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
            skew: Arc::default(),
        }));
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
    pub(in crate::library) fn in_time<'w, T, E: Into<Error>>(
        &'w self,
        work: impl Future<Output = Result<T, E>> + 'w,
    ) -> impl Future<Output = Result<T, Error>> {
        // Boxed, because statements have large futures, which each future that awaits one would contain.
        let work = Box::pin(work);
        async move {
            let done = match timeout(self.patience, work).await {
                Ok(Ok(done)) => Ok(done),
                Ok(Err(error)) => Err(Box::pin(self.explained(error.into())).await),
                Err(_) => Err(Error::unavailable(Unanswered(self.patience))),
            };
            done.inspect_err(|error| self.note(error))
        }
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
    pub(in crate::library) fn without_replica(&self) -> Self {
        Self(Arc::new(Parts {
            lending: self.lending.clone().without_replica(),
            replica: None,
            ..Parts::clone(self)
        }))
    }

    /// Closes the pools after their running statements.
    pub async fn close(self) -> Result<(), DbErr> {
        self.probe.close_by_ref().await?;
        self.lending.close().await?;
        if let Some(replica) = &self.replica {
            replica.close_by_ref().await?;
        }
        self.kept.close();
        self.fresh.close_by_ref().await?;
        self.write.close_by_ref().await
    }
}

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
