//! `library-sync epoch`.

use clap::{Args, Subcommand};

use super::database::Database;

/// `library-sync epoch`.
#[derive(Debug, Clone, Args)]
pub struct Epoch {
    /// What to do.
    #[command(subcommand)]
    pub action: EpochAction,
}

/// What to do with epochs.
#[derive(Debug, Clone, Subcommand)]
pub enum EpochAction {
    /// Begin one.
    New {
        /// For this user alone; for everybody when not given.
        #[arg(long, value_name = "SUBJECT")]
        user: Option<String>,
        /// The database.
        #[command(flatten)]
        database: Database,
    },
}
