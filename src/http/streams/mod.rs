//! Long-lived responses and sockets: limits, lifetimes and encoding.

pub(super) mod encoder;
pub(super) mod registry;
