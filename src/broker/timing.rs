//! Timeouts and reconnect pauses of broker connections.

use std::time::Duration;

/// Timeouts and reconnect pauses of broker connections.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Timeout of a connect or of a call. After it, the link has failed.
    pub patience: Duration,
    /// Interval of health checks. A server that hangs with open connections is detected within this plus
    /// [`Timing::patience`].
    pub probe: Duration,
    /// First pause of the exponential backoff with jitter between reconnects.
    pub first_pause: Duration,
    /// Longest pause between reconnects.
    pub longest_pause: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(5),
            probe: Duration::from_secs(5),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
        }
    }
}
