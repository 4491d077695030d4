//! library-sync keeps a reader's library the same on all of their devices.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        reason = "a test that panics has failed, which is what it is for"
    )
)]

pub mod auth;
pub mod broker;
pub mod feed;
pub mod graphql;
pub mod http;
pub mod hub;
pub mod library;
pub mod version;
