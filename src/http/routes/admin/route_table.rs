//! The routes of the operator's page, with what all of them share: the token, the rate limit and the headers.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, get, post},
};
use tokio::sync::Semaphore;

use super::{node_events, node_report, page, user_actions, user_report};
use crate::http::{error::HttpError, middleware::rate_limit, state::Node};

/// Headers of every response. No inline script or style, no other host, and no frame.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    ),
    (header::CACHE_CONTROL, "no-store, no-transform"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Returns the routes; none without a token of operators.
pub(in crate::http) fn routes(node: &Node) -> Router<Node> {
    if node.settings.admin_token.is_none() {
        return Router::new();
    }
    let open_streams = Arc::new(Semaphore::new(node_events::MAX_STREAMS));
    let events = move |state| async move { node_events::events(state, open_streams) };
    let api = Router::new()
        .route("/admin/api/node", get(node_report::report))
        .route("/admin/api/events", get(events))
        .route("/admin/api/user", only_post(post(user_report::report)))
        .route(
            "/admin/api/user/end-streams",
            only_post(post(user_actions::end_streams)),
        )
        .route(
            "/admin/api/user/sign-out-everywhere",
            only_post(post(user_actions::sign_out_everywhere)),
        )
        .route(
            "/admin/api/user/new-epoch",
            only_post(post(user_actions::new_epoch)),
        )
        .route_layer(from_fn_with_state(node.clone(), only_operators));
    Router::new()
        .route("/admin", get(page::page))
        .route("/admin/assets/{name}", get(page::asset))
        .merge(api)
        .layer(from_fn_with_state(node.clone(), rate_limit::by_address))
        .layer(from_fn(with_headers))
}

/// Refuses other methods.
fn only_post(route: MethodRouter<Node>) -> MethodRouter<Node> {
    route.fallback(async || HttpError::Method("POST"))
}

/// Refuses requests without the token of operators.
async fn only_operators(State(node): State<Node>, request: Request, next: Next) -> Response {
    match node.authenticate_operator(request.headers(), request.extensions()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}
