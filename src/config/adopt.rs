//! Settings of `library-sync adopt`.

use clap::Args;

use super::{database::Database, secret::Secret};

/// `library-sync adopt`.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the command line")]
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
    /// Let the older app go on: keep its tables up to date in topaz_before, and follow its changes until the cut-over.
    /// Connect the older app with `search_path=topaz_before,public` first.
    #[arg(long, conflicts_with_all = ["dry_run", "undo"])]
    pub live: bool,
    /// End a live adoption, when both sides are equal: library-sync writes from then on, and the older app no longer does.
    #[arg(long, conflicts_with_all = ["dry_run", "undo", "live"])]
    pub cut_over: bool,
    /// With --live and --cut-over: broker that carries notices to the servers, as for `library-sync serve`. Without one,
    /// devices are notified within a heartbeat.
    #[arg(
        long,
        env,
        default_value = "memory:",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub broker_url: Secret,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}
