//! The way in: bytes of a request to a viewer and an operation, and heads to the bytes of a stream.
//!
//! In the flow: a route finds the [`Viewer`](crate::auth::Viewer), then hands on to `graphql` or follows the feed.
//! Nothing here reads or writes a library row.

mod accept;
mod cors;
mod error;
mod events;
mod graphql;
mod head;
mod linger;
mod malformed;
mod observe;
mod opening;
mod operation;
mod ops;
mod pace;
mod playground;
mod read;
mod relay;
mod stream;
mod streams;
#[cfg(test)]
mod testing;
mod ticket;
mod trpc;
mod version;
mod viewer;
mod websocket;
mod write_deadline;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

pub use self::{
    error::HttpError,
    ops::Probe,
    pace::{Pace, PaceLimits, TooFast},
    streams::{NoPlace, StreamLimits, Streams},
    viewer::Gate,
    write_deadline::WriteDeadline,
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
    /// Decides who is calling.
    pub gate: Gate,
    /// Counts who has asked lately.
    pub pace: Pace,
    /// Has places for streams.
    pub streams: Streams,
    /// The limits and periods of requests and streams.
    pub settings: Settings,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// Remembers whether the database answered.
    pub probe: Probe,
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
    /// The largest request body, in bytes.
    pub max_body: usize,
    /// How long a client may take to send a request's body.
    pub body_timeout: Duration,
    /// How many operations one request may hold; 0 takes no batches.
    pub max_batch: usize,
    /// Whether the playground is served.
    pub playground: bool,
}

/// What every route but `/graphql` answers to other methods than GET and HEAD.
async fn only_get() -> HttpError {
    HttpError::Method("GET, HEAD")
}

/// Every route.
pub fn router(node: Node) -> Router {
    let playground = if node.settings.playground {
        playground::routes()
    } else {
        Router::new()
    };
    let api = Router::new()
        .route("/graphql", graphql::route())
        .route("/api/library-version", get(version::version))
        .route("/api/library-version-events", get(events::events))
        .route("/api/trpc/view.getVersion", get(trpc::version))
        .method_not_allowed_fallback(only_get)
        .layer(from_fn_with_state(node.clone(), pace::by_address))
        .layer(cors::layer(node.clone()));
    Router::new()
        .merge(playground)
        .merge(api)
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(ops::metrics))
        .method_not_allowed_fallback(only_get)
        .fallback(async || HttpError::NoRoute)
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn(observe::observe))
        .with_state(node)
}
