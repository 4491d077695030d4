//! `library-sync serve`.

use clap::Args;

use super::{
    database::Database, graphql::Graphql, http::Http, limits::Limits, retention::Retention,
    streams::Streams, tokens::Keys,
};

/// `library-sync serve`.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// The database.
    #[command(flatten)]
    pub database: Database,
    /// The keys.
    #[command(flatten)]
    pub keys: Keys,
    /// The way in.
    #[command(flatten)]
    pub http: Http,
    /// The operations.
    #[command(flatten)]
    pub graphql: Graphql,
    /// The streams.
    #[command(flatten)]
    pub streams: Streams,
    /// What is kept for clients that come back.
    #[command(flatten)]
    pub retention: Retention,
    /// How much one user may keep.
    #[command(flatten)]
    pub limits: Limits,
}
