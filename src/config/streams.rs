//! How versions are pushed.

use std::time::Duration;

use clap::Args;
use humantime::parse_duration;

use super::{period::parse_period, secret::Secret};

/// How versions are pushed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Streams")]
pub struct Streams {
    /// What carries notices between nodes: `memory:` (none; for a server that is alone), `postgres:` (the database
    /// itself, or another by `postgres://user:password@host/name`), `redis://user:password@host:6379`,
    /// `redis+sentinel://host:26379,host:26379/master`, `redis+cluster://host:6379,host:6379` (`rediss` in place of
    /// `redis` for TLS) or `nats://user:password@host:4222,host:4222` (`tls` in place of `nats` for TLS). Installations
    /// that share a server need a prefix each: `redis://host?prefix=books`.
    #[arg(
        long,
        env,
        default_value = "memory:",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub broker_url: Secret,
    /// The period of heartbeats on streams, and of re-reading watched versions.
    #[arg(long, env, default_value = "30s", value_name = "DURATION", value_parser = parse_period)]
    pub heartbeat: Duration,
    /// How many streams of one user may be open, over all transports.
    #[arg(long, env, default_value_t = 20, value_name = "COUNT")]
    pub max_streams_per_user: usize,
    /// How many streams may be open in all.
    #[arg(long, env, default_value_t = 100_000, value_name = "COUNT")]
    pub max_streams: usize,
    /// How long a stream may last, give or take a tenth. 0s: as long as its token.
    #[arg(long, env, default_value = "1h", value_name = "DURATION", value_parser = parse_duration)]
    pub max_stream_life: Duration,
    /// How many operations may run at once on one WebSocket.
    #[arg(long, env, default_value_t = 50, value_name = "COUNT")]
    pub max_operations_per_socket: usize,
    /// The most messages a second that are read from one WebSocket, ten seconds' worth at once; a long one counts once
    /// for each 4 KiB. What comes faster waits. 0 for no limit.
    #[arg(long, env, default_value_t = 200, value_name = "COUNT")]
    pub max_message_rate: u32,
    /// How long a WebSocket may take to send connection_init.
    #[arg(long, env, default_value = "3s", value_name = "DURATION", value_parser = parse_duration)]
    pub init_timeout: Duration,
    /// The largest message of a WebSocket until connection_ack, in bytes.
    #[arg(long, env, default_value_t = 16 << 10, value_name = "BYTES")]
    pub max_init_message: usize,
    /// How many WebSockets may be open without connection_ack. One more closes the oldest of them with 1013. 0 for no
    /// limit.
    #[arg(long, env, default_value_t = 3_000, value_name = "COUNT")]
    pub max_pending_sockets: usize,
    /// How many of them may be from one address; further ones are refused. 0 for no limit.
    #[arg(long, env, default_value_t = 1_000, value_name = "COUNT")]
    pub max_pending_sockets_per_address: usize,
    /// How long a ticket for opening a stream can be used.
    #[arg(long, env, default_value = "30s", value_name = "DURATION", value_parser = parse_period)]
    pub ticket_life: Duration,
    /// How long a client may leave what it was sent unread before its connection is dropped. One that has fallen behind
    /// is also dropped if it reads less than 4 KiB a second on average, beyond that time.
    #[arg(long, env, default_value = "10s", value_name = "DURATION", value_parser = parse_period)]
    pub write_timeout: Duration,
    /// Over how long the ends of streams are spread when the server stops; no longer than `--shutdown-grace`.
    #[arg(long, env, default_value = "5s", value_name = "DURATION", value_parser = parse_duration)]
    pub drain_spread: Duration,
}
