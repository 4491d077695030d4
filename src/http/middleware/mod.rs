//! Around every request: its log line, its form, its rate, and the origins that may read the answer.

pub(super) mod cors;
pub(super) mod malformed_request;
pub(super) mod rate_limit;
pub(super) mod request_log;
