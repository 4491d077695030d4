//! How much one user may keep.

use clap::Args;

/// How much one user may keep.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Limits of a library")]
pub struct Limits {
    /// The most stories of one user. 0 for no limit.
    #[arg(long, env, default_value_t = 200_000, value_name = "COUNT")]
    pub max_stories: u32,
    /// The most bytes of one user's library: the texts of stories, notes and names of labels in UTF-8, and 32 for each
    /// label on a story. On disk, with what they are searched by, a library takes two to four times that. 0 for no limit.
    #[arg(long, env, default_value_t = 512 << 20, value_name = "BYTES")]
    pub max_library_bytes: u64,
    /// The most bytes of one user's receipts, by which mutations sent again under their idempotency key are answered.
    /// The oldest make room for new ones. 0 for no limit.
    #[arg(long, env, default_value_t = 16 << 20, value_name = "BYTES")]
    pub max_receipt_bytes: u64,
    /// The most bytes of one user's history: what fields and removed rows held, and 200 for each record. When there is
    /// more, the oldest is purged, and a device that was last synchronized before it starts afresh. No change is refused.
    /// 0 for no limit.
    #[arg(long, env, default_value_t = 64 << 20, value_name = "BYTES")]
    pub max_history_bytes: u64,
}
