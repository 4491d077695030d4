//! State shared by the routes of one node, with the limits and periods of requests and streams.

use std::{path::PathBuf, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use super::{
    authenticator::Authenticator, connection::connection_slots::ConnectionSlots,
    graphql::websocket::pending_sockets::PendingSockets, rate_limiter::RateLimiter,
    readiness::Readiness, streams::registry::Streams,
};
use crate::{auth::AdminToken, feed::Feed, graphql::Api, library::Library};

/// State shared by the routes of one node. Cheap to clone.
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
    /// Limits the request rate, per user and per address.
    pub rate_limiter: RateLimiter,
    /// Limits and ends streams.
    pub streams: Streams,
    /// Limits the connections, in total and per address.
    pub slots: ConnectionSlots,
    /// Limits the WebSockets before `connection_ack`.
    pub pending: PendingSockets,
    /// Limits and periods of requests and streams.
    pub settings: Settings,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// Caches whether the database is ready.
    pub readiness: Readiness,
    /// Cancelled at SIGTERM: `/readyz` returns 503, and all other requests are still served.
    pub stopping: CancellationToken,
    /// Cancelled after the delay for load balancers: streams end, and new ones are refused.
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

/// Limits and periods of requests and streams.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Period of the heartbeats on streams.
    pub heartbeat: Duration,
    /// Maximum length of a request body, and of a WebSocket message after `connection_ack`, in bytes.
    pub max_body: usize,
    /// Maximum length of a WebSocket message before `connection_ack`, in bytes.
    pub max_init_message: usize,
    /// Maximum time for a client to send a request body.
    pub body_timeout: Duration,
    /// Maximum number of operations in a batch. 0 disables batching.
    pub max_batch: usize,
    /// Whether the playground is served.
    pub playground: bool,
    /// Credential of operators. `None` disables the operator's page.
    pub admin_token: Option<AdminToken>,
    /// Folder whose files are served at `/`.
    pub static_dir: Option<PathBuf>,
    /// Whether `/metrics` and the operator's page are served only on the separate listener for operators.
    pub metrics_apart: bool,
}
