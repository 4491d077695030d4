//! The integration tests: every rule is put to a real server, on SQLite and on PostgreSQL alike.
//!
//! Run them by `scripts/test`, which starts the servers they need; `scripts/test NAME` runs some.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that panics has failed, which is what it is for"
)]

mod test_app;

mod commands;
mod input;
mod isolation;
mod queries;
mod write_path;
