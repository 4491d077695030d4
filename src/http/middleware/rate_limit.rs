//! The rate limit per address, checked before authentication.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::http::{error::HttpError, state::Node};

/// Refuses a request whose address exceeds its rate limit.
pub(in crate::http) async fn by_address(
    State(node): State<Node>,
    request: Request,
    next: Next,
) -> Response {
    match node.rate_limiter.address(&request) {
        Ok(()) => next.run(request).await,
        Err(rate_limited) => HttpError::from(rate_limited).into_response(),
    }
}
