//! The open streams of this node: how many there may be, and when each ends.
//!
//! In the flow: every transport that stays open takes a [`Place`] once its viewer is known, holds it as long as the
//! stream lasts, and selects on [`Place::end`].
//!
//! **Invariant:** only an authenticated stream takes a permit, so strangers cannot fill the node.
//! **Invariant:** a permit is given back by dropping it, whatever ends the stream.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::{counter, gauge};
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use crate::{auth::Viewer, version::UserId};

/// How long "without end" lasts, since timers cannot wait for ever.
const YEAR: Duration = Duration::from_hours(365 * 24);

/// Over how many seconds those come back that a stopping node turns away by `Retry-After`, so that its neighbour is not
/// met by all at once.
const RETURN_SPREAD: u32 = 5;

/// How many streams there may be, how long they last, and what one may ask for.
#[derive(Debug, Clone)]
pub struct StreamLimits {
    /// Streams that one user may have open on this node, over all transports.
    pub per_user: usize,
    /// Streams that may be open on this node.
    pub total: usize,
    /// How long a stream may last, give or take a tenth. Zero: as long as its token.
    pub max_life: Duration,
    /// Over how long the ends of streams are spread when the node stops.
    pub drain_spread: Duration,
    /// How long what is under way may take to finish once the node is to stop.
    pub grace: Duration,
    /// Operations that may run at once on one WebSocket.
    pub operations_per_socket: usize,
    /// Messages a second that are heard of one WebSocket. Zero: as many as come.
    pub messages_per_second: u32,
    /// How long a WebSocket may take to send `connection_init`.
    pub init_timeout: Duration,
}

/// How a stream reaches its client; the `transport` of metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Transport {
    /// GraphQL over WebSocket.
    Websocket,
    /// GraphQL over server-sent events.
    Sse,
    /// GraphQL over multipart.
    Multipart,
    /// `/api/library-version-events`.
    Events,
}

/// Why the server ends a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum EndReason {
    /// Its token ran out.
    Expired,
    /// It reached [`StreamLimits::max_life`].
    TooOld,
    /// The node is stopping.
    Drained,
}

impl EndReason {
    /// The stable code that clients branch on.
    pub fn code(self) -> &'static str {
        match self {
            Self::Expired => "TOKEN_EXPIRED",
            Self::TooOld => "STREAM_TOO_OLD",
            Self::Drained => "SERVER_STOPPING",
        }
    }

    /// What the client is told.
    pub fn message(self) -> &'static str {
        match self {
            Self::Expired => "the token has expired",
            Self::TooOld => "the stream has reached its longest life; open it again",
            Self::Drained => "the server is stopping; open the stream again",
        }
    }
}

/// Why a stream is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamRefused {
    /// [`StreamLimits::per_user`], which it holds, is reached.
    #[error("you have {0} streams open, as many as one user may; close one first")]
    User(usize),
    /// [`StreamLimits::total`] is reached.
    #[error("this server has as many streams open as it may; try again soon")]
    Node,
    /// The node is stopping. Holds when to try again, in seconds.
    #[error("the server is stopping; try again")]
    Draining(u32),
}

impl StreamRefused {
    /// The stable code that clients branch on.
    pub fn code(self) -> &'static str {
        match self {
            Self::User(_) => "TOO_MANY_STREAMS",
            Self::Node | Self::Draining(_) => "UNAVAILABLE",
        }
    }

    /// When it makes sense to try again, in seconds.
    pub fn retry_after(self) -> u32 {
        match self {
            Self::User(_) => 10,
            Self::Node => 5,
            Self::Draining(seconds) => seconds,
        }
    }
}

/// The open streams of this node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Streams(Arc<Registry>);

#[derive(Debug)]
struct Registry {
    limits: StreamLimits,
    drain: CancellationToken,
    open: Mutex<Open>,
    /// How many were turned away, which numbers them. Nodes start at numbers of their own.
    turned_away: AtomicU64,
    /// Counts the places too, to tell a stopping server when the last is given back.
    tracker: TaskTracker,
}

#[derive(Debug, Default)]
struct Open {
    /// How many each user has; no entry means none.
    per_user: HashMap<UserId, usize>,
    total: usize,
    /// How many were ever opened, which numbers them.
    ever: u64,
}

