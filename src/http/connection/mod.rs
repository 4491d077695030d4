//! Connections below HTTP: the accept loop, the limits and deadlines of connections, the streams that leave hyper, and the
//! lingering close.

pub(super) mod accept_loop;
mod accept_reports;
pub(super) mod connection_slots;
mod departure;
mod detached_stream;
pub(super) mod first_bytes;
pub(super) mod lingering_close;
pub(super) mod open_file_limit;
mod rate_limited_log;
pub(super) mod request_head;
mod response_head;
mod serve_connection;
pub(super) mod write_deadline;
