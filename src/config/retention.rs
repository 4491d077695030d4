//! How long history and receipts are kept.

use std::time::Duration;

use clap::Args;
use humantime::parse_duration;

use super::period::parse_period;

/// What is kept for clients that come back.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Retention")]
pub struct Retention {
    /// How long a device may be away and still be told what changed, rather than start afresh.
    #[arg(long, env, default_value = "90d", value_name = "DURATION", value_parser = parse_duration)]
    pub keep_history: Duration,
    /// How long a mutation may wait to be sent again under its idempotency key.
    #[arg(long, env, default_value = "30d", value_name = "DURATION", value_parser = parse_duration)]
    pub keep_receipts: Duration,
    /// How often to purge what is older, first when the server has run for so long.
    #[arg(long, env, default_value = "1h", value_name = "DURATION", value_parser = parse_period)]
    pub purge_every: Duration,
}
