//! Keeps a link to one server open, and transfers notices over it in both directions.
//!
//! **Invariant:** any failure fails the link. The supervisor opens another with exponential backoff and jitter, so that the
//! nodes do not reconnect all at once.
//! **Invariant:** every call on a link has a timeout, so a server that hangs is treated like one that is down.

use std::{
    collections::HashSet,
    convert::Infallible,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use metrics::{counter, gauge};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    connection::{Fault, Link, Route},
    inbox::Inbox,
    interest::Interest,
    notice::{Notice, Signal},
    outbox::Outbox,
    timing::Timing,
};
use crate::{error_chain::in_one_line, version::UserId};

/// Maximum number of users with unsent notices.
pub(super) const CAPACITY: usize = 65_536;

/// Maximum number of users in one subscription call.
const BATCH: usize = 500;

/// On close, time limit to send the unsent notices, and time limit to close the connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Manages one link of a broker.
pub(super) struct ConnectionSupervisor {
    pub outbox: Outbox,
    pub interest: Interest,
    inbox: Arc<Inbox>,
    timing: Timing,
    is_up: AtomicBool,
}

impl ConnectionSupervisor {
    /// Creates a supervisor without a link.
    pub fn new(inbox: Arc<Inbox>, timing: Timing) -> Self {
        Self {
            outbox: Outbox::new(CAPACITY),
            interest: Interest::default(),
            inbox,
            timing,
            is_up: AtomicBool::new(false),
        }
    }

    /// Queues a notice for the other nodes.
    pub fn send(&self, notice: Notice) {
        if !self.outbox.put(notice) {
            self.inbox.count_dropped("no_room");
        }
    }

    /// Returns whether there is a link.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// Waits up to a time limit until all notices are sent, if there is a link.
    pub async fn flush(&self) {
        if self.is_up() {
            // Later notices are lost, and a recheck compensates.
            let _ = timeout(CLOSE_TIMEOUT, self.outbox.emptied()).await;
        }
    }

    /// Keeps a link open until `stop`.
    pub async fn run<R: Route>(self: Arc<Self>, route: R, stop: CancellationToken) {
        // Export the gauge from the start.
        gauge!("library_sync_broker_connected", "broker" => self.inbox.broker).increment(0);
        let mut pauses = Pauses::new(&self.timing);
        let mut links = 0_u64;
        loop {
            let began = Instant::now();
            let before = links;
            let Some(fault) = self.use_link(&route, &stop, &mut links).await else {
                return;
            };
            if links > before && began.elapsed() > self.timing.longest_pause {
                pauses = Pauses::new(&self.timing);
            }
            self.log_fault(&fault, links > before || pauses.are_new());
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pauses.next()) => {}
            }
        }
    }

    /// Opens a link and uses it until it fails. Returns `None` after `stop`.
    async fn use_link<R: Route>(
        &self,
        route: &R,
        stop: &CancellationToken,
        links: &mut u64,
    ) -> Option<Fault> {
        let connecting = self.within("connecting", route.connect(&self.inbox));
        let link = tokio::select! {
            () = stop.cancelled() => return None,
            connected = connecting => match connected {
                Ok(link) => link,
                Err(fault) => return Some(fault),
            },
        };
        *links += 1;
        let _up = Up::new(self, *links);
        let used = async {
            let Err(fault) = tokio::try_join!(
                self.send_all(&link),
                self.follow_interest::<R>(&link),
                self.probe(&link),
                async { Err::<Infallible, _>(link.ended().await) },
            );
            fault
        };
        tokio::select! {
            () = stop.cancelled() => {}
            fault = used => return Some(fault),
        }
        let _ = timeout(CLOSE_TIMEOUT, link.close()).await;
        None
    }

    async fn send_all(&self, link: &impl Link) -> Result<Infallible, Fault> {
        let published =
            counter!("library_sync_broker_notices_published_total", "broker" => self.inbox.broker);
        loop {
            let batch = self.outbox.take().await;
            self.within("publishing", link.publish(batch.notices()))
                .await?;
            published.increment(batch.notices().len() as u64);
            batch.sent();
        }
    }

    async fn follow_interest<R: Route>(&self, link: &R::Link) -> Result<Infallible, Fault> {
        let (wanted, look) = self.interest.look();
        let mut subscribed = HashSet::new();
        if R::SELECTIVE {
            self.subscribe(link, &wanted, &mut subscribed).await?;
        }
        self.inbox.deliver(Signal::Recheck);
        loop {
            let (wanted, unwanted): (Vec<_>, Vec<_>) = look
                .changes()
                .await
                .into_iter()
                .filter(|(user, is_wanted)| R::SELECTIVE && *is_wanted != subscribed.contains(user))
                .partition(|(_, is_wanted)| *is_wanted);
            let users = |changes: Vec<(UserId, bool)>| -> Vec<_> {
                changes.into_iter().map(|(user, _)| user).collect()
            };
            let (wanted, unwanted) = (users(wanted), users(unwanted));
            self.subscribe(link, &wanted, &mut subscribed).await?;
            if !wanted.is_empty() {
                self.inbox.deliver(Signal::RecheckUsers(wanted));
            }
            for users in unwanted.chunks(BATCH) {
                self.within("unsubscribing", link.unsubscribe(users))
                    .await?;
            }
            for user in &unwanted {
                subscribed.remove(user);
            }
        }
    }

    async fn subscribe(
        &self,
        link: &impl Link,
        users: &[UserId],
        subscribed: &mut HashSet<UserId>,
    ) -> Result<(), Fault> {
        for users in users.chunks(BATCH) {
            self.within("subscribing", link.subscribe(users)).await?;
            subscribed.extend(users.iter().cloned());
        }
        Ok(())
    }

    async fn probe(&self, link: &impl Link) -> Result<Infallible, Fault> {
        loop {
            sleep(self.timing.probe).await;
            self.within("the health check", link.probe()).await?;
        }
    }

    async fn within<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let patience = self.timing.patience;
        match timeout(patience, call).await {
            Ok(result) => result,
            Err(_) => Err(format!("{what} took longer than {patience:?}").into()),
        }
    }

    /// Logs the begin of an outage as a warning, and further failures at level debug.
    fn log_fault(&self, fault: &Fault, is_news: bool) {
        let (broker, error) = (self.inbox.broker, in_one_line(fault.as_ref()));
        if is_news {
            tracing::warn!(
                broker,
                error,
                "broker unavailable; until it reconnects, other nodes notice changes only by rechecks"
            );
        } else {
            tracing::debug!(broker, error, "broker still unavailable");
        }
    }
}

