//! Logs, on standard error: readable on a terminal, JSON otherwise.

use std::io::{IsTerminal as _, stderr};

use anyhow::Context as _;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::{Log, LogFormat};

/// What is not logged whatever the filter says: messages of WebSockets, tokens included; and the lines of a password
/// file that are malformed.
const NEVER: [&str; 2] = ["tungstenite=off", "sqlx_postgres::options::pgpass=off"];

/// Starts logging. Once a process.
///
/// # Errors
/// When the filter is none.
pub fn init(log: &Log) -> anyhow::Result<()> {
    let mut filter = EnvFilter::builder().parse(&log.filter).context(
        "--log (LIBRARY_SYNC_LOG) is no filter; try `info` or `info,library_sync=debug`",
    )?;
    for never in NEVER {
        filter = filter.add_directive(never.parse()?);
    }
    let json = match log.format {
        LogFormat::Auto => !stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let registry = tracing_subscriber::registry().with(filter);
    if json {
        registry
            .with(fmt::layer().json().flatten_event(true).with_writer(stderr))
            .init();
    } else {
        registry
            .with(
                fmt::layer()
                    .with_ansi(stderr().is_terminal())
                    .with_writer(stderr),
            )
            .init();
    }
    Ok(())
}
