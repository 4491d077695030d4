//! How long a server may take, and when it is connected to again.

use std::time::Duration;

/// How long a link may take, and how often it is looked after.
#[derive(Debug, Clone)]
pub struct Timing {
    /// How long a server may take to connect or to answer before it counts as dead.
    pub patience: Duration,
    /// How often a server is asked whether it lives. One that froze without closing its connections is noticed
    /// after at most this and [`Timing::patience`].
    pub probe: Duration,
    /// The first pause before connecting again; each further one is twice as long, give or take, up to
    /// [`Timing::longest_pause`].
    pub first_pause: Duration,
    /// The longest pause before connecting again.
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
