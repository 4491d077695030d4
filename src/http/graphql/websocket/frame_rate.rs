//! The rate limit of frames that are read from one WebSocket.
//!
//! In the flow: [`Fragmented`](super::fragmentation::Fragmented) checks the limit before each frame. The limit counts
//! frames instead of messages, because a message may consist of any number of empty frames (RFC 6455, section 5.4).
//!
//! **Invariant:** frames above the rate are read later and are not refused. The delay does not affect other clients.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Burst size, as the time that its frames take at the permitted rate.
const BURST: Duration = Duration::from_secs(10);

/// Bytes that one count covers. A longer frame counts several times, and an empty one counts once.
const ONE_FRAME: u64 = 4 << 10;

/// The rate limit of one client, as a generic cell rate algorithm (GCRA).
#[derive(Debug)]
pub(super) struct FrameRate {
    /// Time between two frames at the permitted rate.
    each: Duration,
    /// Theoretical arrival time of the next frame: when the frames read so far would end at the permitted rate.
    even: Instant,
    /// The timer that wakes the reader. `None` while the reader does not wait.
    wait: Option<Pin<Box<Sleep>>>,
}

impl FrameRate {
    /// Permits `per_second` frames a second. Returns `None` for 0, which means no limit.
    pub fn new(per_second: u32) -> Option<Self> {
        let each = Duration::from_secs(1).checked_div(per_second)?;
        Some(Self {
            each,
            even: Instant::now(),
            wait: None,
        })
    }

    /// Returns when the client is at most one burst ahead of its rate.
    fn due(&self) -> Instant {
        self.even.checked_sub(BURST).unwrap_or(self.even)
    }

    /// Whether the next frame may be read.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due() <= now
    }

    /// Counts a frame of `bytes` bytes.
    pub fn count(&mut self, bytes: u64, now: Instant) {
        let frames = u32::try_from((1 + bytes / ONE_FRAME).min(u64::from(u32::MAX)));
        let frames = frames.unwrap_or(u32::MAX);
        self.even = self.even.max(now) + self.each.saturating_mul(frames);
    }

    /// Waits until the next frame may be read.
    pub fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = self.due();
        if due > Instant::now() {
            let wait = self.wait.get_or_insert_with(|| Box::pin(sleep_until(due)));
            ready!(wait.as_mut().poll(cx));
        }
        self.wait = None;
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of frames that are read at `now`, and the delay of the next frame.
    fn burst(rate: &mut FrameRate, now: Instant) -> (u32, Duration) {
        let mut read = 0;
        while rate.is_due(now) {
            rate.count(10, now);
            read += 1;
        }
        (read, rate.due() - now)
    }

    #[test]
    fn a_client_may_be_a_burst_ahead_and_is_then_read_at_its_rate() {
        let mut rate = FrameRate::new(5).unwrap();
        let now = Instant::now();
        let fifth = Duration::from_millis(200);
        assert_eq!(burst(&mut rate, now), (51, fifth));
        assert_eq!(burst(&mut rate, now + fifth), (1, fifth));
        let later = now + Duration::from_hours(1);
        let (read, _) = burst(&mut rate, later);
        assert_eq!(read, 51, "silence earns no more than a burst");
    }

    #[test]
    fn a_long_frame_counts_as_several_and_no_limit_is_none() {
        let mut rate = FrameRate::new(1).unwrap();
        let now = Instant::now();
        rate.count(10 * ONE_FRAME, now);
        assert!(!rate.is_due(now));
        assert!(FrameRate::new(0).is_none());
    }
}
