//! [`Caller`]: what resolvers can access. It is the viewer's own library, and no other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_graphql::Context;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use tokio::task::coop::consume_budget;
use tokio_util::sync::CancellationToken;

use super::limits::Limits;
use crate::{
    auth::{Purpose, Ticket, Viewer},
    feed::Feed,
    library::{
        Against, Delta, Device, Error, Intent, KeptTicket, Library, LibraryWriter, PageRequest,
        Progress, ProgressId, ProgressPatch, Search, Session, Updated, Written,
    },
    push::Push,
    trace::OpenSpan,
    version::{Head, Version},
};

/// The viewer of one operation, with access to the viewer's library.
pub(super) struct Caller {
    pub viewer: Viewer,
    /// Head before any resolver ran: a lower bound on how new the response is. `None` if the fields read it.
    pub before: Option<Head>,
    /// Minimum version of a query's response.
    pub at_least: Option<Version>,
    /// Head of the copy of the sending device, if it reports one.
    pub copy: Option<Head>,
    pub library: Library,
    pub feed: Feed,
    pub limits: Arc<Limits>,
    /// The sender of push messages. `None` while Web Push is off.
    pub push: Option<Push>,
    /// Newest head that this operation wrote or received.
    pub reached: Reached,
    /// Why a field could not read the head.
    pub unread: Mutex<Option<Error>>,
    /// Whether a field signed the caller out.
    pub is_signed_out: AtomicBool,
    pub allowance: Allowance,
    /// The span of the request, if it is traced.
    pub span: Option<OpenSpan>,
    /// The transport of a stream, for measurements.
    pub transport: &'static str,
}

impl Caller {
    /// Returns the session of the viewer.
    fn session(&self) -> Session<'_> {
        Session::new(&self.viewer.user, self.viewer.issued_at)
    }

    /// Changes the caller's library and records the new head.
    pub async fn write<T, F>(&self, intent: Intent, change: F) -> Result<Written<T>, Error>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        F: for<'w> FnOnce(&'w mut LibraryWriter) -> BoxFuture<'w, Result<T, Error>>
            + Clone
            + Send
            + 'static,
    {
        let (device, intent) = (intent.device.clone(), self.completed(intent));
        let written = self.library.write(&self.viewer.user, intent, change);
        self.written(device.as_ref(), written.await)
    }

    /// Changes a progress of the caller and records the new head.
    pub async fn update_progress(
        &self,
        intent: Intent,
        id: ProgressId,
        patch: ProgressPatch,
        against: Against,
    ) -> Result<Written<Updated<Progress>>, Error> {
        let (device, intent) = (intent.device.clone(), self.completed(intent));
        let user = &self.viewer.user;
        let written = self
            .library
            .update_progress(user, intent, id, patch, against);
        self.written(device.as_ref(), written.await)
    }

    /// Records the head of a change and its device, unless the change failed: the session may be signed out.
    fn written<T>(
        &self,
        device: Option<&Device>,
        written: Result<Written<T>, Error>,
    ) -> Result<Written<T>, Error> {
        let written = self.noted(written)?;
        if let Some(device) = device {
            self.library.note_device(&self.viewer.user, device);
        }
        self.reached.raise(written.head);
        Ok(written)
    }

    /// Adds what the request says of a change.
    fn completed(&self, intent: Intent) -> Intent {
        Intent {
            issued_at: self.session().issued_at,
            span: self.span,
            copy: self.copy,
            ..intent
        }
    }

    /// Creates a ticket of the caller. `None` if too many were not used.
    pub async fn create_ticket(
        &self,
        purpose: Purpose,
        life: Duration,
    ) -> Result<Option<Ticket>, Error> {
        let ticket = Ticket::random(purpose);
        let kept = KeptTicket {
            digest: ticket.digest(),
            user: self.viewer.user.clone(),
            expires_at: self.viewer.expires_at,
            issued_at: self.viewer.issued_at,
        };
        let kept = self.library.keep_ticket(kept, life, Ticket::MAX_PER_USER);
        Ok(kept.await?.then_some(ticket))
    }

    /// Returns the head before any resolver ran, for a mutation that reads no head itself.
    ///
    /// # Errors
    /// [`Error::SignedOut`] after a field that signed the caller out, and [`Error::Fault`] if a field was to read the head.
    pub fn head(&self) -> Result<Head, Error> {
        if self.is_signed_out.load(Ordering::Relaxed) {
            return Err(Error::SignedOut);
        }
        let missing = || Error::fault("the head was not read before the operation");
        self.before.ok_or_else(missing)
    }

    /// Returns the current head. It is never read from a replica.
    pub async fn present(&self) -> Result<Head, Error> {
        match self.before {
            Some(head) if !self.library.has_replica() => Ok(head),
            _ => self.library.head(self.session()).await,
        }
    }

    /// Reads the head that the response is at least as new as, if no field did: each has failed.
    ///
    /// # Errors
    /// Why no field could read the head, and as [`Library::for_query`].
    pub async fn read_missing_head(&self) -> Result<(), Error> {
        if self.answered().is_some() {
            return Ok(());
        }
        if let Some(error) = self.unread.lock().take() {
            return Err(error);
        }
        let found = self.library.for_query(self.session(), self.at_least).await;
        self.reached.raise(found?.1);
        Ok(())
    }

    /// Notes the error of a field that was to read the head, if a read of the head would have failed likewise.
    fn noted<T>(&self, done: Result<T, Error>) -> Result<T, Error> {
        use Error::{Behind, SignedOut, Unavailable, UnknownUser};
        if let Err(error @ (Behind { .. } | SignedOut | Unavailable(_) | UnknownUser)) = &done {
            *self.unread.lock() = Some(error.clone());
        }
        done
    }

    /// Reads a page of the changes of the caller's library.
    pub async fn changes(&self, request: PageRequest) -> Result<Delta, Error> {
        let changes = self.library.changes(self.session(), self.at_least, request);
        let changes = self.noted(changes.await)?;
        if self.before.is_none() {
            self.reached.raise(changes.head);
        }
        Ok(changes)
    }

    /// Returns the head that the response is at least as new as. `None` if it was not read.
    pub fn answered(&self) -> Option<Head> {
        self.reached.0.lock().or(self.before)
    }
}

