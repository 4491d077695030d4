//! Below HTTP: from the listener to connections that are served, each with its deadlines and its close.

pub(super) mod accept_loop;
pub(super) mod connection_slots;
pub(super) mod first_bytes;
pub(super) mod lingering_close;
pub(super) mod open_file_limit;
mod rate_limited_log;
pub(super) mod request_head;
pub(super) mod write_deadline;
