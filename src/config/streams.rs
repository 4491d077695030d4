//! Settings of streams and of the broker between nodes.

use std::time::Duration;

use clap::Args;

use super::secret::Secret;
use crate::{
    duration::parse_period,
    http::{PendingLimits, StreamLimits},
};

/// Settings of streams and of the broker between nodes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Streams")]
pub struct Streams {
    /// Broker that carries notices between nodes: `memory:` (none, for a single node), `postgres:` (the database, or another
    /// one with `postgres://user:password@host/name`), `redis://user:password@host:6379`,
    /// `redis+sentinel://host:26379,host:26379/master`, `redis+cluster://host:6379,host:6379` (`rediss` instead of `redis`
    /// for TLS) or `nats://user:password@host:4222,host:4222` (`tls` instead of `nats` for TLS). Installations that share a
    /// broker each need their own prefix: `redis://host?prefix=books`.
    #[arg(
        long,
        env,
        default_value = "memory:",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub broker_url: Secret,
    /// Interval of heartbeats on streams, and of re-reading the watched versions.
    #[arg(long, env, default_value = "30s", value_name = "DURATION", value_parser = parse_period)]
    pub heartbeat: Duration,
    /// Limits on streams.
    #[command(flatten)]
    pub limits: StreamLimits,
    /// Maximum size of a WebSocket message before connection_ack, in bytes.
    #[arg(long, env, default_value_t = 16 << 10, value_name = "BYTES")]
    pub max_init_message: usize,
    /// Limits on the WebSockets that are not acknowledged.
    #[command(flatten)]
    pub pending: PendingLimits,
    /// Lifetime of a ticket that opens a stream.
    #[arg(long, env, default_value = "30s", value_name = "DURATION", value_parser = parse_period)]
    pub ticket_life: Duration,
    /// Time limit for a client to read the data sent to it. A client that exceeds it is disconnected. A client that has
    /// fallen behind must also read at least 4 KiB per second on average after that time.
    #[arg(long, env, default_value = "10s", value_name = "DURATION", value_parser = parse_period)]
    pub write_timeout: Duration,
}
