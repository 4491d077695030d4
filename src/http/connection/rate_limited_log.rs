//! Rate-limited log lines for events that can happen thousands of times a second.

use std::time::Duration;

use tokio::time::Instant;

/// Minimum time between two lines.
const PERIOD: Duration = Duration::from_secs(10);

/// Decides which events write a line.
#[derive(Debug, Default)]
pub(super) struct RateLimitedLog {
    written: Option<Instant>,
    /// Number of events since the last line.
    events: u64,
}

impl RateLimitedLog {
    /// Counts an event. Returns the number of events to report now, or `None` within [`PERIOD`] of the last line.
    pub fn due(&mut self) -> Option<u64> {
        self.events += 1;
        if self.written.is_some_and(|at| at.elapsed() < PERIOD) {
            return None;
        }
        self.written = Some(Instant::now());
        Some(std::mem::take(&mut self.events))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reports_how_many_events_there_were_since_the_last() {
        let mut log = RateLimitedLog::default();
        let reported: Vec<_> = (0..50).filter_map(|_| log.due()).collect();
        assert_eq!(reported, [1]);
        log.written = Instant::now().checked_sub(PERIOD);
        assert_eq!(log.due(), Some(50));
    }
}
