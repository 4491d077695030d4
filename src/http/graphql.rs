//! GraphQL over HTTP.

use async_graphql::Request;
use axum::{Json, body::Body, extract::State, response::IntoResponse};

use super::{HttpError, Node};
use crate::auth::Ask;

/// `POST /graphql`.
pub(super) async fn post(
    State(node): State<Node>,
    request: axum::http::Request<Body>,
) -> Result<impl IntoResponse, HttpError> {
    let (parts, body) = request.into_parts();
    let viewer = node.gate.viewer(&parts, Ask::Change).await?;
    let body = axum::body::to_bytes(body, node.settings.max_body)
        .await
        .unwrap_or_default();
    let request: Request = serde_json::from_slice(&body).unwrap_or_else(|_| Request::new(""));
    Ok(Json(node.api.execute(&viewer, request, "").await))
}

/// `GET /graphql`.
pub(super) async fn get(
    State(node): State<Node>,
    request: axum::http::Request<Body>,
) -> axum::response::Response {
    let (parts, _) = request.into_parts();
    if super::websocket::is_wanted(&parts) {
        return super::websocket::upgrade(&node, parts).await;
    }
    axum::http::StatusCode::METHOD_NOT_ALLOWED.into_response()
}
