//! Which pages of other origins may read answers: those that may use the cookie, and with it.
//!
//! **Invariant:** the answer names one allowed origin or none, never `*`.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header, request::Parts};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::http::state::Node;

/// How long a browser may remember what it was told, which saves a request before each request.
const MAX_AGE: Duration = Duration::from_hours(1);

/// Answers browsers that ask, and marks the answers that their pages may read.
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
