//! Health checks and metrics, for load balancers and operators.

use std::borrow::Cow;

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use metrics::gauge;

use crate::{http::state::Node, metrics::measure_process};

/// Returns the health checks, and `/metrics` if it is served on this listener.
pub(in crate::http) fn routes(with_metrics: bool) -> Router<Node> {
    let checks = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz));
    if with_metrics {
        checks.route("/metrics", get(render))
    } else {
        checks
    }
}

/// `GET /healthz`: liveness. Independent of the database, so that a database outage restarts no node.
async fn healthz() -> &'static str {
    "ok"
}

/// `GET /readyz`: readiness. 503 while the node stops, while the database does not answer, lacks a table or column, or
/// rejects writes, and until the first keys are loaded.
async fn readyz(State(node): State<Node>) -> impl IntoResponse {
    match why_not_ready(&node).await {
        None => (StatusCode::OK, Cow::Borrowed("ready")),
        Some(fault) => (StatusCode::SERVICE_UNAVAILABLE, fault),
    }
}

async fn why_not_ready(node: &Node) -> Option<Cow<'static, str>> {
    if node.stopping.is_cancelled() {
        Some(Cow::Borrowed("stopping"))
    } else if !node.authenticator.verifier.is_ready() {
        Some(Cow::Borrowed("the key server has not answered yet"))
    } else {
        node.readiness.database_fault(&node.library).await
    }
}

/// `GET /metrics`, in the Prometheus text format.
async fn render(State(node): State<Node>) -> String {
    let is_ready = why_not_ready(&node).await.is_none();
    gauge!("library_sync_ready").set(f64::from(u8::from(is_ready)));
    measured(&node)
}

/// Measures what is measured at a request only, and returns all metrics in the Prometheus text format.
pub(in crate::http) fn measured(node: &Node) -> String {
    node.library.database().measure_pools();
    node.slots.measure();
    measure_process();
    node.metrics.render()
}
