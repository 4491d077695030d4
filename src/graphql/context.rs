//! What a resolver can reach: the caller's own library and nothing else.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_graphql::Context;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use tokio::task::coop::consume_budget;
use tokio_util::sync::CancellationToken;

use super::limits::Limits;
use crate::{
    auth::Viewer,
    feed::Feed,
    library::{Error, Intent, Library, LibraryWriter, Search, Written},
    version::Head,
};

/// The viewer of one operation, and their library as of its start.
pub(super) struct Caller {
    pub viewer: Viewer,
    /// The head before any resolver ran: a lower bound on what the answer shows.
    pub head: Head,
    pub library: Library,
    pub feed: Feed,
    pub limits: Arc<Limits>,
    /// The newest head that this operation has come to by itself.
    pub reached: Reached,
    pub allowance: Allowance,
}

impl Caller {
    /// Changes the caller's library.
    pub async fn write<T, F>(&self, intent: Intent, change: F) -> Result<Written<T>, Error>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        F: for<'w> FnOnce(&'w mut LibraryWriter) -> BoxFuture<'w, Result<T, Error>>
            + Clone
            + Send
            + 'static,
    {
        let written = self
            .library
            .write(&self.viewer.user, intent, change)
            .await?;
        self.reached.raise(written.head);
        Ok(written)
    }

    /// The head as it is now, never a replica's.
    pub async fn present(&self) -> Result<Head, Error> {
        if self.library.has_replica() {
            return self.library.head(&self.viewer.user).await;
        }
        Ok(self.head)
    }

    /// The version that the answer is at least as new as.
    pub fn answered(&self) -> Head {
        self.reached.0.lock().unwrap_or(self.head)
    }
}

/// The newest head that an operation wrote, or that a stream has told.
#[derive(Clone, Default)]
pub(super) struct Reached(Arc<Mutex<Option<Head>>>);

impl Reached {
    pub fn raise(&self, head: Head) {
        let mut reached = self.0.lock();
        *reached = (*reached).max(Some(head));
    }
}

/// Reaches the [`Caller`] from a resolver.
pub(super) trait CallerExt {
    fn caller(&self) -> &Caller;
}

impl CallerExt for Context<'_> {
    fn caller(&self) -> &Caller {
        let caller: &Arc<Caller> = self.data_unchecked();
        caller
    }
}

/// How many times the text of an answer the rows of an operation's lists may hold.
const ROWS_AN_ANSWER: usize = 4;

/// What an operation may still use of what its document does not tell in advance.
pub(super) struct Allowance {
    /// Bytes of text in the answer.
    text: AtomicUsize,
    /// Bytes of the rows of lists, whether their texts are in the answer or not.
    rows: AtomicUsize,
    /// Words to search for.
    words: AtomicUsize,
    /// Cancelled when there is more text than allowed.
    is_overdrawn: CancellationToken,
    limits: Arc<Limits>,
}

impl Allowance {
    /// What a query may use.
    pub fn of_query(limits: &Arc<Limits>) -> Self {
        Self {
            text: limits.max_answer.into(),
            rows: limits.max_answer.saturating_mul(ROWS_AN_ANSWER).into(),
            words: limits.max_search_words.into(),
            is_overdrawn: CancellationToken::new(),
            limits: Arc::clone(limits),
        }
    }

    /// What anything else may: what a mutation answers about a change that it has made is not withheld, and is bounded
    /// by the change.
    pub fn of_other(limits: &Arc<Limits>) -> Self {
        Self {
            text: usize::MAX.into(),
            rows: usize::MAX.into(),
            ..Self::of_query(limits)
        }
    }

    /// Uses so many bytes of text, and lets other tasks run if this one has run for long. Never returns if that is more
    /// than allowed: whoever runs the operation then drops it, by [`Allowance::overdrawn`].
    pub async fn spend(&self, bytes: usize) {
        if take(&self.text, bytes) {
            return consume_budget().await;
        }
        self.is_overdrawn.cancel();
        std::future::pending::<()>().await;
    }

    /// Uses so many bytes of the rows of a list, as [`Allowance::spend`] uses those of text.
    pub async fn read(&self, bytes: u64) {
        if take(&self.rows, usize::try_from(bytes).unwrap_or(usize::MAX)) {
            return;
        }
        self.is_overdrawn.cancel();
        std::future::pending::<()>().await;
    }

    /// Waits until the answer has become too large.
    pub async fn overdrawn(&self) {
        self.is_overdrawn.cancelled().await;
    }

    /// Uses the words of a search. Each costs a look at all texts of a library.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the operation has searched for too many already.
    pub fn search(&self, search: &Search) -> Result<(), Error> {
        if take(&self.words, search.len()) {
            return Ok(());
        }
        let most = self.limits.max_search_words;
        Err(Error::Invalid {
            field: "search",
            message: format!(
                "an operation may search for at most {most} words, each counted once for its list and once for `totalCount`"
            ),
        })
    }
}

/// Takes `count` from what is left, if it is enough.
fn take(left: &AtomicUsize, count: usize) -> bool {
    let less = |left: usize| left.checked_sub(count);
    let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    taken.is_ok()
}