/// Marks that there is a link, for metrics and [`ConnectionSupervisor::is_up`].
struct Up<'a>(&'a ConnectionSupervisor);

impl<'a> Up<'a> {
    fn new(supervisor: &'a ConnectionSupervisor, link: u64) -> Self {
        let broker = supervisor.inbox.broker;
        supervisor.is_up.store(true, Ordering::Relaxed);
        gauge!("library_sync_broker_connected", "broker" => broker).increment(1);
        if link > 1 {
            counter!("library_sync_broker_reconnects_total", "broker" => broker).increment(1);
        }
        tracing::info!(broker, "broker connected");
        Self(supervisor)
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.0.is_up.store(false, Ordering::Relaxed);
        gauge!("library_sync_broker_connected", "broker" => self.0.inbox.broker).decrement(1);
    }
}

/// Exponential backoff with jitter: each pause doubles, times a random factor from 0.5 to 1.
struct Pauses {
    first: Duration,
    next: Duration,
    longest: Duration,
}

impl Pauses {
    fn new(timing: &Timing) -> Self {
        Self {
            first: timing.first_pause,
            next: timing.first_pause,
            longest: timing.longest_pause,
        }
    }

    fn are_new(&self) -> bool {
        self.next == self.first
    }

    fn next(&mut self) -> Duration {
        let pause = self.next.min(self.longest);
        self.next = (pause * 2).min(self.longest);
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_exponentially_with_jitter_up_to_a_limit() {
        let mut pauses = Pauses::new(&Timing::default());
        assert!(pauses.are_new());
        let taken: Vec<_> = (0..20).map(|_| pauses.next().as_millis()).collect();
        assert!((50..=100).contains(&taken[0]), "{taken:?}");
        assert!((100..=200).contains(&taken[1]), "{taken:?}");
        assert!(
            taken[10..].iter().all(|ms| (2500..=5000).contains(ms)),
            "{taken:?}"
        );
        assert!(taken[10..].iter().any(|ms| *ms != taken[10]), "{taken:?}");
    }
}
