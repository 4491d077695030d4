//! The settings of `backup` and `restore`.

use std::path::PathBuf;

use clap::Args;

use super::database::Database;

/// `library-sync backup`.
#[derive(Debug, Clone, Args)]
pub struct Backup {
    /// The file to make. It must not exist.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}

/// `library-sync restore`.
#[derive(Debug, Clone, Args)]
pub struct Restore {
    /// The backup. It stays as it is.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}
