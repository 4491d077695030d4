//! Settings of `library-sync migrate`.

use clap::{Args, Subcommand};

use super::database::Database;

/// `library-sync migrate`.
#[derive(Debug, Clone, Args)]
pub struct Migrate {
    /// Action to run.
    #[command(subcommand)]
    pub direction: Direction,
}

/// Action on database migrations.
#[derive(Debug, Clone, Subcommand)]
pub enum Direction {
    /// Apply all pending migrations.
    Up(Database),
    /// Revert the newest migrations. Data in their tables and columns is lost.
    Down {
        /// Number of migrations to revert.
        #[arg(long, default_value_t = 1, value_name = "COUNT")]
        steps: u32,
        /// The database.
        #[command(flatten)]
        database: Database,
    },
    /// List applied and pending migrations.
    Status(Database),
}
