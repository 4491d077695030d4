//! Long-lived responses and sockets: limits, lifetimes and encoding.

pub(super) mod encoder;
pub(super) mod end_reason;
pub(super) mod limits;
pub(super) mod registry;
