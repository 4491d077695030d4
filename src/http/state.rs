//! What the routes of one node share, and their limits and periods.

use std::{path::PathBuf, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use super::{
    authenticator::Authenticator, graphql::websocket::pending_sockets::PendingSockets,
    rate_limiter::RateLimiter, readiness::Readiness, streams::registry::Streams,
};
use crate::{feed::Feed, graphql::Api, library::Library};

/// What the routes of one node share. Cheap to clone.
#[derive(Clone)]
pub struct Node(Arc<Parts>);

/// The parts of a [`Node`].
pub struct Parts {
    /// Runs GraphQL operations.
    pub api: Api,
    /// Follows heads.
    pub feed: Feed,
    /// Answers version checks.
    pub library: Library,
    /// Verifies tokens.
    pub authenticator: Authenticator,
    /// Counts requests, per user and per address.
    pub rate_limiter: RateLimiter,
    /// Has places for streams.
    pub streams: Streams,
    /// Counts the WebSockets that are not acknowledged.
    pub pending: PendingSockets,
    /// The limits and periods of requests and streams.
    pub settings: Settings,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// Remembers whether the database answered.
    pub readiness: Readiness,
    /// Cancelled when the node is told to stop: it is ready no longer, and serves all the same.
    pub stopping: CancellationToken,
    /// Cancelled some time later: streams end, new ones are refused.
    pub drain: CancellationToken,
}

impl Node {
    /// Wraps the parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl std::ops::Deref for Node {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The limits and periods of requests and streams.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The period of heartbeats on streams, and of rechecks.
    pub heartbeat: Duration,
    /// The largest request body, in bytes, and the largest message of a WebSocket that is acknowledged.
    pub max_body: usize,
    /// The largest message of a WebSocket that is not acknowledged, in bytes.
    pub max_init_message: usize,
    /// How long a client may take to send a request's body.
    pub body_timeout: Duration,
    /// How many operations one request may hold; 0 takes no batches.
    pub max_batch: usize,
    /// Whether the playground is served.
    pub playground: bool,
    /// The folder whose files are served at `/`.
    pub static_dir: Option<PathBuf>,
    /// Whether the metrics have a listener of their own, and are not for clients.
    pub metrics_apart: bool,
}
