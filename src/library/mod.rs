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
#[expect(
    clippy::disallowed_methods,
    reason = "the writer is where rows are changed"
)]
mod writer;

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use metrics::counter;
use serde::{Serialize, de::DeserializeOwned};
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
use crate::{
    broker::{Broker, Notice},
    version::{Head, UserId},
};

/// How often a write is begun that others get in the way of.
const WRITE_TRIES: u32 = 4;

/// Every user's library. Cheap to clone.
#[derive(Clone)]
pub struct Library {
    db: Database,
    broker: Arc<dyn Broker>,
    /// The writes under way, which a stopping server waits for.
    writes: TaskTracker,
    known: Arc<KnownHeads>,
    limits: Limits,
}

/// Who asks for a change, and how it is known when it is sent again.
#[derive(Debug, Clone, Default)]
pub struct Intent {
    /// The device that asks.
    pub device: Option<Device>,
    /// Makes the change once, however often it is sent.
    pub once: Option<Once>,
}

/// What came of a write that did not fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Written<T> {
    /// The head after it: one version further if something changed, the present one otherwise.
    pub head: Head,
    /// What the change returned, or why the library does not allow it.
    pub outcome: Result<T, Refusal>,
}

impl Library {
    /// Opens the libraries in `db`, announcing changes through `broker`.
    pub fn new(db: Database, broker: Arc<dyn Broker>) -> Self {
        Self {
            db,
            broker,
            writes: TaskTracker::new(),
            known: Arc::default(),
            limits: Limits::default(),
        }
    }

    /// The same libraries with other limits.
    #[must_use]
    pub fn limited_to(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Changes a user's library: the one way to do so.
    ///
    /// Begins a transaction, bumps the version, runs `change`, and commits if `change` stamped or removed a row;
    /// after an error, a refusal or no change it rolls back and the version stays. The transaction runs in a task
    /// of its own to its end even when the caller goes away: a client that hangs up can neither part the commit
    /// from its notice nor leave a half-begun transaction in the pool.
    ///
    /// With [`Intent::once`], the outcome is kept, and the same change sent again gets the same outcome and head.
    ///
    /// # Errors
    /// Every [`Error`] but [`Error::Refused`], which is an outcome.
    pub async fn write<T, F>(
        &self,
        user: &UserId,
        intent: Intent,
        change: F,
    ) -> Result<Written<T>, Error>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        F: for<'w> FnOnce(&'w mut LibraryWriter) -> BoxFuture<'w, Result<T, Error>>
            + Clone
            + Send
            + 'static,
    {
        let (library, user) = (self.clone(), user.clone());
        let write = async move {
            library.db.check_file()?;
            let _turn = library.db.turn_to_write(&user).await?;
            for tried in 1..WRITE_TRIES {
                let done = library.write_to_end(&user, &intent, change.clone());
                match library.db.in_time(done).await {
                    Err(error) if error.is_contention() => {
                        counter!("library_sync_write_retries_total").increment(1);
                        tokio::time::sleep(pause(tried)).await;
                    }
                    done => return done,
                }
            }
            let done = library.write_to_end(&user, &intent, change);
            library.db.in_time(done).await
        }
        .in_current_span();
        self.writes.spawn(write).await.map_err(Error::fault)?
    }