impl Streams {
    /// Starts with none open. They end, and no new one is opened, when `drain` is cancelled.
    pub fn new(limits: StreamLimits, drain: CancellationToken) -> Self {
        Self(Arc::new(Registry {
            limits,
            drain,
            open: Mutex::default(),
            turned_away: AtomicU64::new(fastrand::u64(..)),
            tracker: TaskTracker::new(),
        }))
    }

    /// The limits that hold here.
    pub fn limits(&self) -> &StreamLimits {
        &self.0.limits
    }

    /// Waits until no stream is open.
    pub async fn all_ended(&self) {
        self.0.tracker.close();
        self.0.tracker.wait().await;
    }

    /// Cancelled when the node is to stop.
    pub fn drain(&self) -> &CancellationToken {
        &self.0.drain
    }

    /// Where in a range one who is turned away stands, from 0 up to but not 1, to spread their return.
    pub fn fraction(&self) -> f64 {
        fraction(self.0.turned_away.fetch_add(1, Ordering::Relaxed))
    }

    /// What one is told who comes while the node is stopping.
    pub fn draining(&self) -> StreamRefused {
        let wait = Duration::from_secs(RETURN_SPREAD.into()).mul_f64(self.fraction());
        StreamRefused::Draining(1 + u32::try_from(wait.as_secs()).unwrap_or(RETURN_SPREAD))
    }

    /// Takes a permit for a stream of the viewer.
    ///
    /// # Errors
    /// When the user or the node has as many as it may, or the node is stopping.
    pub fn open(
        &self,
        viewer: &Viewer,
        transport: Transport,
    ) -> Result<StreamPermit, StreamRefused> {
        let number = self.take(&viewer.user).inspect_err(|refused| {
            counter!("library_sync_streams_refused_total",
                "transport" => <&str>::from(transport), "code" => refused.code())
            .increment(1);
        })?;
        gauge!("library_sync_streams", "transport" => <&str>::from(transport)).increment(1);
        tracing::debug!(
            user.id = %viewer.user,
            stream.transport = <&str>::from(transport),
            stream.number = number,
            "a stream opens"
        );
        let (life, reason) = life(viewer.expires_at, self.0.limits.max_life, fraction(number));
        let since = Instant::now();
        Ok(StreamPermit {
            streams: self.clone(),
            user: viewer.user.clone(),
            transport,
            number,
            since,
            deadline: (since + life, reason),
            outcome: "gone",
            _counted: self.0.tracker.token(),
        })
    }

    fn take(&self, user: &UserId) -> Result<u64, StreamRefused> {
        let Registry {
            limits,
            drain,
            open,
            ..
        } = &*self.0;
        if drain.is_cancelled() {
            return Err(self.draining());
        }
        let mut open = open.lock();
        if open.total >= limits.total {
            return Err(StreamRefused::Node);
        }
        let mine = open.per_user.get(user).copied().unwrap_or(0);
        if mine >= limits.per_user {
            return Err(StreamRefused::User(limits.per_user));
        }
        open.per_user.insert(user.clone(), mine + 1);
        open.total += 1;
        open.ever += 1;
        Ok(open.ever)
    }

    fn give_back(&self, user: &UserId) {
        let mut open = self.0.open.lock();
        open.total -= 1;
        if let Entry::Occupied(mut mine) = open.per_user.entry(user.clone()) {
            *mine.get_mut() -= 1;
            if *mine.get() == 0 {
                mine.remove();
            }
        }
    }
}

/// The permit of one open stream. Dropping it gives the permit up.
#[derive(Debug)]
pub struct StreamPermit {
    streams: Streams,
    user: UserId,
    transport: Transport,
    number: u64,
    since: Instant,
    /// When the stream ends at the latest, and why.
    deadline: (Instant, EndReason),
    /// Why it ended, as far as is known.
    outcome: &'static str,
    _counted: TaskTrackerToken,
}

