//! `GET /admin/api/node`: the metrics of this node that the page shows.

use axum::{Json, extract::State};
use serde::Serialize;
use time::OffsetDateTime;

use super::samples::{Sample, samples};
use crate::http::{routes::health::measured, state::Node};

/// The metrics that the page shows.
const SHOWN: [&str; 23] = [
    "library_sync_broker_connected",
    "library_sync_broker_notices_dropped_total",
    "library_sync_broker_notices_published_total",
    "library_sync_broker_notices_received_total",
    "library_sync_broker_reconnects_total",
    "library_sync_broker_watched_users",
    "library_sync_changes_total",
    "library_sync_commit_to_applied_seconds",
    "library_sync_commit_to_event_seconds",
    "library_sync_connections",
    "library_sync_database_up",
    "library_sync_db_connections",
    "library_sync_errors_total",
    "library_sync_max_connections",
    "library_sync_notices_healed_total",
    "library_sync_process_resident_bytes",
    "library_sync_push_delivered_total",
    "library_sync_push_failed_total",
    "library_sync_push_gone_total",
    "library_sync_push_sent_total",
    "library_sync_stream_ends_total",
    "library_sync_streams",
    "library_sync_webhook_calls_total",
];

/// The state of this node at one moment.
#[derive(Serialize)]
pub(super) struct NodeReport {
    /// Name of this node.
    node: String,
    /// Version of the program.
    version: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    samples: Vec<Sample>,
}

impl NodeReport {
    /// Measures this node.
    pub(super) fn of(node: &Node) -> Self {
        Self {
            node: node.library.node_name(),
            version: env!("CARGO_PKG_VERSION"),
            at: OffsetDateTime::now_utc(),
            samples: samples(&measured(node), &SHOWN),
        }
    }
}

/// `GET /admin/api/node`.
pub(super) async fn report(State(node): State<Node>) -> Json<NodeReport> {
    Json(NodeReport::of(&node))
}
