//! CORS: pages of the allowed origins may read responses, with the session cookie.
//!
//! **Invariant:** a response names one allowed origin or none, never `*`.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header, request::Parts};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::http::state::Node;

/// How long a browser caches a preflight response.
const MAX_AGE: Duration = Duration::from_hours(1);

/// Answers preflight requests, and adds the CORS headers to responses.
pub(in crate::http) fn layer(node: Node) -> CorsLayer {
    let is_allowed = move |origin: &HeaderValue, _: &Parts| {
        let origin = origin.to_str();
        origin.is_ok_and(|origin| node.authenticator.origins.allows(origin))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(is_allowed))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([header::RETRY_AFTER, HeaderName::from_static("x-request-id")])
        .max_age(MAX_AGE)
}
