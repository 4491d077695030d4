//! Settings of `library-sync canary`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use url::Url;

use super::{doctor::parse_origin, secret::Secret};
use crate::duration::parse_period;

/// `library-sync canary`.
#[derive(Debug, Clone, Args)]
pub struct Canary {
    /// Address of a server, such as `https://library.example.org`. Repeat it for each node: the change is made at the first,
    /// taken back at the last, and awaited at all.
    #[arg(long, required = true, value_name = "ORIGIN", value_parser = parse_origin)]
    pub url: Vec<Url>,
    /// Token of the user whose library is changed. Take a user for this purpose alone.
    #[arg(
        long,
        env,
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "TOKEN"
    )]
    pub token: Option<Secret>,
    /// Time limit of each step: opening the streams, the change, and its events.
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = parse_period)]
    pub timeout: Duration,
    /// File for the outcome as Prometheus text, for the textfile collector of node_exporter. It is replaced at once.
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
}
