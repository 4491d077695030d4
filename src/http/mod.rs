//! The HTTP server: from the bytes of a request to a viewer and an operation, and from heads to the bytes of a stream.
//!
//! In the flow: a route authenticates the [`Viewer`](crate::auth::Viewer), then calls `graphql` or follows the feed.
//!
//! **Invariant:** no code here reads or writes a library row.

mod authenticate;
mod authenticator;
mod client_address;
mod connection;
mod device;
mod error;
mod graphql;
mod middleware;
mod platform;
mod rate_limiter;
mod readiness;
mod request_user;
mod routes;
mod state;
mod streams;

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware::{from_fn, from_fn_with_state},
    routing::get,
};
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer};

pub use self::{
    authenticator::Authenticator,
    connection::{
        accept_loop::{ConnectionLimits, Overflow, Routes, Stop, serve},
        connection_slots::{ConnectionSlots, SlotLimits},
        open_file_limit::connections_that_fit,
    },
    error::HttpError,
    graphql::websocket::pending_sockets::{PendingLimits, PendingSockets, TooManyPending},
    rate_limiter::{RateLimited, RateLimiter, RateLimits},
    readiness::Readiness,
    state::{Node, Parts, Settings},
    streams::{
        limits::StreamLimits,
        registry::{StreamRefused, Streams},
    },
};
use self::{
    middleware::{cors, rate_limit, request_log},
    routes::{
        admin, connection_report, health, library_export, library_version, playground,
        static_files, trpc, version_events,
    },
};

/// Refuses methods other than GET and HEAD, on every route except `/graphql`.
async fn only_get() -> HttpError {
    HttpError::Method("GET, HEAD")
}

/// Returns the routes for clients.
pub fn router(node: Node) -> Router {
    let playground = if node.settings.playground {
        playground::routes()
    } else {
        Router::new()
    };
    let by_address = from_fn_with_state(node.clone(), rate_limit::by_address);
    let trpc = Router::new()
        .route("/api/trpc/view.getVersion", get(trpc::version))
        .method_not_allowed_fallback(only_get)
        .layer(by_address.clone())
        .layer(from_fn(trpc::format_errors));
    let api = Router::new()
        .route("/graphql", graphql::handler::route())
        .route("/api/connection", get(connection_report::report))
        .route("/api/library-export", get(library_export::export))
        .route("/api/library-version", get(library_version::version))
        .route("/api/library-version-events", get(version_events::events))
        .method_not_allowed_fallback(only_get)
        .layer(by_address)
        .merge(trpc)
        .layer(cors::layer(node.clone()));
    let health = health::routes(!node.settings.metrics_apart);
    let admin = if node.settings.metrics_apart {
        Router::new()
    } else {
        admin::routes(&node)
    };
    let routes = playground.merge(api).merge(health).merge(admin);
    let routes = match &node.settings.static_dir {
        Some(folder) => routes.fallback_service(static_files::service(folder)),
        None => routes.fallback(async || HttpError::NoRoute),
    };
    finished(routes, node)
}

/// Returns the routes for operators, for a separate listener.
pub fn ops_router(node: Node) -> Router {
    let routes = health::routes(true).merge(admin::routes(&node));
    finished(routes.fallback(async || HttpError::NoRoute), node)
}

/// Returns the routes for connections without a slot.
pub fn overflow(node: &Node) -> Overflow {
    Overflow {
        full: overflow_router(node, || HttpError::Full),
        crowded: overflow_router(node, || HttpError::TooManyConnections),
    }
}

/// Returns the routes for health checks, with `refusal` for all others; one request a connection.
fn overflow_router(node: &Node, refusal: fn() -> HttpError) -> Router {
    let close = HeaderValue::from_static("close");
    let health = health::routes(!node.settings.metrics_apart);
    let routes = health.fallback(async move || refusal());
    finished(routes, node.clone()).layer(SetResponseHeaderLayer::overriding(
        header::CONNECTION,
        close,
    ))
}

/// Adds the middleware that all routes share.
fn finished(routes: Router<Node>, node: Node) -> Router {
    routes
        .method_not_allowed_fallback(only_get)
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn_with_state(node.clone(), request_log::observe))
        .with_state(node)
}
