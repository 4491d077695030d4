//! Logging to standard error: text on a terminal, JSON otherwise.

use std::io::{IsTerminal as _, stderr};

use anyhow::Context as _;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// JSON.
    Json,
}

/// Directives that override the filter: WebSocket messages may hold tokens, and a malformed line of a password file may
/// hold a password.
const NEVER: [&str; 2] = ["tungstenite=off", "sqlx_postgres::options::pgpass=off"];

/// Starts logging. Called once per process.
///
/// # Errors
/// When the filter is invalid.
pub fn init(filter: &str, format: Format) -> anyhow::Result<()> {
    let mut filter = EnvFilter::builder().parse(filter).context(
        "--log (LIBRARY_SYNC_LOG): invalid filter; try `info` or `info,library_sync=debug`",
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
