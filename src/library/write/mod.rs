//! Changes of a library, each in one transaction: bump, change, stamp, commit, announce.

pub(super) mod adopted;
pub(super) mod changes_since;
pub(super) mod conflict;
pub(super) mod conflict_resolution;
pub(super) mod history;
pub(super) mod history_limit;
pub(super) mod import;
pub(super) mod intent;
pub(super) mod label;
pub(super) mod label_removal;
pub(super) mod library_write;
pub(super) mod link;
pub(super) mod mirror;
pub(super) mod mirror_labels;
pub(super) mod origin;
pub(super) mod progress;
pub(super) mod receipt;
pub(super) mod story;
pub(super) mod usage;
pub(super) mod user_row;
pub(super) mod writer;
pub(super) mod written;
