//! The only owner of library rows: what a user keeps, and the version that counts its changes.
//!
//! In the flow: `graphql` calls a read, or [`Library::write`] with a closure; a committed write is announced
//! through the [`Broker`]. This module knows no hub, GraphQL, HTTP or token: it is handed a [`UserId`].
//!
//! **Invariant (atomic):** the version moves if and only if the change commits, by one a transaction.
//! **Invariant (ordered):** a write bumps the user's row first, so its row lock orders the writers of a user.
//! **Invariant (stamped):** every row a write touches carries its version; every row it removes leaves a tombstone.
//! **Invariant (isolated):** every statement names the user.
//!
//! The rows and the writer's insides are out of reach elsewhere, so forgetting to bump does not compile:
//!
//! ```compile_fail,E0603
//! use library_sync::library::entity::story; // private
//! ```
//! ```compile_fail,E0451
//! fn forge(user: library_sync::version::UserId) -> library_sync::library::LibraryWriter {
//!     library_sync::library::LibraryWriter { user } // its fields are private and it has no constructor
//! }
//! ```

mod address;
mod clock;
mod conflict;
mod database;
mod delta;
mod device;
mod entity;
#[expect(
    clippy::disallowed_methods,
    reason = "an epoch renumbers: no row is changed but for its stamp"
)]
mod epoch;
mod error;
mod export;
mod id;
mod import;
mod kind;
mod known;
mod label;
mod limits;
mod list;
mod log;
mod one_of;
mod patch;
mod probe;
mod progress;
mod read;
mod reader;
#[expect(
    clippy::disallowed_methods,
    reason = "a receipt is no library row: it is kept even when nothing changes"
)]
mod receipt;
mod replica;
#[expect(
    clippy::disallowed_methods,
    reason = "purging removes what was removed before"
)]
mod retention;
mod search;
mod stats;
mod story;
mod text;
#[expect(
    clippy::disallowed_methods,
    reason = "a ticket is no library row: it changes no library"
)]
mod ticket;
mod transaction;
mod turn;
mod write;
#[expect(
    clippy::disallowed_methods,
    reason = "the writer is where rows are changed"
)]
mod writer;

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

pub use self::{
    address::parse_url,
    conflict::{Against, OnConflict},
    database::{Database, DatabaseOptions, OpenError, Opening},
    delta::{Change, Delta, DeltaCursor, Since, Tombstone},
    device::Device,
    error::{Clash, Error, Refusal, RefusalCode},
    export::Exported,
    id::{LabelId, ProgressId, StoryId},
    import::{EntryLine, ImportOutcome, ImportOutcomes},
    kind::Kind,
    label::{Label, LabelKind, LabelName},
    limits::Limits,
    list::{
        Direction, LabelFilter, Listed, OrderField, Page, ProgressCursor, ProgressFilter,
        ProgressOrder,
    },
    log::Changed,
    progress::{Progress, ProgressPatch, ProgressState, ProgressStatus, Rating},
    receipt::{IdempotencyKey, Once},
    retention::{Retention, Witnessed},
    search::Search,
    stats::{Stats, StatusCounts},
    story::{Source, Story, StoryContent, StoryPatch, StoryState, StoryStatus},
    ticket::KeptTicket,
    turn::Turn,
    write::{Intent, Written},
    writer::{Entry, LibraryWriter, NewEntry, Updated},
};
pub(crate) use self::{
    database::{beside, check_sqlite, copy_sqlite, lock, seal_sqlite},
    error::sql_code,
};
use self::{
    known::KnownHeads,
    transaction::{Purpose, Transaction},
};
use crate::{broker::Broker, version::UserId};

/// How many tickets are looked up at once: few, because who asks is not known yet.
const TICKET_LOOKUPS: usize = 2;

/// Every user's library. Cheap to clone.
#[derive(Clone)]
pub struct Library {
    db: Database,
    broker: Arc<dyn Broker>,
    /// The writes under way, which a stopping server waits for.
    writes: TaskTracker,
    known: Arc<KnownHeads>,
    /// How many tickets may be looked up at once.
    ticket_lookups: Arc<Semaphore>,
    limits: Limits,
}

impl Library {
    /// Opens the libraries in `db`, announcing changes through `broker`.
    pub fn new(db: Database, broker: Arc<dyn Broker>) -> Self {
        Self {
            db,
            broker,
            writes: TaskTracker::new(),
            known: Arc::default(),
            ticket_lookups: Arc::new(Semaphore::new(TICKET_LOOKUPS)),
            limits: Limits::default(),
        }
    }

    /// The same libraries with other limits.
    #[must_use]
    pub fn limited_to(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Reads several things as of one moment. In a task of its own, which ends when the caller goes away, but not amid
    /// BEGIN: that would leave a transaction open in the pool.
    async fn snapshot<T, F>(&self, user: &UserId, read: F) -> Result<T, Error>
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
                let pool = reader.pool()?;
                reader.begin_work();
                let tx = Transaction::begin(pool, Purpose::Snapshot).await?;
                let found = tokio::select! {
                    biased;
                    () = left.cancelled() => return Err(Error::unavailable("the caller left")),
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

    /// Writes something that is no change of a library: in a task of its own, as changes are, and in time.
    async fn write_apart<T: Send + 'static>(
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

    /// Waits until `user` may run another query: at most a few of theirs run at once, so that neither the database nor
    /// the work on what it answers is all theirs.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when their others have not ended in time.
    pub async fn turn_to_query(&self, user: &UserId) -> Result<Turn, Error> {
        self.db.turn_to_query(user).await
    }

    /// How long a query may take.
    pub fn patience(&self) -> Duration {
        self.db.patience()
    }

    /// Waits for the writes under way, including those whose callers have gone. Refuses none: stop the callers first.
    pub async fn finish_writes(&self) {
        self.writes.close();
        self.writes.wait().await;
    }

    /// The database itself, for health checks.
    pub fn database(&self) -> &Database {
        &self.db
    }
}
