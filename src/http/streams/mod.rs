//! Long-lived responses and sockets: limits, lifetimes and encoding.

pub(super) mod detachable;
pub(super) mod encoder;
pub(super) mod end_reason;
mod end_signal;
pub(super) mod limits;
mod open_streams;
pub(super) mod registry;
