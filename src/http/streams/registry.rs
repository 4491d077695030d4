//! The open streams of this node: their limits and their ends.
//!
//! In the flow: every long-lived transport takes a [`StreamPermit`] after authentication, holds it for the lifetime of
//! the stream, and selects on [`StreamPermit::end`].
//!
//! **Invariant:** only an authenticated stream takes a permit, so anonymous clients cannot exhaust them.
//! **Invariant:** dropping a permit releases it, for every end of a stream.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::{counter, gauge};
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep_until};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use super::{
    end_reason::EndReason,
    end_signal::{EndSignal, StreamEnd},
    limits::StreamLimits,
    open_streams::OpenStreams,
};
use crate::{
    auth::Viewer,
    library::{DeviceStream, Presence, StreamEnder},
    version::UserId,
};

/// Upper bound of an unlimited lifetime, because timers cannot wait indefinitely.
const YEAR: Duration = Duration::from_hours(365 * 24);

/// Spread of `Retry-After` while the node stops, in seconds, so that clients do not reconnect all at once.
const RETRY_SPREAD: u32 = 5;

/// The transport of a stream; the label `transport` of metrics and logs.
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

/// Why a stream is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamRefused {
    /// The user has reached [`StreamLimits::max_streams_per_user`], which it holds.
    #[error("too many open streams: the limit per user is {0}; close one first")]
    User(usize),
    /// The node has reached [`StreamLimits::max_streams`].
    #[error("the server has reached its limit of streams; retry later")]
    Node,
    /// The node is stopping. Holds when to retry, in seconds.
    #[error("the server is stopping; retry")]
    Draining(u32),
}

impl StreamRefused {
    /// Returns the stable code that clients branch on.
    pub fn code(self) -> &'static str {
        match self {
            Self::User(_) => "TOO_MANY_STREAMS",
            Self::Node | Self::Draining(_) => "UNAVAILABLE",
        }
    }

    /// Returns when to retry, in seconds.
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
    open: Mutex<OpenStreams>,
    /// Sequence number of refusals, from a random start per node.
    refused: AtomicU64,
    /// Tracks the permits, so that a stopping server can wait for the last.
    tracker: TaskTracker,
}

impl StreamEnder for Streams {
    fn sign_out(&self, user: &UserId, before: i64) {
        self.0.open.lock().sign_out(user, before);
    }

    fn is_new(&self, user: &UserId, ended_at: i64) -> bool {
        self.0.open.lock().is_new(user, ended_at)
    }

    fn end_device(&self, user: &UserId, device: &str, opened_before: i64) {
        self.0.open.lock().end_device(user, device, opened_before);
    }
}

impl Streams {
    /// Creates an empty registry. Cancelling `drain` refuses new streams.
    pub fn new(limits: StreamLimits, drain: CancellationToken) -> Self {
        Self(Arc::new(Registry {
            limits,
            drain,
            open: Mutex::default(),
            refused: AtomicU64::new(fastrand::u64(..)),
            tracker: TaskTracker::new(),
        }))
    }

    /// Returns the limits.
    pub fn limits(&self) -> &StreamLimits {
        &self.0.limits
    }

    /// Ends all streams, spread over [`StreamLimits::drain_spread`]. The drain token must be cancelled before, so that no
    /// stream opens meanwhile.
    pub async fn end_all(&self) {
        let began = Instant::now();
        let ends = self.0.open.lock().ends().into_iter();
        let mut ends: Vec<_> = ends.map(|(number, end)| (self.lag(number), end)).collect();
        ends.sort_unstable_by_key(|(lag, _)| *lag);
        for (lag, end) in ends {
            sleep_until(began + lag).await;
            end.give(EndReason::Drained);
        }
    }

    /// Returns the delay of a stream's end after the start of a drain.
    fn lag(&self, number: u64) -> Duration {
        self.limits().drain_spread.mul_f64(fraction(number))
    }

    /// Waits until no stream is open.
    pub async fn all_ended(&self) {
        self.0.tracker.close();
        self.0.tracker.wait().await;
    }

    /// Returns the token that is cancelled when no more streams may open.
    pub fn drain(&self) -> &CancellationToken {
        &self.0.drain
    }

