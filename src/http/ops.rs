//! For whoever runs the server: is it alive, can it serve, what has it done.

use axum::{extract::State, http::StatusCode, response::IntoResponse};

use super::Node;

/// `GET /healthz`: the process is alive. Says nothing of the database, so that a database outage restarts nobody.
pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// `GET /readyz`: requests can be served; 503 while stopping or while the database does not answer.
pub(super) async fn readyz(State(node): State<Node>) -> impl IntoResponse {
    if node.drain.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping");
    }
    match node.library.database().ping().await {
        Ok(()) => (StatusCode::OK, "ready"),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer",
        ),
    }
}

/// `GET /metrics`: in Prometheus' text format.
pub(super) async fn metrics(State(node): State<Node>) -> String {
    node.metrics.render()
}
