//! What is logged, and how.

use clap::{Args, ValueEnum};

/// What to log, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logging")]
pub struct Log {
    /// What to log: a level, or levels by module such as `info,library_sync::http=debug`.
    #[arg(
        long = "log",
        env = "LOG",
        global = true,
        default_value = "info,sea_orm_migration=warn,sqlx=warn,async_nats=off",
        value_name = "FILTER"
    )]
    pub filter: String,
    /// How to write a line.
    #[arg(
        long = "log-format",
        env = "LOG_FORMAT",
        global = true,
        default_value = "auto"
    )]
    pub format: LogFormat,
}

/// How to write a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// A line for people.
    Text,
    /// A line for programs.
    Json,
}
