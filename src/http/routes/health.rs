//! For whoever runs the server: is it alive, can it serve, what has it done.

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use metrics::gauge;

use crate::{http::state::Node, metrics::measure_process};

/// What balancers and supervisors ask for.
pub(in crate::http) fn probes() -> Router<Node> {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
}

/// All of it.
pub(in crate::http) fn routes() -> Router<Node> {
    probes().route("/metrics", get(render))
}

/// `GET /healthz`: the process is alive. Says nothing of the database, so that a database outage restarts nobody.
async fn healthz() -> &'static str {
    "ok"
}

/// `GET /readyz`: requests can be served; 503 while stopping, while the database does not answer or takes no writes,
/// and until there are keys to check tokens with.
async fn readyz(State(node): State<Node>) -> impl IntoResponse {
    match why_not_ready(&node).await {
        None => (StatusCode::OK, "ready"),
        Some(fault) => (StatusCode::SERVICE_UNAVAILABLE, fault),
    }
}

async fn why_not_ready(node: &Node) -> Option<&'static str> {
    if node.stopping.is_cancelled() {
        Some("stopping")
    } else if !node.authenticator.verifier.is_ready() {
        Some("the key server has not answered yet")
    } else if !node.readiness.is_database_ready(&node.library).await {
        Some("the database does not answer, or takes no writes")
    } else {
        None
    }
}

/// `GET /metrics`: in Prometheus' text format.
async fn render(State(node): State<Node>) -> String {
    let is_ready = why_not_ready(&node).await.is_none();
    gauge!("library_sync_ready").set(f64::from(u8::from(is_ready)));
    node.library.database().measure_pools();
    measure_process();
    node.metrics.render()
}
