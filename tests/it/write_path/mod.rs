//! Changes of a library: atomic, ordered, replay-safe, valid, and within the user's limits.

pub mod atomicity;
pub mod conflicts;
pub mod constraints;
pub mod cost;
pub mod erasure;
pub mod group_commit;
pub mod history;
pub mod input;
pub mod labels;
pub mod progress_fast_path;
pub mod quotas;
pub mod replay;
pub mod story_addresses;
pub mod texts;
pub mod undo;
pub mod undo_conflicts;