/// Newest head that an operation wrote or that a stream reported.
#[derive(Clone, Default)]
pub(super) struct Reached(Arc<Mutex<Option<Head>>>);

impl Reached {
    pub fn raise(&self, head: Head) {
        let mut reached = self.0.lock();
        *reached = (*reached).max(Some(head));
    }
}

/// Access to the [`Caller`] from a resolver.
pub(super) trait CallerExt {
    fn caller(&self) -> &Caller;
}

impl CallerExt for Context<'_> {
    fn caller(&self) -> &Caller {
        let caller: &Arc<Caller> = self.data_unchecked();
        caller
    }
}

/// Maximum size of the database rows of an operation's lists, as a multiple of the maximum text in its response.
const ROWS_AN_ANSWER: usize = 4;

/// Remaining budget of an operation, for costs that cannot be computed from its document.
pub(super) struct Allowance {
    /// Bytes of text in the response.
    text: AtomicUsize,
    /// Bytes of the rows of lists, including text that the response does not select.
    rows: AtomicUsize,
    /// Number of search words.
    words: AtomicUsize,
    /// Cancelled when the text or the rows exceed the budget.
    is_overdrawn: CancellationToken,
    limits: Arc<Limits>,
}

impl Allowance {
    /// Returns the budget of a query.
    pub fn of_query(limits: &Arc<Limits>) -> Self {
        Self {
            text: limits.max_answer.into(),
            rows: limits.max_answer.saturating_mul(ROWS_AN_ANSWER).into(),
            words: limits.max_search_words.into(),
            is_overdrawn: CancellationToken::new(),
            limits: Arc::clone(limits),
        }
    }

    /// Returns the budget of a mutation or subscription. Its text and rows are not limited: the payload of a committed
    /// mutation must not be withheld, and the size of its change bounds it.
    pub fn of_other(limits: &Arc<Limits>) -> Self {
        Self {
            text: usize::MAX.into(),
            rows: usize::MAX.into(),
            ..Self::of_query(limits)
        }
    }

    /// Spends `bytes` of text, and yields to other tasks if this one has run for long. If the budget is exceeded, the
    /// future never completes: the executor waits for [`Allowance::overdrawn`] and drops the operation.
    pub async fn spend(&self, bytes: usize) {
        if take(&self.text, bytes) {
            return consume_budget().await;
        }
        self.is_overdrawn.cancel();
        std::future::pending::<()>().await;
    }

    /// Spends `bytes` of the rows of a list. If the budget is exceeded, the future never completes.
    pub async fn read(&self, bytes: u64) {
        if take(&self.rows, usize::try_from(bytes).unwrap_or(usize::MAX)) {
            return;
        }
        self.is_overdrawn.cancel();
        std::future::pending::<()>().await;
    }

    /// Completes when the text or the rows exceed the budget.
    pub async fn overdrawn(&self) {
        self.is_overdrawn.cancelled().await;
    }

    /// Spends the words of a search. Each word scans all texts of a library.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the operation exceeds the maximum number of search words.
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

/// Subtracts `count` from `left`. Returns `false` and changes nothing if `left` is smaller.
fn take(left: &AtomicUsize, count: usize) -> bool {
    let less = |left: usize| left.checked_sub(count);
    let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    taken.is_ok()
}
