//! Responses and sockets that stay open: how many there may be, when each ends, and their bytes.

pub(super) mod encoder;
pub(super) mod registry;