    /// Returns the next of a sequence of evenly spread numbers in `0.0..1.0`, to spread the retries of refused clients.
    pub fn fraction(&self) -> f64 {
        fraction(self.0.refused.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns the refusal of a stopping node.
    pub fn draining(&self) -> StreamRefused {
        let wait = Duration::from_secs(RETRY_SPREAD.into()).mul_f64(self.fraction());
        StreamRefused::Draining(1 + u32::try_from(wait.as_secs()).unwrap_or(RETRY_SPREAD))
    }

    /// Takes a permit for a stream of the viewer.
    ///
    /// # Errors
    /// When the user or the node has reached its limit, or the node is stopping.
    pub fn open(
        &self,
        viewer: &Viewer,
        transport: Transport,
    ) -> Result<StreamPermit, StreamRefused> {
        let label = <&str>::from(transport);
        let end = Arc::<EndSignal>::default();
        let number = self.take(viewer, &end).inspect_err(|refused| {
            counter!("library_sync_streams_refused_total", "transport" => label, "code" => refused.code())
                .increment(1);
        })?;
        gauge!("library_sync_streams", "transport" => label).increment(1);
        tracing::debug!(
            user.id = %viewer.user,
            stream.transport = label,
            stream.number = number,
            "stream opened"
        );
        let (life, reason) = life(
            viewer.expires_at,
            self.0.limits.max_stream_life,
            fraction(number),
        );
        let since = Instant::now();
        Ok(StreamPermit {
            streams: self.clone(),
            end,
            user: viewer.user.clone(),
            transport: label,
            number,
            since,
            deadline: (since + life, reason),
            outcome: "gone",
            presence: None,
            device: None,
            _tracked: self.0.tracker.token(),
        })
    }

    fn take(&self, viewer: &Viewer, end: &Arc<EndSignal>) -> Result<u64, StreamRefused> {
        let limits = &self.0.limits;
        let mut open = self.0.open.lock();
        // Under the lock, so that `end_all` misses no stream.
        if self.0.drain.is_cancelled() {
            return Err(self.draining());
        }
        if open.total() >= limits.max_streams {
            return Err(StreamRefused::Node);
        }
        if open.count(&viewer.user) >= limits.max_streams_per_user {
            return Err(StreamRefused::User(limits.max_streams_per_user));
        }
        Ok(open.add(viewer, end))
    }
}

/// The permit of one open stream. Dropping it releases it.
#[derive(Debug)]
pub struct StreamPermit {
    streams: Streams,
    end: Arc<EndSignal>,
    user: UserId,
    transport: &'static str,
    number: u64,
    since: Instant,
    /// The latest end of the stream, and its reason.
    deadline: (Instant, EndReason),
    outcome: &'static str,
    /// The device, if it is named, for push messages.
    presence: Option<Presence>,
    /// The device, if it is named, for the list of devices.
    device: Option<DeviceStream>,
    _tracked: TaskTrackerToken,
}

impl StreamPermit {
    /// Holds what is recorded about the stream's device.
    #[must_use]
    pub fn attended(mut self, presence: Option<Presence>, device: DeviceStream) -> Self {
        let mut open = self.streams.0.open.lock();
        open.name_device(&self.user, self.number, device.device());
        drop(open);
        self.presence = presence;
        self.device = Some(device);
        self
    }

    /// Waits until the server must end the stream.
    pub fn end(&self) -> StreamEnd {
        StreamEnd::new(&self.end, self.deadline)
    }

    /// Returns the maximum time to finish running operations after `end`. While the node stops it is shorter for
    /// streams that end later, so that all finish at the same deadline.
    pub fn grace(&self, end: EndReason) -> Duration {
        let grace = self.streams.limits().grace;
        match end {
            EndReason::Drained => grace.saturating_sub(self.lag()),
            _ => grace,
        }
    }

    /// Returns the delay of this stream's end after the start of a drain.
    fn lag(&self) -> Duration {
        self.streams.lag(self.number)
    }

    /// Returns this stream's position in `0.0..1.0`, to spread simultaneous acts of many streams.
    pub fn fraction(&self) -> f64 {
        fraction(self.number)
    }

    /// Sets the reason of the stream's end for metrics. The default is `gone`: the client has disconnected.
    pub fn note(&mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.streams.0.open.lock().remove(&self.user, self.number);
        let has_token_ended = [EndReason::Expired, EndReason::SignedOut]
            .map(<&str>::from)
            .contains(&self.outcome);
        if let Some(device) = &mut self.device
            && has_token_ended
        {
            device.end_of_token();
        }
        let (transport, outcome) = (self.transport, self.outcome);
        gauge!("library_sync_streams", "transport" => transport).decrement(1);
        counter!("library_sync_stream_ends_total", "transport" => transport, "reason" => outcome)
            .increment(1);
        tracing::debug!(
            user.id = %self.user,
            stream.transport = transport,
            stream.number = self.number,
            stream.end = outcome,
            duration_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            "stream ended"
        );
    }
}

/// Returns the remaining lifetime of a stream, and the reason of its end.
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

/// Returns the fractional part of `number` times the golden ratio: a low-discrepancy sequence, so consecutive streams
/// are spread evenly.
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
                grace: Duration::from_secs(15),
                ..crate::config::defaults()
            }
        }
    }

    fn viewer(user: &str, life: Duration) -> Viewer {
        Viewer {
            user: UserId::new(user).unwrap(),
            expires_at: OffsetDateTime::now_utc() + life,
            issued_at: None,
            credential: Credential::Bearer,
        }
    }

    fn streams(limits: StreamLimits) -> Streams {
        Streams::new(limits, CancellationToken::new())
    }

    const HOUR: Duration = Duration::from_hours(1);
    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_dropped_permit_is_available_to_its_user_again() {
        let streams = streams(StreamLimits {
            max_streams_per_user: 2,
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
    fn the_node_has_a_limit_and_keeps_nothing_of_released_permits() {
        let streams = streams(StreamLimits {
            max_streams: 1,
            ..StreamLimits::default()
        });
        let permit = streams.open(&viewer("ann", DAY), Transport::Events);
        let refused = streams.open(&viewer("bob", DAY), Transport::Events);
        assert_eq!(refused.unwrap_err(), StreamRefused::Node);
        drop(permit);
        let open = streams.0.open.lock();
        assert_eq!((open.total(), open.users()), (0, 0));
    }

    fn issued(user: &str, seconds: i64) -> Viewer {
        Viewer {
            issued_at: OffsetDateTime::from_unix_timestamp(seconds).ok(),
            ..viewer(user, DAY)
        }
    }

    #[tokio::test]
    async fn a_sign_out_ends_the_streams_of_older_credentials_of_its_user() {
        let streams = streams(StreamLimits::default());
        let open = |viewer| streams.open(&viewer, Transport::Events).unwrap();
        let (old, new) = (open(issued("ann", 9)), open(issued("ann", 10)));
        let (unknown, bob) = (open(viewer("ann", DAY)), open(issued("bob", 9)));
        streams.sign_out(&old.user, 10_000);
        assert_eq!(old.end().await, EndReason::SignedOut);
        assert_eq!(unknown.end().await, EndReason::SignedOut);
        assert!(new.end().now_or_never().is_none());
        assert!(bob.end().now_or_never().is_none());
    }

    #[test]
    fn a_request_to_end_streams_is_new_once_and_only_where_the_user_has_streams() {
        let streams = streams(StreamLimits::default());
        let ann = viewer("ann", DAY);
        assert!(!streams.is_new(&ann.user, 5));
        let _stream = streams.open(&ann, Transport::Events).unwrap();
        assert!(streams.is_new(&ann.user, 5));
        assert!(!streams.is_new(&ann.user, 5) && !streams.is_new(&ann.user, 4));
        assert!(streams.is_new(&ann.user, 6));
    }

    #[test]
    fn a_node_that_drains_opens_no_stream() {
        let streams = streams(StreamLimits::default());
        streams.drain().cancel();
        let refused = streams.open(&viewer("ann", DAY), Transport::Events);
        assert!(matches!(refused, Err(StreamRefused::Draining(_))));
    }

    #[test]
    fn a_stopping_node_spreads_the_retries_of_refused_clients() {
        let streams = streams(StreamLimits::default());
        let mut waits: Vec<_> = (0..20).map(|_| streams.draining().retry_after()).collect();
        waits.sort_unstable();
        assert_eq!((waits[0], waits[19]), (1, RETRY_SPREAD));
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
    async fn a_stream_ends_at_its_maximum_lifetime() {
        let streams = streams(StreamLimits {
            max_stream_life: Duration::from_millis(20),
            ..StreamLimits::default()
        });
        let permit = streams.open(&viewer("ann", DAY), Transport::Events);
        assert_eq!(permit.unwrap().end().await, EndReason::TooOld);
    }

    #[test]
    fn a_maximum_lifetime_of_zero_is_unlimited() {
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
        let permits: Vec<_> = (0..20)
            .map(|_| streams.open(&ann, Transport::Events).unwrap())
            .collect();
        let mut ends = join_all(permits.iter().map(StreamPermit::end));
        assert!((&mut ends).now_or_never().is_none());
        streams.drain().cancel();
        let (ends, ()) = tokio::join!(timeout(HOUR, ends), streams.end_all());
        assert_eq!(ends.unwrap(), [EndReason::Drained; 20]);

        assert!(streams.all_ended().now_or_never().is_none());
        drop(permits);
        timeout(HOUR, streams.all_ended()).await.unwrap();
    }

    #[test]
    fn consecutive_streams_are_spread_evenly() {
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
        fn a_lifetime_is_bounded_by_the_token_and_by_the_maximum(token in 0u64..10_000, longest in 1u64..10_000, n: u64) {
            let expires_at = OffsetDateTime::now_utc() + Duration::from_secs(token);
            let (life, _) = life(expires_at, Duration::from_secs(longest), fraction(n));
            prop_assert!(life <= Duration::from_secs(token));
            prop_assert!(life <= Duration::from_secs(longest).mul_f64(1.1));
        }
    }
}