impl StreamPermit {
    /// Waits until the server has a reason to end the stream.
    pub fn end(&self) -> impl Future<Output = EndReason> + Send + use<> {
        let (deadline, reason) = self.deadline;
        let lag = self.lag();
        let drain = self.streams.drain().clone();
        async move {
            let drained = async {
                drain.cancelled().await;
                tokio::time::sleep(lag).await;
            };
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => reason,
                () = drained => EndReason::Drained,
            }
        }
    }

    /// How long what this stream has begun may take to finish after its end. A node that stops does not wait longer for
    /// the last to end than for the first.
    pub fn grace(&self, end: EndReason) -> Duration {
        let grace = self.streams.limits().grace;
        match end {
            EndReason::Drained => grace.saturating_sub(self.lag()),
            EndReason::Expired | EndReason::TooOld => grace,
        }
    }

    /// How long after the others this stream ends when the node stops.
    fn lag(&self) -> Duration {
        self.streams.limits().drain_spread.mul_f64(self.fraction())
    }

    /// Where in a range this stream stands, from 0 up to but not 1, to spread what many streams would do at once.
    pub fn fraction(&self) -> f64 {
        fraction(self.number)
    }

    /// Notes why the stream ends, for metrics. Unless noted, its client has gone.
    pub fn note(&mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.streams.give_back(&self.user);
        let transport = <&str>::from(self.transport);
        gauge!("library_sync_streams", "transport" => transport).decrement(1);
        counter!("library_sync_stream_ends_total", "transport" => transport, "reason" => self.outcome)
            .increment(1);
        tracing::debug!(
            user.id = %self.user,
            stream.transport = transport,
            stream.number = self.number,
            stream.end = self.outcome,
            duration_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            "a stream has ended"
        );
    }
}

/// How long a stream lasts from now, and what ends it then.
fn life(expires_at: OffsetDateTime, max_life: Duration, fraction: f64) -> (Duration, EndReason) {
    let left = expires_at - OffsetDateTime::now_utc();
    let left = Duration::try_from(left).unwrap_or(Duration::ZERO);
    let longest = if max_life.is_zero() {
        YEAR
    } else {
        max_life.min(YEAR).mul_f64(0.9 + 0.2 * fraction)
    };
    if left < longest {
        (left, EndReason::Expired)
    } else {
        (longest, EndReason::TooOld)
    }
}

