//! Settings of `library-sync why`.

use clap::Args;

use super::database::Database;
use crate::library::VerdictSettings;

/// `library-sync why`.
#[derive(Debug, Clone, Args)]
pub struct Why {
    /// User who owns the devices: the `sub` claim of their tokens.
    #[arg(long, value_name = "NAME")]
    pub sub: String,
    /// Id of a device. Defaults to all devices of the user.
    #[arg(long, value_name = "ID")]
    pub device: Option<String>,
    /// The database.
    #[command(flatten)]
    pub database: Database,
    /// What a verdict depends on. Give the same flags as to `serve`.
    #[command(flatten)]
    pub verdicts: VerdictSettings,
}
