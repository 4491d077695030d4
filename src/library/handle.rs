//! [`Library`]: the handle for all reads and writes.

use std::{
    future::Future,
    ops::Deref,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use futures_util::future::BoxFuture;
use sea_orm::DbBackend;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use super::{
    archive::exports::Exports,
    database::{fair_queue::Admission, pools::Database, transaction::Transaction},
    device::{log::DeviceLog, settings::DeviceSettings, stream_ender::StreamEnds},
    endpoint::device_activity::DeviceActivity,
    error::Error,
    known_heads::KnownHeads,
    model::limits::Limits,
    read::head_reader::HeadReader,
    warming::uses::Uses,
};
use crate::{broker::Broker, version::UserId};

/// Concurrent ticket lookups. Few, because they are not yet authenticated.
const TICKET_LOOKUPS: usize = 2;

/// Every user's library. Cheap to clone.
#[derive(Clone)]
pub struct Library(Arc<Parts>);

/// The parts of a [`Library`].
#[derive(Clone)]
pub struct Parts {
    pub(super) db: Database,
    pub(super) broker: Arc<dyn Broker>,
    /// Running writes, which a stopping server waits for.
    pub(super) writes: TaskTracker,
    pub(super) known: Arc<KnownHeads>,
    pub(super) head_reader: HeadReader,
    /// Limits concurrent ticket lookups.
    pub(super) ticket_lookups: Arc<Semaphore>,
    pub(super) limits: Limits,
    pub(super) devices: DeviceActivity,
    pub(super) device_log: DeviceLog,
    pub(super) stream_ends: StreamEnds,
    pub(super) exports: Exports,
    /// The uses of entries that are not stored yet.
    pub(super) uses: Uses,
    /// Whether SQLite's write-ahead log may hold erased rows.
    pub(super) unscrubbed: Arc<AtomicBool>,
}

impl Deref for Library {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Library {
    /// Opens the libraries in `db`. Commits are announced through `broker`.
    pub fn new(db: Database, broker: Arc<dyn Broker>) -> Self {
        Self::of(Parts {
            head_reader: HeadReader::new(db.clone()),
            db,
            broker,
            writes: TaskTracker::new(),
            known: Arc::default(),
            ticket_lookups: Arc::new(Semaphore::new(TICKET_LOOKUPS)),
            limits: Limits::default(),
            devices: DeviceActivity::default(),
            device_log: DeviceLog::default(),
            stream_ends: StreamEnds::default(),
            exports: Exports::default(),
            uses: Uses::default(),
            unscrubbed: Arc::default(),
        })
    }

    fn of(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Replaces the limits.
    #[must_use]
    pub fn limited_to(self, limits: Limits) -> Self {
        Self::of(Parts {
            limits,
            ..Parts::clone(&self)
        })
    }

    /// Replaces the settings of devices.
    #[must_use]
    pub fn with_devices(self, settings: DeviceSettings) -> Self {
        Self::of(Parts {
            device_log: DeviceLog::new(settings),
            ..Parts::clone(&self)
        })
    }

    /// Returns this library without its replica.
    #[must_use]
    pub fn on_primary(&self) -> Self {
        if !self.has_replica() {
            return self.clone();
        }
        Self::of(Parts {
            db: self.db.without_replica(),
            ..Parts::clone(self)
        })
    }

    /// Reads from one consistent snapshot. Runs in a separate task, which stops when the caller goes away, but not during
    /// BEGIN: that would leave a transaction open in the pool.
    pub(super) async fn snapshot<T, F>(&self, user: &UserId, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t Transaction) -> BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        let reader = self.db.fresh_reader(user).await?;
        let db = self.db.clone();
        let caller = CancellationToken::new();
        let left = caller.clone();
        let _caller = caller.drop_guard();
        let task = async move {
            let snapshot = async {
                reader.begin_work();
                let tx = reader.snapshot().await?;
                let found = tokio::select! {
                    biased;
                    () = left.cancelled() => return Err(Error::unavailable("the client disconnected")),
                    found = read(&tx) => found,
                };
                tx.roll_back().await?;
                reader.end_work();
                found
            };
            db.in_time(snapshot).await
        };
        tokio::spawn(task.in_current_span())
            .await
            .map_err(Error::fault)?
    }

    /// Writes rows other than the library's, like a library write: in a detached task and within the time limit.
    pub(super) async fn write_apart<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let db = self.db.clone();
        let work = async move {
            db.check_file()?;
            db.in_time(work).await
        };
        self.writes.spawn(work).await.map_err(Error::fault)?
    }

    /// Waits until `user` may run another query. Only a few queries per user run at once, so that one user cannot occupy
    /// the database or the CPU.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no turn became free in time.
    pub async fn admit_query(&self, user: &UserId) -> Result<Admission, Error> {
        self.db.admit_query(user).await
    }

    /// Returns the time limit of a query.
    pub fn patience(&self) -> Duration {
        self.db.patience()
    }

    /// Waits for running writes, including those without a caller. Does not reject new ones: stop the callers first.
    pub async fn finish_writes(&self) {
        self.writes.close();
        self.writes.wait().await;
    }

    /// Returns the activity of devices on this node.
    pub fn devices(&self) -> &DeviceActivity {
        &self.devices
    }

    /// Returns what this node knows of devices.
    pub fn device_log(&self) -> &DeviceLog {
        &self.device_log
    }

    /// Returns whether concurrent changes of different users share a commit.
    pub fn shares_commits(&self) -> bool {
        self.db.backend() == DbBackend::Sqlite
    }

    /// Returns the database, for health checks.
    pub fn database(&self) -> &Database {
        &self.db
    }
}
