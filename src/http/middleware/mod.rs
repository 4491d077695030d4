//! Middleware around every request: log and metrics, validation, rate limit and CORS.

pub(super) mod cors;
pub(super) mod malformed_request;
pub(super) mod rate_limit;
pub(super) mod request_log;
