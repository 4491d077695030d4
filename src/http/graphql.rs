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
    let wanted = super::stream::wanted(&parts.headers);
    let viewer = match wanted {
        Some(_) => node.gate.stream_viewer(&parts, Ask::Change).await?,
        None => node.gate.viewer(&parts, Ask::Change).await?,
    };
    let body = axum::body::to_bytes(body, node.settings.max_body)
        .await
        .unwrap_or_default();
    let request: Request = serde_json::from_slice(&body).unwrap_or_else(|_| Request::new(""));
    Ok(match wanted {
        Some(kind) => super::stream::respond(&node, &viewer, request, kind),
        None => Json(node.api.execute(&viewer, request, "").await).into_response(),
    })
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
