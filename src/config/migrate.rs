//! `library-sync migrate`.

use clap::{Args, Subcommand};

use super::database::Database;

/// `library-sync migrate`.
#[derive(Debug, Clone, Args)]
pub struct Migrate {
    /// Which way.
    #[command(subcommand)]
    pub direction: Direction,
}

/// Which way to migrate.
#[derive(Debug, Clone, Subcommand)]
pub enum Direction {
    /// Apply every change that the database has not had.
    Up(Database),
    /// Undo the newest changes. What only they hold is lost.
    Down {
        /// How many.
        #[arg(long, default_value_t = 1, value_name = "COUNT")]
        steps: u32,
        /// The database.
        #[command(flatten)]
        database: Database,
    },
    /// List the changes and which of them the database has had.
    Status(Database),
}
