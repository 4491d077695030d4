//! Notices by Redis: one server, the master that Sentinels name, or the shards of a cluster.

mod client;
pub(super) mod cluster;
mod echo;
mod events;
mod sentinel;
pub(super) mod server;
mod slots;
