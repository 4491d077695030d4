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
mod open_files;
mod opening;
mod operation;
mod ops;
mod pace;
mod playground;
mod read;
mod relay;
mod serve;
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
    http::{HeaderValue, header},
    middleware::{from_fn_with_state, map_response},
    response::Response,
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

pub use self::{
    error::HttpError,
    open_files::connections_that_fit,
    ops::Probe,
    pace::{Pace, PaceLimits, TooFast},
    serve::{ConnectionLimits, Stop, serve},
    streams::{NoPlace, StreamLimits, Streams},
    viewer::Gate,
    websocket::{PendingLimits, PendingSockets, TooManyPending},
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
    /// Counts the WebSockets that are not acknowledged.
    pub pending: PendingSockets,
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
    /// Whether the metrics have a listener of their own, and are not for clients.
    pub metrics_apart: bool,
}

/// What every route but `/graphql` answers to other methods than GET and HEAD.
async fn only_get() -> HttpError {
    HttpError::Method("GET, HEAD")
}

/// Every route that clients use.
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
    let probes = if node.settings.metrics_apart {
        ops::probes()
    } else {
        ops::routes()
    };
    let routes = playground.merge(api).merge(probes);
    finished(routes.fallback(async || HttpError::NoRoute), node)
}

/// What whoever runs the server asks for, on a listener of its own.
pub fn ops_router(node: Node) -> Router {
    let routes = ops::routes();
    finished(routes.fallback(async || HttpError::NoRoute), node)
}

/// What is answered on a connection for which there is no place: the same, and to all others that there is none.
pub fn reserve_router(node: Node) -> Router {
    let close = async |mut response: Response| {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        response
    };
    let routes = if node.settings.metrics_apart {
        ops::probes()
    } else {
        ops::routes()
    };
    let routes = routes.fallback(async || HttpError::Full);
    finished(routes, node).layer(map_response(close))
}

/// Adds what every answer has.
fn finished(routes: Router<Node>, node: Node) -> Router {
    routes
        .method_not_allowed_fallback(only_get)
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn_with_state(node.clone(), observe::observe))
        .with_state(node)
}
