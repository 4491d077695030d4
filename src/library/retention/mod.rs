//! Deletion of old history, tombstones and receipts, in bounded steps.

pub(super) mod purge;
pub(super) mod purge_step;
