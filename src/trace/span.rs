//! [`Span`]: one part of a trace, with its times, and where finished spans go.

use std::sync::OnceLock;

use metrics::counter;
use time::OffsetDateTime;
use tokio::sync::mpsc;

use super::{clock::now, trace_parent::TraceParent};

/// Finished spans on their way to the exporter.
static SINK: OnceLock<mpsc::Sender<Span>> = OnceLock::new();

/// A finished part of a trace.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Name, from a closed list.
    pub name: &'static str,
    /// Its own position.
    pub position: TraceParent,
    /// The position of its parent.
    pub parent: TraceParent,
    /// Begin.
    pub began: OffsetDateTime,
    /// End.
    pub ended: OffsetDateTime,
    /// The transport of a stream, if it belongs to one.
    pub transport: Option<&'static str>,
    /// The carrier of the notice, if it belongs to one.
    pub broker: Option<&'static str>,
}

impl Span {
    /// A part of `parent`, at a new position.
    pub fn of(
        parent: TraceParent,
        name: &'static str,
        began: OffsetDateTime,
        ended: OffsetDateTime,
    ) -> Self {
        Self {
            name,
            position: parent.child(),
            parent,
            began,
            ended,
            transport: None,
            broker: None,
        }
    }
}

/// A part of a trace that has begun.
#[derive(Debug, Clone, Copy)]
pub struct OpenSpan {
    /// Its own position.
    pub position: TraceParent,
    /// The position of its parent.
    pub parent: TraceParent,
    /// Begin.
    pub began: OffsetDateTime,
}

impl OpenSpan {
    /// Begins a span under the position that a client sent. Returns `None` without an exporter, or a sampled trace.
    pub fn of_request(traceparent: Option<&str>) -> Option<Self> {
        let traceparent = traceparent.filter(|_| is_on())?;
        let parent = TraceParent::parse(traceparent)?;
        Some(Self {
            position: parent.child(),
            parent,
            began: now(),
        })
    }

    /// Ends it now.
    pub fn end(self, name: &'static str) {
        record(Span {
            position: self.position,
            ..Span::of(self.parent, name, self.began, now())
        });
    }
}

/// Returns whether spans are exported.
pub fn is_on() -> bool {
    SINK.get().is_some()
}

/// Hands a finished span to the exporter, and returns its position. Never waits: a span that does not fit is dropped and
/// counted.
pub fn record(span: Span) -> TraceParent {
    if let Some(sink) = SINK.get()
        && sink.try_send(span).is_err()
    {
        counter!("library_sync_spans_dropped_total", "reason" => "queue_full").increment(1);
    }
    span.position
}

/// Sets where finished spans go. Returns false if they go elsewhere already.
pub(super) fn send_to(sink: mpsc::Sender<Span>) -> bool {
    SINK.set(sink).is_ok()
}