/// The fractional part of `number` golden ratios: streams opened one after the other lie evenly, never in clusters.
fn fraction(number: u64) -> f64 {
    let [.., a, b, c, d] = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
    f64::from(u32::from_le_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, future::join_all};
    use proptest::prelude::*;
    use tokio::time::timeout;

    use super::*;
    use crate::auth::Credential;

    impl Default for StreamLimits {
        fn default() -> Self {
            Self {
                per_user: 20,
                total: 100_000,
                max_life: Duration::from_hours(1),
                drain_spread: Duration::from_secs(5),
                grace: Duration::from_secs(15),
                operations_per_socket: 50,
                messages_per_second: 200,
                init_timeout: Duration::from_secs(3),
            }
        }
    }

    fn viewer(user: &str, life: Duration) -> Viewer {
        Viewer {
            user: UserId::new(user).unwrap(),
            expires_at: OffsetDateTime::now_utc() + life,
            credential: Credential::Bearer,
        }
    }

    fn streams(limits: StreamLimits) -> Streams {
        Streams::new(limits, CancellationToken::new())
    }

    const HOUR: Duration = Duration::from_hours(1);
    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_user_has_so_many_places_and_gets_one_back_for_each_dropped() {
        let streams = streams(StreamLimits {
            per_user: 2,
            ..StreamLimits::default()
        });
        let ann = viewer("ann", DAY);
        let first = streams.open(&ann, Transport::Events).unwrap();
        let _second = streams.open(&ann, Transport::Websocket).unwrap();
        let refused = streams.open(&ann, Transport::Sse).unwrap_err();
        assert_eq!(refused, StreamRefused::User(2));
        assert_eq!(refused.code(), "TOO_MANY_STREAMS");
        assert!(streams.open(&viewer("bob", DAY), Transport::Events).is_ok());
        drop(first);
        assert!(streams.open(&ann, Transport::Sse).is_ok());
    }

    #[test]
    fn the_node_has_so_many_places_and_keeps_nothing_of_those_given_back() {
        let streams = streams(StreamLimits {
            total: 1,
            ..StreamLimits::default()
        });
        let permit = streams.open(&viewer("ann", DAY), Transport::Events);
        let refused = streams.open(&viewer("bob", DAY), Transport::Events);
        assert_eq!(refused.unwrap_err(), StreamRefused::Node);
        drop(permit);
        let open = streams.0.open.lock();
        assert_eq!((open.total, open.per_user.len()), (0, 0));
    }

    #[test]
    fn a_node_that_drains_opens_no_stream() {
        let streams = streams(StreamLimits::default());
        streams.drain().cancel();
        let refused = streams.open(&viewer("ann", DAY), Transport::Events);
        assert!(matches!(refused, Err(StreamRefused::Draining(_))));
    }

    #[test]
    fn those_who_a_stopping_node_turns_away_come_back_at_different_times() {
        let streams = streams(StreamLimits::default());
        let mut waits: Vec<_> = (0..20).map(|_| streams.draining().retry_after()).collect();
        waits.sort_unstable();
        assert_eq!((waits[0], waits[19]), (1, RETURN_SPREAD));
        waits.dedup();
        assert_eq!(waits.len(), 5, "{waits:?}");
    }

    #[tokio::test]
    async fn a_stream_ends_when_its_token_expires() {
        let streams = streams(StreamLimits::default());
        let ann = viewer("ann", Duration::from_millis(20));
        let permit = streams.open(&ann, Transport::Events).unwrap();
        assert_eq!(permit.end().await, EndReason::Expired);
        assert!(OffsetDateTime::now_utc() >= ann.expires_at);
    }

    #[tokio::test]
    async fn a_stream_ends_at_its_longest_life() {
        let streams = streams(StreamLimits {
            max_life: Duration::from_millis(20),
            ..StreamLimits::default()
        });
        let permit = streams.open(&viewer("ann", DAY), Transport::Events);
        assert_eq!(permit.unwrap().end().await, EndReason::TooOld);
    }

    #[test]
    fn a_longest_life_of_zero_is_none() {
        let expires_at = OffsetDateTime::now_utc() + DAY;
        assert_eq!(life(expires_at, HOUR, 0.5).1, EndReason::TooOld);
        assert_eq!(life(expires_at, Duration::ZERO, 0.5).1, EndReason::Expired);
    }

    #[tokio::test]
    async fn a_drain_ends_every_stream_within_its_spread() {
        let spread = Duration::from_millis(50);
        let streams = streams(StreamLimits {
            drain_spread: spread,
            ..StreamLimits::default()
        });
        let ann = viewer("ann", DAY);
        let places: Vec<_> = (0..20)
            .map(|_| streams.open(&ann, Transport::Events).unwrap())
            .collect();
        let mut ends = join_all(places.iter().map(StreamPermit::end));
        assert!((&mut ends).now_or_never().is_none());
        streams.drain().cancel();
        assert_eq!(timeout(HOUR, ends).await.unwrap(), [EndReason::Drained; 20]);

        assert!(streams.all_ended().now_or_never().is_none());
        drop(places);
        timeout(HOUR, streams.all_ended()).await.unwrap();
    }

    #[test]
    fn streams_opened_one_after_the_other_are_spread_evenly() {
        for first in [0, 1, 7_000, u64::MAX - 50] {
            let mut tenths = [0; 10];
            for number in 0..50 {
                let tenth = fraction(first + number) * 10.0;
                tenths[format!("{tenth:.9}")[..1].parse::<usize>().unwrap()] += 1;
            }
            assert!(tenths.iter().all(|n| (4..=6).contains(n)), "{tenths:?}");
        }
    }

    proptest! {
        #[test]
        fn a_fraction_is_from_0_up_to_but_not_1(number: u64) {
            prop_assert!((0.0..1.0).contains(&fraction(number)));
        }

        #[test]
        fn a_life_ends_by_the_token_and_by_the_longest_life(token in 0u64..10_000, longest in 1u64..10_000, n: u64) {
            let expires_at = OffsetDateTime::now_utc() + Duration::from_secs(token);
            let (life, _) = life(expires_at, Duration::from_secs(longest), fraction(n));
            prop_assert!(life <= Duration::from_secs(token));
            prop_assert!(life <= Duration::from_secs(longest).mul_f64(1.1));
        }
    }
}
