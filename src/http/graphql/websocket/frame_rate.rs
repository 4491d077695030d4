//! The rate at which the frames of one WebSocket are read.
//!
//! In the flow: [`Fragmented`](super::fragmentation::Fragmented) asks before each frame. Frames are counted, not messages: a
//! message may consist of any number of empty frames (RFC 6455, section 5.4).
//!
//! **Invariant:** a client that sends faster than it may is read later, and costs other clients nothing.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// How many seconds' worth of frames may come at once.
const BURST: Duration = Duration::from_secs(10);

/// A frame counts once for each so many bytes, and at least once.
const ONE_FRAME: u64 = 4 << 10;

/// How fast a client may send.
#[derive(Debug)]
pub(super) struct FrameRate {
    /// The time that one frame stands for.
    each: Duration,
    /// When everything that was read would have come at an even rate.
    even: Instant,
    /// Wakes the reader. `None` while it need not wait.
    wait: Option<Pin<Box<Sleep>>>,
}

impl FrameRate {
    /// So many frames a second; 0 for no limit, which is `None`.
    pub fn new(per_second: u32) -> Option<Self> {
        let each = Duration::from_secs(1).checked_div(per_second)?;
        Some(Self {
            each,
            even: Instant::now(),
            wait: None,
        })
    }

    /// When the client is no more than a burst ahead.
    fn due(&self) -> Instant {
        self.even.checked_sub(BURST).unwrap_or(self.even)
    }

    /// Whether the next frame may be read.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due() <= now
    }

    /// Counts a frame of so many bytes.
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

    /// How many frames are read at once, and how long after `now` the next is.
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
