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

mod crowd;
mod printed;
mod servers;
mod socket;
mod test_app;
mod transport;

mod addresses;
mod adoption;
mod architecture;
mod backup;
mod broker_permissions;
mod brokers;
mod client_conformance;
mod clients;
mod clocks;
mod cluster;
mod commands;
mod conflicts;
mod conformance;
mod connections;
mod constraints;
mod converging;
mod database_faults;
mod deltas;
mod documented_clients;
mod documents;
mod durability;
mod events;
mod every_transport;
mod failover;
mod fairness;
mod flood;
mod foreign_files;
mod graphql_http;
mod graphql_stream;
mod import;
mod input;
mod isolation;
mod keys;
mod labels;
mod library_events;
mod lifecycle;
mod limits;
mod lists;
mod model;
mod odd_requests;
mod opening;
mod outage;
mod plans;
mod pooler;
mod proxies;
mod queries;
mod quotas;
mod readme;
mod refresh_loop;
mod replay;
mod replica;
mod retention;
mod schema_upgrade;
mod secrets;
mod security;
mod stalled;
mod texts;
mod tickets;
mod trpc;
mod websocket;
mod write_path;
