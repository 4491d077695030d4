//! A traced change, from the request on one node to the devices of two others: one trace, whose parts sum to the whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value as AnyValue,
    trace::v1::Span,
};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::AbortHandle};

use crate::support::test_app::{Db, TestDatabase, TestProcess, http_client, soon, token};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A span that the collector received, and the process that sent it.
#[derive(Clone)]
struct Received {
    process: String,
    span: Span,
}

impl Received {
    fn seconds(&self) -> f64 {
        let nanos = self.span.end_time_unix_nano - self.span.start_time_unix_nano;
        std::time::Duration::from_nanos(nanos).as_secs_f64()
    }

    fn transport(&self) -> Option<String> {
        let mut attributes = self.span.attributes.iter();
        let found = attributes.find(|attribute| attribute.key == "library.transport")?;
        match found.value.clone()?.value? {
            AnyValue::StringValue(text) => Some(text),
            _ => None,
        }
    }
}

/// An OTLP receiver.
struct Collector {
    endpoint: String,
    received: watch::Receiver<Vec<Received>>,
    serving: AbortHandle,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (send, received) = watch::channel(Vec::new());
        let routes = Router::new()
            .route("/v1/traces", post(take))
            .with_state(Arc::new(send));
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
        Self {
            endpoint,
            received,
            serving: serving.abort_handle(),
        }
    }

    /// Waits until this holds of the spans.
    async fn until(&self, what: &str, holds: impl FnMut(&Vec<Received>) -> bool) -> Vec<Received> {
        let mut received = self.received.clone();
        soon(what, received.wait_for(holds)).await.unwrap().clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(send): State<Arc<watch::Sender<Vec<Received>>>>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for of_process in request.resource_spans {
        let attributes = of_process.resource.unwrap().attributes;
        let id = attributes
            .iter()
            .find(|it| it.key == "service.instance.id")
            .unwrap();
        let process = format!("{:?}", id.value);
        let spans = of_process
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans);
        let spans: Vec<_> = spans
            .map(|span| Received {
                process: process.clone(),
                span,
            })
            .collect();
        send.send_modify(|received| received.extend(spans));
    }
}

/// Reports that a device shows a head.
async fn report(node: &TestProcess, device: &str, head: &str) {
    let request = http_client()
        .get(node.url("/api/library-version"))
        .bearer_auth(token("ann"))
        .header("X-Device-Id", device)
        .header("X-Library-Applied", head);
    assert_eq!(
        soon("a report", request.send()).await.unwrap().status(),
        200
    );
}

