//! Logs, on standard error: readable on a terminal, JSON otherwise.

use std::io::{IsTerminal as _, stderr};

use anyhow::Context as _;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// How to write a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As text on a terminal, and as JSON otherwise.
    Auto,
    /// As text.
    Text,
    /// As JSON.
    Json,
}

/// What is not logged whatever the filter says: messages of WebSockets, tokens included; and the lines of a password
/// file that are malformed.
const NEVER: [&str; 2] = ["tungstenite=off", "sqlx_postgres::options::pgpass=off"];

/// Starts logging. Once a process.
///
/// # Errors
/// When the filter is none.
pub fn init(filter: &str, format: Format) -> anyhow::Result<()> {
    let mut filter = EnvFilter::builder().parse(filter).context(
        "--log (LIBRARY_SYNC_LOG) is no filter; try `info` or `info,library_sync=debug`",
    )?;
    for never in NEVER {
        filter = filter.add_directive(never.parse()?);
    }
    let json = match format {
        Format::Auto => !stderr().is_terminal(),
        Format::Text => false,
        Format::Json => true,
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
