//! Connections below HTTP: the accept loop, the limits and deadlines of connections, and the lingering close.

pub(super) mod accept_loop;
pub(super) mod connection_slots;
pub(super) mod first_bytes;
pub(super) mod lingering_close;
pub(super) mod open_file_limit;
mod rate_limited_log;
pub(super) mod request_head;
pub(super) mod write_deadline;