    /// Makes a change and rolls it back: what would become of it. The version stays, and nothing is announced.
    ///
    /// # Errors
    /// As [`Library::write`].
    pub async fn rehearse<T, F>(
        &self,
        user: &UserId,
        change: F,
    ) -> Result<Result<T, Refusal>, Error>
    where
        T: Send + 'static,
        F: for<'w> FnOnce(&'w mut LibraryWriter) -> BoxFuture<'w, Result<T, Error>>
            + Send
            + 'static,
    {
        let (library, owner) = (self.clone(), user.clone());
        let rehearsal = async move {
            let _turn = library.db.turn_to_write(&owner).await?;
            let mut writer = LibraryWriter::begin(&library.db, owner, None, library.limits).await?;
            let mut outcome = change(&mut writer).await;
            if outcome.is_ok()
                && let Err(error) = writer.keep_usage().await
            {
                outcome = Err(error);
            }
            writer.roll_back().await?;
            match outcome {
                Ok(value) => Ok(Ok(value)),
                Err(Error::Refused(refusal)) => Ok(Err(refusal)),
                Err(error) => Err(error),
            }
        };
        self.write_apart(rehearsal).await
    }

    async fn write_to_end<T, F>(
        &self,
        user: &UserId,
        intent: &Intent,
        change: F,
    ) -> Result<Written<T>, Error>
    where
        T: Serialize + DeserializeOwned,
        F: for<'w> FnOnce(&'w mut LibraryWriter) -> BoxFuture<'w, Result<T, Error>>,
    {
        let mut writer = self.begin_write(user, intent).await?;
        if let Some(once) = &intent.once
            && let Some(before) = writer.find_answer(once).await?
        {
            // Its commit may have been made and its answer lost, and the notice with it. A head is a level: to say it
            // again harms nobody.
            let head = writer.roll_back().await?;
            self.announce(user, head);
            return Ok(before);
        }
        let mut changed = change(&mut writer).await;
        if changed.is_ok()
            && let Err(error) = writer.keep_usage().await
        {
            changed = Err(error);
        }
        let outcome = match changed {
            Ok(value) => Ok(value),
            Err(Error::Refused(refusal)) => Err(refusal),
            Err(error) => {
                // If it cannot, the connection is closed and the transaction with it.
                let _ = writer.roll_back().await;
                return Err(error);
            }
        };
        if outcome.is_err() || !writer.has_changed() {
            return self.keep_unchanged(writer, user, intent, outcome).await;
        }
        let answer = intent
            .once
            .as_ref()
            .map(|_| receipt::answer(&outcome))
            .transpose()?;
        let head = writer.commit(intent, answer).await?;
        self.db.wrote();
        self.announce(user, head);
        Ok(Written { head, outcome })
    }

    /// Ends a change that changed nothing, keeping its answer.
    async fn keep_unchanged<T: Serialize + DeserializeOwned>(
        &self,
        mut writer: LibraryWriter,
        user: &UserId,
        intent: &Intent,
        outcome: Result<T, Refusal>,
    ) -> Result<Written<T>, Error> {
        let Some(once) = &intent.once else {
            let head = writer.roll_back().await?;
            return Ok(Written { head, outcome });
        };
        if writer.has_changed() {
            // Refused halfway: what was written goes, and the lock with it, so another answer may be kept by now.
            writer.roll_back().await?;
            writer = self.begin(user, intent).await?;
            if let Some(before) = writer.find_answer(once).await? {
                writer.roll_back().await?;
                return Ok(before);
            }
        }
        let head = writer.keep(once, receipt::answer(&outcome)?).await?;
        self.db.wrote();
        // The same as before, unless the library was renumbered on the way.
        self.announce(user, head);
        Ok(Written { head, outcome })
    }

    async fn begin(&self, user: &UserId, intent: &Intent) -> Result<LibraryWriter, Error> {
        LibraryWriter::begin(&self.db, user.clone(), intent.device.clone(), self.limits).await
    }

    /// Begins a write on a head that is not below one that was known before.
    async fn begin_write(&self, user: &UserId, intent: &Intent) -> Result<LibraryWriter, Error> {
        let known = self.known.of(user);
        let writer = self.begin(user, intent).await?;
        if known <= Some(writer.head_before()) {
            return Ok(writer);
        }
        let head = writer.roll_back().await?;
        self.settle(user, head, known, None).await?;
        self.begin(user, intent).await
    }

    fn announce(&self, user: &UserId, head: Head) {
        self.known.raise(user, head);
        let user = user.clone();
        self.broker.publish(Notice { user, head });
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

/// How long to wait before a transaction is begun again: longer each time, and never as long as another does that was
/// in the way of this one.
fn pause(tried: u32) -> Duration {
    Duration::from_millis(fastrand::u64(5..25)) * tried
}
