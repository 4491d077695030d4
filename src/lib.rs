//! library-sync keeps a reader's library the same on all of their devices.
//!
//! Each user has one integer, the library version. Each change of the user's library increments it by 1, in the same
//! transaction. A change passes through these modules, in this order:
//!
//! ```text
//! request ─ http ─ auth ─ graphql ─ library.write ─┬─ commit ─ broker ─(other nodes)
//!                                                  └───────────── hub ─ feed ─┬─ GraphQL over WebSocket
//!                                                                             ├─ GraphQL over SSE, multipart
//!                                                                             ├─ /api/library-version-events
//!                                                                             └─ push (Web Push, webhook)
//! ```
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        reason = "a panic fails the test"
    )
)]

pub mod address;

mod duration;

pub mod error_chain;

mod lines;

mod unix_time;

pub mod trace;

pub mod version;

// Requests.
pub mod http;

pub mod auth;

pub mod graphql;

// The library and its version.
pub mod library;

// Notifications.
pub mod broker;

pub mod hub;

pub mod feed;

pub mod push;

// Composition.
pub mod adopt;
pub mod app;
pub mod commands;
pub mod config;
pub mod metrics;
pub mod program;
pub mod schema_migration;
pub mod telemetry;
pub mod transfer;
