//! Settings of `library-sync adopt`.

use clap::Args;

use super::database::Database;

/// `library-sync adopt`.
#[derive(Debug, Clone, Args)]
pub struct Adopt {
    /// Do all steps, print the report, and roll back.
    #[arg(long, conflicts_with = "undo")]
    pub dry_run: bool,
    /// Give the database back to the older app, as the adoption found it.
    #[arg(long)]
    pub undo: bool,
    /// With --undo: discard the changes that readers made since the adoption.
    #[arg(long, requires = "undo")]
    pub discard_changes: bool,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}
