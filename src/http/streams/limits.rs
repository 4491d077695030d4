//! Settings that limit streams.

use std::time::Duration;

use crate::duration::{parse_life, parse_period, parse_wait};

/// Limits on streams.
#[derive(Debug, Clone, clap::Args)]
pub struct StreamLimits {
    /// Maximum number of open streams of one user, over all transports.
    #[arg(long, env, default_value_t = 20, value_name = "COUNT")]
    pub max_streams_per_user: usize,
    /// Maximum number of open streams.
    #[arg(long, env, default_value_t = 100_000, value_name = "COUNT")]
    pub max_streams: usize,
    /// Maximum lifetime of a stream, with a jitter of 10%. With 0s, a stream lasts as long as its token.
    #[arg(long, env, default_value = "1h", value_name = "DURATION", value_parser = parse_life)]
    pub max_stream_life: Duration,
    /// Maximum number of concurrent operations on one WebSocket.
    #[arg(long, env, default_value_t = 50, value_name = "COUNT")]
    pub max_operations_per_socket: usize,
    /// Maximum rate of frames read from one WebSocket, per second, with bursts of ten seconds' worth. A frame counts once
    /// for each 4 KiB, and at least once. Frames over the rate wait. 0 disables the limit.
    #[arg(long, env, default_value_t = 200, value_name = "COUNT")]
    pub max_message_rate: u32,
    /// Time limit for a WebSocket client to send connection_init.
    #[arg(long, env, default_value = "3s", value_name = "DURATION", value_parser = parse_period)]
    pub init_timeout: Duration,
    /// On shutdown, spread the ends of streams over this time, to prevent a reconnect storm. Must not exceed
    /// `--shutdown-grace`.
    #[arg(long, env, default_value = "5s", value_name = "DURATION", value_parser = parse_wait)]
    pub drain_spread: Duration,
    /// Time limit for running operations to finish once the server stops.
    #[arg(skip)]
    pub grace: Duration,
}
