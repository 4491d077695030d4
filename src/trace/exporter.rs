//! Sends finished spans to a collector, over OTLP/HTTP with protobuf, in batches.
//!
//! **Invariant:** the exporter never logs per span: an outage of the collector is one line when it begins, and one when it
//! ends.

use std::{borrow::Cow, future::pending, time::Duration};

use metrics::counter;
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks},
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::span::{Span, send_to};

/// Finished spans that wait for the exporter.
const CAPACITY: usize = 8_192;

/// Spans in one request to the collector.
const BATCH: usize = 512;

/// How long a batch is collected.
const COLLECT: Duration = Duration::from_millis(500);

/// Time limit of a request to the collector, and of the last one at shutdown.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Why spans cannot be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// The endpoint is not an address.
    #[error(
        "must be the http or https address of an OpenTelemetry collector, such as http://127.0.0.1:4318"
    )]
    Address,
    /// The HTTP client cannot be created.
    #[error("the HTTP client cannot be created")]
    Client,
}

/// Sends the spans of this process.
pub struct Exporter {
    exporter: SpanExporter,
    spans: mpsc::Receiver<Span>,
}

impl Exporter {
    /// Creates an exporter and begins to record spans. `/v1/traces` is appended to the endpoint. Returns `None` if this
    /// process exports its spans already.
    ///
    /// # Errors
    /// When the endpoint is invalid. The error does not repeat it.
    pub fn new(endpoint: &str) -> Result<Option<Self>, InvalidEndpoint> {
        let url = traces_address(endpoint)?;
        let client = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).build();
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client.map_err(|_| InvalidEndpoint::Client)?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url)
            .with_timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(|_| InvalidEndpoint::Address)?;
        let node = format!("{}", std::process::id());
        let resource = Resource::builder_empty().with_attributes([
            KeyValue::new("service.name", "library-sync"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", uuid::Uuid::now_v7().to_string()),
            KeyValue::new("process.pid", node),
        ]);
        exporter.set_resource(&resource.build());
        let (sink, spans) = mpsc::channel(CAPACITY);
        Ok(send_to(sink).then_some(Self { exporter, spans }))
    }

    /// Exports until `ended`, then once more.
    pub async fn run(mut self, ended: CancellationToken) {
        let mut is_failing = false;
        while !ended.is_cancelled() {
            let mut batch = Vec::new();
            tokio::select! {
                () = ended.cancelled() => break,
                _ = self.spans.recv_many(&mut batch, BATCH) => {}
            }
            let collecting = async {
                while batch.len() < BATCH {
                    let room = BATCH - batch.len();
                    if self.spans.recv_many(&mut batch, room).await == 0 {
                        pending::<()>().await;
                    }
                }
            };
            tokio::select! {
                () = collecting => {}
                () = sleep(COLLECT) => {}
                () = ended.cancelled() => {}
            }
            is_failing = self.export(batch, is_failing).await;
        }
        let mut rest = Vec::new();
        while let Ok(span) = self.spans.try_recv() {
            rest.push(span);
        }
        if !rest.is_empty() {
            self.export(rest, is_failing).await;
        }
    }

    /// Sends a batch. Returns whether it failed.
    async fn export(&self, batch: Vec<Span>, was_failing: bool) -> bool {
        let count = batch.len() as u64;
        let batch = batch.into_iter().map(data).collect();
        let sent = timeout(REQUEST_TIMEOUT, self.exporter.export(batch)).await;
        let is_failing = !matches!(sent, Ok(Ok(())));
        if is_failing {
            counter!("library_sync_spans_dropped_total", "reason" => "not_sent").increment(count);
        } else {
            counter!("library_sync_spans_exported_total").increment(count);
        }
        match (was_failing, is_failing) {
            // The error may hold the address.
            (false, true) => tracing::warn!(
                "the OpenTelemetry collector does not accept spans; they are dropped"
            ),
            (true, false) => tracing::info!("the OpenTelemetry collector accepts spans again"),
            _ => {}
        }
        is_failing
    }
}

/// Returns the address for traces of a collector.
///
/// # Errors
/// When the endpoint is invalid. The error does not repeat it.
pub fn traces_address(endpoint: &str) -> Result<Url, InvalidEndpoint> {
    let mut url = Url::parse(endpoint).map_err(|_| InvalidEndpoint::Address)?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(InvalidEndpoint::Address);
    }
    let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

/// Converts a span into the SDK's form.
fn data(span: Span) -> SpanData {
    let labels = [
        ("library.transport", span.transport),
        ("library.broker", span.broker),
    ];
    let attributes = labels
        .into_iter()
        .filter_map(|(name, value)| Some(KeyValue::new(name, value?)));
    let kind = match span.name {
        "request" => SpanKind::Server,
        "notice" => SpanKind::Consumer,
        _ => SpanKind::Internal,
    };
    SpanData {
        span_context: SpanContext::new(
            TraceId::from(span.position.trace_id()),
            SpanId::from(span.position.span_id()),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: SpanId::from(span.parent.span_id()),
        parent_span_is_remote: matches!(span.name, "request" | "notice"),
        span_kind: kind,
        name: Cow::Borrowed(span.name),
        start_time: span.began.into(),
        end_time: span.ended.into(),
        attributes: attributes.collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("library-sync").build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_is_no_address_is_refused() {
        for endpoint in ["", "collector:4318", "ftp://collector", "http://"] {
            let refused = Exporter::new(endpoint).err();
            assert_eq!(refused, Some(InvalidEndpoint::Address), "{endpoint}");
        }
    }
}
