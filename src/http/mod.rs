//! The way in: bytes of a request to a viewer and an operation, and heads to the bytes of a stream.
//!
//! In the flow: a route finds the [`Viewer`](crate::auth::Viewer), then hands on to `graphql` or follows the feed.
//! Nothing here reads or writes a library row.

mod authenticate;
mod authenticator;
mod connection;
mod error;
mod graphql;
mod middleware;
mod rate_limiter;
mod readiness;
mod routes;
mod state;
mod streams;

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware::{from_fn_with_state, map_response},
    response::Response,
    routing::get,
};
use tower_http::catch_panic::CatchPanicLayer;

pub use self::{
    authenticator::Authenticator,
    connection::{
        accept_loop::{ConnectionLimits, Stop, serve},
        open_file_limit::connections_that_fit,
    },
    error::HttpError,
    graphql::websocket::pending_sockets::{PendingLimits, PendingSockets, TooManyPending},
    rate_limiter::{RateLimited, RateLimiter, RateLimits},
    readiness::Readiness,
    state::{Node, Parts, Settings},
    streams::registry::{StreamLimits, StreamRefused, Streams},
};
use self::{
    middleware::{cors, rate_limit, request_log},
    routes::{health, library_version, playground, static_files, trpc, version_events},
};

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
        .route("/graphql", graphql::handler::route())
        .route("/api/library-version", get(library_version::version))
        .route("/api/library-version-events", get(version_events::events))
        .route("/api/trpc/view.getVersion", get(trpc::version))
        .method_not_allowed_fallback(only_get)
        .layer(from_fn_with_state(node.clone(), rate_limit::by_address))
        .layer(cors::layer(node.clone()));
    let probes = if node.settings.metrics_apart {
        health::probes()
    } else {
        health::routes()
    };
    let routes = playground.merge(api).merge(probes);
    let routes = match &node.settings.static_dir {
        Some(folder) => routes.fallback_service(static_files::service(folder)),
        None => routes.fallback(async || HttpError::NoRoute),
    };
    finished(routes, node)
}

/// What whoever runs the server asks for, on a listener of its own.
pub fn ops_router(node: Node) -> Router {
    let routes = health::routes();
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
        health::probes()
    } else {
        health::routes()
    };
    let routes = routes.fallback(async || HttpError::Full);
    finished(routes, node).layer(map_response(close))
}

/// Adds what every answer has.
fn finished(routes: Router<Node>, node: Node) -> Router {
    routes
        .method_not_allowed_fallback(only_get)
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn_with_state(node.clone(), request_log::observe))
        .with_state(node)
}
