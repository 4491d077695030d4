//! [`Library::write`]: one change of one user's library, from its turn to its notice.
//!
//! In the flow: `graphql` and `import` call it with a closure, which changes rows through the [`LibraryWriter`] that it
//! receives. A committed change is announced through the broker.
//!
//! **Invariant:** a change reported as written was committed, as one step of the version.

use std::{future::Future, time::Duration};

use futures_util::future::BoxFuture;
use metrics::counter;
use serde::{Serialize, de::DeserializeOwned};
use tracing::Instrument as _;
use uuid::Uuid;

use super::{
    intent::Intent, receipt, write_spans::WriteSpans, writer::LibraryWriter, written::Written,
};
use crate::{
    broker::{Commit, Notice},
    library::{
        error::{Error, Refusal},
        handle::Library,
    },
    trace,
    version::{Head, UserId},
};

/// Attempts of a write that conflicts with other transactions.
const WRITE_TRIES: u32 = 4;

impl Library {
    /// Changes a user's library. This is the only way to do so, except for the fast path of [`Library::update_progress`].
    ///
    /// Begins a transaction, bumps the version, runs `change`, and commits if `change` stamped or removed a row. After an
    /// error, a refusal or no change it rolls back, and the version stays. It runs in a detached task that outlives the
    /// caller: a client disconnect cannot separate the commit from its notice, or leave an open transaction in the pool.
    ///
    /// With [`Intent::once`], the outcome is stored. Sending the same change again returns the same outcome and head.
    ///
    /// # Errors
    /// Every [`Error`] except [`Error::Refused`], which is an outcome.
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
        self.write_in_turn(user, |library, user| async move {
            library.write_in_transaction(&user, &intent, change).await
        })
        .await
    }

    /// Runs a write in a detached task, when it is the user's turn.
    pub(super) async fn write_in_turn<T, W>(
        &self,
        user: &UserId,
        write: impl FnOnce(Self, UserId) -> W + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Error>> + Send,
    {
        let (library, user) = (self.clone(), user.clone());
        let write = async move {
            library.db.check_file()?;
            let _turn = library.db.admit_write(&user).await?;
            write(library, user).await
        }
        .in_current_span();
        self.writes.spawn(write).await.map_err(Error::fault)?
    }

    /// Makes a change in a transaction, and again if it conflicts with other transactions.
    pub(super) async fn write_in_transaction<T, F>(
        &self,
        user: &UserId,
        intent: &Intent,
        change: F,
    ) -> Result<Written<T>, Error>
    where
        T: Serialize + DeserializeOwned,
        F: for<'w> FnOnce(&'w mut LibraryWriter) -> BoxFuture<'w, Result<T, Error>> + Clone,
    {
        for attempt in 1..WRITE_TRIES {
            let done = self.write_once(user, intent, change.clone());
            match self.db.in_time(done).await {
                Err(error) if error.is_contention() => {
                    counter!("library_sync_write_retries_total").increment(1);
                    tokio::time::sleep(backoff(attempt)).await;
                }
                done => return done,
            }
        }
        let done = self.write_once(user, intent, change);
        self.db.in_time(done).await
    }

    /// Dry run: makes a change, rolls it back, and returns its outcome. Nothing is announced.
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
            let _turn = library.db.admit_write(&owner).await?;
            let intent = Intent::default().of_many_rows();
            let mut writer =
                LibraryWriter::begin(&library.db, owner, &intent, library.limits).await?;
            let outcome = apply(&mut writer, change).await;
            writer.roll_back().await?;
            match outcome {
                Ok(value) => Ok(Ok(value)),
                Err(Error::Refused(refusal)) => Ok(Err(refusal)),
                Err(error) => Err(error),
            }
        };
        self.write_apart(rehearsal).await
    }

    async fn write_once<T, F>(
        &self,
        user: &UserId,
        intent: &Intent,
        change: F,
    ) -> Result<Written<T>, Error>
    where
        T: Serialize + DeserializeOwned,
        F: for<'w> FnOnce(&'w mut LibraryWriter) -> BoxFuture<'w, Result<T, Error>>,
    {
        let spans = intent.span.map(WriteSpans::begin);
        let mut writer = self.begin_write(user, intent).await?;
        if intent.copy.is_some_and(|copy| writer.is_erased_since(copy)) {
            writer.roll_back().await?;
            return Err(Error::Erased);
        }
        writer.trace = spans.as_ref().map(WriteSpans::commit_position);
        if let Some(once) = &intent.once
            && let Some(before) = writer.find_answer(once).await?
        {
            // The earlier answer, or its notice, may have been lost after the commit. Announcing a head again is
            // harmless.
            let head = writer.roll_back().await?;
            counter!("library_sync_mutation_replays_total").increment(1);
            self.announce(user, head, None);
            return Ok(before);
        }
        let outcome = match apply(&mut writer, change).await {
            Ok(value) => Ok(value),
            Err(Error::Refused(refusal)) => Err(refusal),
            Err(error) => {
                // If the rollback fails, the connection is closed, which rolls back too.
                let _ = writer.roll_back().await;
                return Err(error);
            }
        };
        if outcome.is_err() || !writer.has_changed() {
            // Boxed, because the future is large and rarely needed.
            return Box::pin(self.keep_unchanged(writer, user, intent, outcome)).await;
        }
        let answer = intent
            .once
            .as_ref()
            .map(|_| receipt::answer(&outcome))
            .transpose()?;
        let head = self.commit(writer, user, (intent, answer), spans).await?;
        Ok(Written::now(head, outcome))
    }

    /// Commits a change and announces it.
    async fn commit(
        &self,
        mut writer: LibraryWriter,
        user: &UserId,
        (intent, answer): (&Intent, Option<String>),
        mut spans: Option<WriteSpans>,
    ) -> Result<Head, Error> {
        if let Some(spans) = &mut spans {
            spans.begin_commit();
        }
        let progresses = writer.take_used();
        let head = writer.commit(intent, answer).await?;
        self.committed(user, head, progresses, spans);
        Ok(head)
    }

    /// Records and announces a change that was committed, which used `progresses`.
    pub(super) fn committed(
        &self,
        user: &UserId,
        head: Head,
        progresses: Vec<Uuid>,
        spans: Option<WriteSpans>,
    ) {
        self.uses.record(user, progresses);
        self.db.wrote();
        counter!("library_sync_changes_total").increment(1);
        let commit = Commit {
            at: trace::now(),
            trace: spans.as_ref().map(WriteSpans::commit_position),
            broker: "local",
        };
        if let Some(spans) = spans {
            spans.end(commit.at);
        }
        self.announce(user, head, Some(commit));
    }

    /// Ends a write that changed nothing, and stores its answer.
    async fn keep_unchanged<T: Serialize + DeserializeOwned>(
        &self,
        mut writer: LibraryWriter,
        user: &UserId,
        intent: &Intent,
        outcome: Result<T, Refusal>,
    ) -> Result<Written<T>, Error> {
        let Some(once) = &intent.once else {
            let head = writer.roll_back().await?;
            return Ok(Written::now(head, outcome));
        };
        if writer.has_changed() {
            // Refused halfway. The rollback releases the lock, so another request may have stored an answer meanwhile.
            writer.roll_back().await?;
            writer = self.begin(user, intent).await?;
            if let Some(before) = writer.find_answer(once).await? {
                writer.roll_back().await?;
                return Ok(before);
            }
        }
        let head = writer.keep(once, receipt::answer(&outcome)?).await?;
        self.db.wrote();
        // Unchanged, unless the versions were renumbered meanwhile.
        self.announce(user, head, None);
        Ok(Written::now(head, outcome))
    }

    async fn begin(&self, user: &UserId, intent: &Intent) -> Result<LibraryWriter, Error> {
        LibraryWriter::begin(&self.db, user.clone(), intent, self.limits).await
    }

    /// Begins a write on a head that is not below the known one.
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

    pub(in crate::library) fn announce(&self, user: &UserId, head: Head, commit: Option<Commit>) {
        self.known.raise(user, head);
        self.broker.publish(Notice {
            commit,
            ..Notice::new(user.clone(), head)
        });
    }
}

/// Applies a change, and checks the library's size.
async fn apply<T, F>(writer: &mut LibraryWriter, change: F) -> Result<T, Error>
where
    F: for<'w> FnOnce(&'w mut LibraryWriter) -> BoxFuture<'w, Result<T, Error>>,
{
    let outcome = change(&mut *writer).await?;
    writer.check_size().await?;
    Ok(outcome)
}

/// Backoff with jitter before a transaction is retried. The jitter separates two transactions that conflicted.
fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(fastrand::u64(5..25)) * attempt
}
