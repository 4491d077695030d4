//! Settings of `library-sync serve`.

use clap::Args;

use super::{
    database::Database, http::Http, push::Push, retention::Retention, streams::Streams,
    tokens::Keys, tracing::Tracing,
};
use crate::{graphql, library};

/// `library-sync serve`.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// The database.
    #[command(flatten)]
    pub database: Database,
    /// Token verification.
    #[command(flatten)]
    pub keys: Keys,
    /// HTTP.
    #[command(flatten)]
    pub http: Http,
    /// Limits on GraphQL operations.
    #[command(flatten)]
    pub graphql: graphql::Limits,
    /// Streams and the broker.
    #[command(flatten)]
    pub streams: Streams,
    /// Web Push and the webhook.
    #[command(flatten)]
    pub push: Push,
    /// Retention of history and receipts.
    #[command(flatten)]
    pub retention: Retention,
    /// Distributed tracing.
    #[command(flatten)]
    pub tracing: Tracing,
    /// Storage limits of one user.
    #[command(flatten)]
    pub limits: library::Limits,
    /// What is kept about devices.
    #[command(flatten)]
    pub devices: library::DeviceSettings,
}
