//! Logging settings.

use clap::Args;

use crate::telemetry::Format;

/// Logging settings.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logging")]
pub struct Log {
    /// Log filter: a level, or levels by module such as `info,library_sync::http=debug`.
    #[arg(
        long = "log",
        env = "LOG",
        global = true,
        default_value = "info,sea_orm_migration=warn,sqlx=warn,async_nats=off",
        value_name = "FILTER"
    )]
    pub filter: String,
    /// Log format.
    #[arg(
        long = "log-format",
        env = "LOG_FORMAT",
        global = true,
        default_value = "auto"
    )]
    pub format: Format,
}