/// A traced mutation. Returns the head of its answer.
async fn change(node: &TestProcess, flags: &str) -> String {
    let query = r#"mutation { createTag(input: {name: "traced"}) { libraryHead } }"#;
    let request = http_client()
        .post(node.url("/graphql"))
        .bearer_auth(token("ann"))
        .header(
            "traceparent",
            format!("00-{TRACE}-00f067aa0b1902c7-{flags}"),
        )
        .json(&json!({"query": query}));
    let answer: Value = soon("an answer", request.send())
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let head = answer["data"]["createTag"]["libraryHead"].as_str();
    head.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_one_trace_from_its_request_to_the_devices_that_show_it() {
    let collector = Collector::start().await;
    let redis = std::env::var("LIBRARY_SYNC_TEST_REDIS").unwrap();
    let broker = format!("{redis}?prefix=trace-{}", uuid::Uuid::now_v7().simple());
    let database = TestDatabase::new(Db::Postgres).await;
    let flags = [
        "--broker-url",
        &broker,
        "--heartbeat",
        "1h",
        "--otlp-endpoint",
        &collector.endpoint,
    ];
    let writer = TestProcess::serve(&database.url, &flags).await;
    let (phone, laptop) = (
        TestProcess::serve(&database.url, &flags).await,
        TestProcess::serve(&database.url, &flags).await,
    );

    let mut events = phone.watch("ann").await;
    assert_eq!(events.next().await.unwrap()["version"], 1);
    let subscription = "subscription { libraryEvents { head traceparent } }";
    let mut subscribed = http_client()
        .post(laptop.url("/graphql"))
        .bearer_auth(token("ann"))
        .header("Accept", "text/event-stream")
        .json(&json!({"query": subscription}))
        .send()
        .await
        .unwrap();
    soon("the stream begins", subscribed.chunk()).await.unwrap();

    let head = change(&writer, "01").await;
    let event = events.next().await.unwrap();
    assert!(
        event["traceparent"].as_str().unwrap().contains(TRACE),
        "{event}"
    );
    let mut text = String::new();
    while !text.contains(TRACE) {
        let chunk = soon("an event", subscribed.chunk()).await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    report(&phone, "phone", &head).await;
    report(&laptop, "laptop", &head).await;

    let is_applied =
        |spans: &Vec<Received>| spans.iter().filter(|it| it.span.name == "applied").count() >= 2;
    collector.until("both devices applied", is_applied).await;
    let spans = collector
        .until("the request", |spans| {
            let names: BTreeSet<_> = spans.iter().map(|it| it.span.name.as_str()).collect();
            [
                "request",
                "admission",
                "transaction",
                "commit",
                "notice",
                "hub",
                "socket",
                "applied",
            ]
            .iter()
            .all(|name| names.contains(name))
        })
        .await;
    let processes: BTreeSet<_> = spans.iter().map(|it| &it.process).collect();
    assert_eq!(processes.len(), 3);
    assert!(
        spans
            .iter()
            .all(|it| hex::encode(&it.span.trace_id) == TRACE)
    );
    for transport in ["events", "sse"] {
        assert_parts_sum_to_the_whole(&spans, transport);
    }
}

/// Of the spans on the way to the device with this transport.
fn assert_parts_sum_to_the_whole(spans: &[Received], transport: &str) {
    let find = |name: &str| spans.iter().find(|it| it.span.name == name).unwrap();
    let of_device = |name: &str| {
        let found = spans
            .iter()
            .find(|it| it.span.name == name && it.transport().as_deref() == Some(transport));
        found.unwrap_or_else(|| panic!("no {name} by {transport}"))
    };
    let (hub, applied) = (of_device("hub"), of_device("applied"));
    let notice = spans
        .iter()
        .find(|it| it.span.name == "notice" && it.process == hub.process)
        .unwrap();
    let parts = [
        find("admission"),
        find("transaction"),
        find("commit"),
        notice,
        hub,
        of_device("socket"),
        applied,
    ];
    let ids: BTreeMap<_, _> = spans
        .iter()
        .map(|it| (it.span.span_id.clone(), it))
        .collect();
    for part in &parts[1..] {
        assert!(
            ids.contains_key(&part.span.parent_span_id),
            "{} has a parent",
            part.span.name
        );
    }
    let sum: f64 = parts.iter().map(|part| part.seconds()).sum();
    let whole = applied.span.end_time_unix_nano - find("request").span.start_time_unix_nano;
    let whole = std::time::Duration::from_nanos(whole).as_secs_f64();
    println!(
        "{transport}: {whole:.4} s, {}",
        parts
            .map(|part| format!("{} {:.4}", part.span.name, part.seconds()))
            .join(", ")
    );
    assert!((sum - whole).abs() <= 0.05 * whole, "{sum} of {whole}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_its_client_does_not_sample_is_not_traced() {
    let collector = Collector::start().await;
    let database = TestDatabase::new(Db::Sqlite).await;
    let flags = ["--otlp-endpoint", &collector.endpoint];
    let node = TestProcess::serve(&database.url, &flags).await;
    let mut events = node.watch("ann").await;
    events.next().await.unwrap();
    change(&node, "00").await;
    let event = events.next().await.unwrap();
    assert_eq!(event["version"], 2);
    assert!(event.get("traceparent").is_none(), "{event}");
    let query = r#"mutation { createTag(input: {name: "other"}) { libraryVersion } }"#;
    node.send("ann", query, json!({})).await.unwrap();
    events.next().await.unwrap();
    // The exporter has sent what there is when a later trace has arrived.
    let deleted = r#"mutation { createTag(input: {name: "last"}) { libraryHead } }"#;
    let request = http_client()
        .post(node.url("/graphql"))
        .bearer_auth(token("ann"))
        .header(
            "traceparent",
            "00-11111111111111111111111111111111-00f067aa0b1902c7-01",
        )
        .json(&json!({"query": deleted}));
    soon("an answer", request.send()).await.unwrap();
    let is_request = |it: &Received| it.span.name == "request";
    let spans = collector
        .until("a request", |spans| spans.iter().any(is_request))
        .await;
    assert!(
        spans
            .iter()
            .all(|it| hex::encode(&it.span.trace_id) != TRACE)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_down_delays_no_change() {
    let database = TestDatabase::new(Db::Sqlite).await;
    let nowhere = format!("http://127.0.0.1:{}", crate::support::servers::free_port());
    let flags = ["--otlp-endpoint", &nowhere];
    let node = TestProcess::serve(&database.url, &flags).await;
    change(&node, "01").await;
    soon("spans are dropped", async {
        while node.counter("library_sync_spans_dropped_total").await < 3.5 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
}
