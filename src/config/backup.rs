//! Settings of `library-sync backup` and `library-sync restore`.

use std::path::PathBuf;

use clap::Args;

use super::database::Database;

/// `library-sync backup`.
#[derive(Debug, Clone, Args)]
pub struct Backup {
    /// Path of the backup. The file must not exist.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}

/// `library-sync restore`.
#[derive(Debug, Clone, Args)]
pub struct Restore {
    /// Path of the backup. It is not changed.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}
