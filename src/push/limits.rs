//! Limits and times of Web Push and of the webhook.

use std::time::Duration;

use clap::{Args, builder::TypedValueParser as _};

use super::push_service::TestService;
use crate::duration::{parse_lease, parse_wait};

/// Maximum duration of a request to a push service or to the webhook's receiver.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum length of a response that is read, in bytes.
pub(super) const MAX_RESPONSE: usize = 4 << 10;

/// How long a push service keeps a message for a device that is off: FCM's maximum, 28 days.
pub(super) const TTL: Duration = Duration::from_hours(28 * 24);

/// Maximum time until a failed message is sent again.
pub(super) const MAX_BACKOFF: Duration = Duration::from_hours(24);

/// Time until a message is sent again that a push service refused because of this server's settings.
pub(super) const REFUSED_BACKOFF: Duration = Duration::from_hours(1);

/// How long an endpoint may fail before it is removed.
pub(super) const MAX_FAILING: Duration = Duration::from_hours(14 * 24);

/// Limits and times of Web Push and of the webhook.
#[derive(Debug, Clone, Args)]
pub struct PushLimits {
    /// Settle time: how long after a change a push message is sent at the earliest. A device that fetches the change
    /// meanwhile gets no message.
    #[arg(long, env, default_value = "10s", value_name = "DURATION", value_parser = parse_wait)]
    pub push_delay: Duration,
    /// Interval of the search for changes whose notice was lost.
    #[arg(long, env, default_value = "1m", value_name = "DURATION", value_parser = parse_lease)]
    pub push_sweep: Duration,
    /// Lease of a node's messages and open streams. When a node dies, other nodes take over after this time.
    #[arg(long, env, default_value = "1m", value_name = "DURATION", value_parser = parse_lease)]
    pub push_lease: Duration,
    /// Initial backoff after a push service failed. It doubles with each failure, up to a day, with jitter.
    #[arg(long, env, default_value = "30s", value_name = "DURATION", value_parser = parse_lease)]
    pub push_retry: Duration,
    /// Maximum number of concurrent requests of this node to one push service, and to the webhook's receiver.
    #[arg(
        long,
        env,
        default_value_t = 16,
        value_name = "COUNT",
        value_parser = clap::value_parser!(u16).range(1..=1_000).map(usize::from)
    )]
    pub push_concurrency: usize,
    /// For tests only: origin of a push service that may have a private address and no TLS, such as
    /// `http://127.0.0.1:8091`.
    #[arg(long, env, value_name = "ORIGIN")]
    pub push_allow: Option<TestService>,
}

impl PushLimits {
    /// Returns the timeout of one request. Two requests fit into a lease, because a message may be sent a second time.
    pub(super) fn request_timeout(&self) -> Duration {
        REQUEST_TIMEOUT.min(self.push_lease / 3)
    }
}
