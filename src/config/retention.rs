//! How long history and mutation receipts are kept.

use std::time::Duration;

use clap::Args;

use crate::duration::{parse_life, parse_period};

/// How long history and mutation receipts are kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Retention")]
pub struct Retention {
    /// How long a device may be offline and still sync incrementally. After it, the device runs a full sync.
    #[arg(long, env, default_value = "90d", value_name = "DURATION", value_parser = parse_life)]
    pub keep_history: Duration,
    /// How long a mutation may be retried with the same idempotency key.
    #[arg(long, env, default_value = "30d", value_name = "DURATION", value_parser = parse_life)]
    pub keep_receipts: Duration,
    /// Interval between deletions of older history and receipts. The first runs one interval after startup.
    #[arg(long, env, default_value = "1h", value_name = "DURATION", value_parser = parse_period)]
    pub purge_every: Duration,
}
