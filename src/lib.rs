//! library-sync keeps a reader's library the same on all of their devices.
//!
//! Each user has one integer, the library version, which grows by 1 in the same transaction as each change of that
//! user's library. Everything else follows from it. A change travels through these modules, in this order:
//!
//! ```text
//! request ─ http ─ auth ─ graphql ─ library.write ─┬─ commit ─ broker ─(other nodes)
//!                                                  └───────────── hub ─ feed ─┬─ GraphQL over WebSocket
//!                                                                             ├─ GraphQL over SSE, multipart
//!                                                                             └─ /api/library-version-events
//! ```
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        reason = "a test that panics has failed, which is what it is for"
    )
)]

pub mod address;

pub mod error_chain;

mod lines;

pub mod version;

// The way in.
pub mod http;

pub mod auth;

pub mod graphql;

// The library and its version.
pub mod library;

// The way out.
pub mod broker;

pub mod hub;

pub mod feed;

// Putting it together.
pub mod app;
pub mod commands;
pub mod config;
pub mod metrics;
pub mod schema_migration;
pub mod telemetry;
pub mod transfer;
