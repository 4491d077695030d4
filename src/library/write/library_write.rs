//! [`Library::write`]: one change of one user's library, from its turn to its notice.
//!
//! In the flow: `graphql` and `import` call it with a closure, which changes rows through the [`LibraryWriter`] that it
//! is handed. A committed change is announced through the broker.
//!
//! **Invariant:** what is answered as written was committed, by one step of the version.

use std::time::Duration;

use futures_util::future::BoxFuture;
use metrics::counter;
use serde::{Serialize, de::DeserializeOwned};
use tracing::Instrument as _;

use super::{intent::Intent, receipt, writer::LibraryWriter, written::Written};
use crate::{
    broker::Notice,
    library::{
        error::{Error, Refusal},
        handle::Library,
    },
    version::{Head, UserId},
};

/// How often a write is begun that others get in the way of.
const WRITE_TRIES: u32 = 4;

impl Library {
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
        let outcome = match apply(&mut writer, change).await {
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

    pub(in crate::library) fn announce(&self, user: &UserId, head: Head) {
        self.known.raise(user, head);
        let user = user.clone();
        self.broker.publish(Notice { user, head });
    }
}

/// Applies a change, and counts what the library holds after it.
async fn apply<T, F>(writer: &mut LibraryWriter, change: F) -> Result<T, Error>
where
    F: for<'w> FnOnce(&'w mut LibraryWriter) -> BoxFuture<'w, Result<T, Error>>,
{
    let outcome = change(&mut *writer).await?;
    writer.keep_usage().await?;
    Ok(outcome)
}

/// How long to wait before a transaction is begun again: longer each time, and never as long as another does that was
/// in the way of this one.
fn pause(tried: u32) -> Duration {
    Duration::from_millis(fastrand::u64(5..25)) * tried
}
