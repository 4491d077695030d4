//! `GET /admin/api/events`: the state of this node every 2 s, and the running nodes every 10 s, as server-sent events.
//!
//! A page reads it with `fetch`, because `EventSource` sends no `Authorization`.
//!
//! **Invariant:** an event is made when the connection has room for it, so a slow reader has no queue.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::HeaderValue,
    response::{IntoResponse as _, Response},
};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::{
    sync::Semaphore,
    time::{MissedTickBehavior, interval},
};

use super::node_report::NodeReport;
use crate::{
    http::{
        error::HttpError,
        state::Node,
        streams::{encoder, registry::StreamRefused},
    },
    library::{self, RunningNode},
};

/// Maximum number of open streams of operators on this node.
pub(super) const MAX_STREAMS: usize = 16;

const NODE_PERIOD: Duration = Duration::from_secs(2);
const NODES_PERIOD: Duration = Duration::from_secs(10);

/// The running nodes, or the code of the error that hides them.
#[derive(Serialize)]
#[serde(untagged)]
enum NodesReport {
    Running { nodes: Vec<RunningReport> },
    Unknown { code: &'static str },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunningReport {
    name: String,
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    /// Streams of devices that name themselves.
    streams: u64,
    is_this: bool,
}

/// `GET /admin/api/events`. Takes one of `places` while the stream is open.
pub(super) fn events(State(node): State<Node>, places: Arc<Semaphore>) -> Response {
    let Ok(place) = places.try_acquire_owned() else {
        return HttpError::from(StreamRefused::Node).into_response();
    };
    let drain = node.drain.clone();
    let this_node = ticks(NODE_PERIOD).map({
        let node = node.clone();
        move |()| event("node", &NodeReport::of(&node))
    });
    let nodes = ticks(NODES_PERIOD).then(move |()| {
        let library = node.library.clone();
        async move { event("nodes", &NodesReport::from(library.running_nodes().await)) }
    });
    let events = stream::select(this_node, nodes.boxed()).take_until(drain.cancelled_owned());
    let events = events.map(move |event| {
        let _held = &place;
        Ok::<_, Infallible>(event)
    });
    let headers = encoder::headers(HeaderValue::from_static("text/event-stream"));
    (headers, Body::from_stream(events)).into_response()
}

/// Ticks at once, and then once per period.
fn ticks(period: Duration) -> impl Stream<Item = ()> + Send {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let tick = async |mut ticks: tokio::time::Interval| {
        ticks.tick().await;
        Some(((), ticks))
    };
    stream::unfold(ticks, tick)
}

fn event(name: &str, data: &impl Serialize) -> String {
    // A report is serializable: it has text keys only.
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n")
}

impl From<Result<Vec<RunningNode>, library::Error>> for NodesReport {
    fn from(found: Result<Vec<RunningNode>, library::Error>) -> Self {
        match found {
            Ok(nodes) => Self::Running {
                nodes: nodes.into_iter().map(RunningReport::from).collect(),
            },
            Err(error) => Self::Unknown { code: error.code() },
        }
    }
}

impl From<RunningNode> for RunningReport {
    fn from(node: RunningNode) -> Self {
        Self {
            name: node.name,
            started_at: node.started_at,
            streams: node.streams,
            is_this: node.is_this,
        }
    }
}
