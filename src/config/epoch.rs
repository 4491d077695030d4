//! Settings of `library-sync epoch`.

use clap::{Args, Subcommand};

use super::database::Database;

/// `library-sync epoch`.
#[derive(Debug, Clone, Args)]
pub struct Epoch {
    /// Action to run.
    #[command(subcommand)]
    pub action: EpochAction,
}

/// Action on epochs.
#[derive(Debug, Clone, Subcommand)]
pub enum EpochAction {
    /// Begin a new epoch.
    New {
        /// User to begin it for. Defaults to all users.
        #[arg(long, value_name = "SUBJECT")]
        user: Option<String>,
        /// The database.
        #[command(flatten)]
        database: Database,
    },
}
