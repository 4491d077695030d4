//! Notices over Redis: one server, the master that Sentinel reports, or the shards of a cluster.

mod client;
pub(super) mod cluster;
mod echo;
mod events;
mod sentinel;
pub(super) mod server;
mod slots;
