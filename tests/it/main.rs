//! The integration tests: every rule is put to a real server, on SQLite and on PostgreSQL alike.
//!
//! Run them by `scripts/test`, which starts the servers they need; `scripts/test NAME` runs some.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that panics has failed, which is what it is for"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests look behind the server, and read their own settings"
)]
#![expect(
    clippy::needless_pass_by_value,
    clippy::assigning_clones,
    reason = "tests are written for reading"
)]

mod support;

mod auth;
mod cluster;
mod commands;
mod database;
mod denial_of_service;
mod devices;
mod docs;
mod graphql;
mod older_app;
mod push;
mod read_path;
mod sync;
mod transports;
mod write_path;
