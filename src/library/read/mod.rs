//! Reads of a library. Every statement is restricted to the user.

pub(super) mod change_log;
pub(super) mod delta;
pub(super) mod export;
pub(super) mod head;
pub(super) mod head_reader;
pub(super) mod list;
pub(super) mod past;
pub(super) mod row;
pub(super) mod rows;
pub(super) mod search;
pub(super) mod stats;
