//! One viewer's stream of heads, which every transport translates.
//!
//! In the flow: a transport calls [`Feed::follow`]; the hub wakes it; the library reads the head.
//!
//! **Invariant:** watch first, then read. A change between the two is seen twice rather than missed.
//! **Invariant (monotonic):** a stream yields its user's current head at once, then only greater ones. A head that one
//! stream yielded reaches the user's other local streams too, unless they already have a greater one.
//! **Invariant (converging):** [`Feed::keep_fresh`] re-reads every watched head once a period, and at once when the
//! broker reports possible loss. A stream is at most one period stale even if every notice is lost.
//! **Invariant:** a head read from the database below a known one begins a new epoch, so no stream goes silent when the
//! database goes back in time.

mod heads;

use std::{sync::Arc, time::Duration};

use metrics::{counter, histogram};
use time::OffsetDateTime;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

pub use self::heads::{FeedEvent, Heads, UNMEASURED};
use crate::{
    broker::{Commit, Notice, Signal},
    hub::Hub,
    library::{Error, Library, Session},
    version::{Head, UserId},
};

/// Users per statement when heads are re-read.
const RECHECK_BATCH: usize = 500;

/// Initial backoff after heads could not be re-read.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);

/// Number of changes whose notices were lost that one recheck measures. Each costs a statement.
const MEASURED: usize = 100;

/// Opens streams of heads. Cheap to clone.
#[derive(Clone)]
pub struct Feed {
    library: Library,
    hub: Arc<Hub>,
}

impl Feed {
    /// Creates a feed of `library`'s heads, woken by `hub`.
    pub fn new(library: Library, hub: Arc<Hub>) -> Self {
        Self { library, hub }
    }

    /// Streams the user's current head, then each greater one. Heads coalesce: a slow reader skips to the newest.
    /// `claims` is the last head that the client reports to have received, `issued_at` the time of issue of its
    /// credential; `transport` is for measurements.
    ///
    /// The stream ends with the head that reports that the account was erased. Otherwise its transport ends it, when the
    /// token expires or the server drains.
    ///
    /// # Errors
    /// When the head cannot be read, or the user has signed out everywhere since the credential was issued.
    pub async fn follow(
        &self,
        user: &UserId,
        issued_at: Option<OffsetDateTime>,
        claims: Option<Head>,
        transport: &'static str,
    ) -> Result<Heads, Error> {
        let watch = self.hub.watch(user);
        self.report_notified_head(user);
        let session = Session::new(user, issued_at);
        let first = self.library.head_for_stream(session, claims).await?;
        // The notice may be late or lost, so raise the user's other local streams to this head too.
        self.hub
            .deliver(Signal::Notice(Notice::new(user.clone(), first)));
        Ok(Heads::new(self.library.clone(), watch, first, transport))
    }

    /// Measures that a device shows a head, as it reports with its requests.
    pub fn note_applied(&self, user: &UserId, device: &str, applied: Head) {
        let Some(raised) = self.hub.raised(user) else {
            return;
        };
        if raised.head.epoch == applied.epoch {
            let behind = raised
                .head
                .version
                .number()
                .saturating_sub(applied.version.number());
            histogram!("library_sync_device_lag_versions").record(f64::from(behind.max(0)));
        }
        if raised.head == applied
            && let Some(passage) = raised.passage
        {
            passage.applied(device);
        }
    }

    /// Re-reads the heads of all watched users once a `period`, and stale ones at once, until `ended`. Users whose heads
    /// cannot be read stay stale and are retried with exponential backoff, capped at `period`.
    pub async fn keep_fresh(&self, period: Duration, ended: CancellationToken) {
        let mut periods = tokio::time::interval_at(Instant::now() + period, period);
        periods.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut backoff = FIRST_BACKOFF;
        let work = async {
            loop {
                let users = tokio::select! {
                    _ = periods.tick() => self.hub.watched(),
                    users = self.hub.stale() => users,
                };
                let unread = self.recheck(&users, backoff == FIRST_BACKOFF).await;
                if unread.is_empty() {
                    backoff = FIRST_BACKOFF;
                    continue;
                }
                self.hub.deliver(Signal::RecheckUsers(unread));
                tokio::time::sleep(backoff.min(period)).await;
                backoff = (backoff * 2).min(period);
            }
        };
        tokio::select! {
            () = ended.cancelled() => {}
            () = work => {}
        }
    }

    /// Reports the notified head to the library, so that a lower head in the database is detected.
    fn report_notified_head(&self, user: &UserId) {
        if let Some(head) = self.hub.head(user) {
            self.library.observe_head(user, head);
        }
    }

    /// Returns the commit of a head whose notice was lost, or is later than the recheck.
    async fn lost_commit(&self, user: &UserId, head: Head, is_measured: bool) -> Option<Commit> {
        if self.hub.head(user)? >= head {
            return None;
        }
        counter!("library_sync_notices_healed_total").increment(1);
        if !is_measured {
            return None;
        }
        let at = self.library.written_at(user, head).await.ok().flatten()?;
        Some(Commit {
            at,
            trace: None,
            broker: "recheck",
        })
    }

    /// Re-reads heads. Returns the users whose heads were not read: after a failed batch, the rest is not tried, because
    /// it would most likely fail too.
    async fn recheck(&self, users: &[UserId], is_first_attempt: bool) -> Vec<UserId> {
        for (number, batch) in users.chunks(RECHECK_BATCH).enumerate() {
            for user in batch {
                self.report_notified_head(user);
            }
            match self.library.heads(batch).await {
                Ok(heads) => {
                    for (count, (user, head)) in heads.into_iter().enumerate() {
                        let commit = self.lost_commit(&user, head, count < MEASURED).await;
                        let notice = Notice {
                            commit,
                            ..Notice::new(user, head)
                        };
                        self.hub.deliver(Signal::Notice(notice));
                    }
                }
                Err(error) => {
                    if is_first_attempt {
                        tracing::warn!(
                            error = error.causes(),
                            "cannot re-read watched heads; until this recovers, streams learn of changes by notices only"
                        );
                    }
                    return users[number * RECHECK_BATCH..].to_vec();
                }
            }
        }
        Vec::new()
    }
}
