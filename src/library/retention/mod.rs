//! Deletion of old history, tombstones and receipts, in bounded steps.

mod erased;
pub(super) mod purge;
pub(super) mod purge_step;
mod walks;
