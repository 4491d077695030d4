//! One server during a database outage: its responses, and that every client reconnects.

use futures_util::future::join_all;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::{
    support::servers::Server,
    support::socket::Socket,
    support::test_app::{TestApp, TestDatabase, error_code, soon, token},
    transports::clients::{CLIENTS, Client},
};

const EVENTS: &str = "/api/library-version-events";

/// A server whose database went down after it started.
async fn without_database() -> (Server, TestApp) {
    let mut database = Server::postgres().await;
    let db = TestDatabase::at(database.url());
    let flags = ["--database-wait", "500ms", "--heartbeat", "1s"];
    let app = TestApp::start_on(db, &flags).await;
    app.user("ann").add("A").await;
    database.kill();
    (database, app)
}

async fn send(request: RequestBuilder) -> Response {
    soon("a response", request.send()).await.unwrap()
}

/// Asserts a response of 503 with `Retry-After`.
async fn assert_unavailable(response: Response, what: &str) {
    assert_eq!(response.status(), 503, "{what}");
    let retry_after = response.headers()["retry-after"].to_str().unwrap();
    assert!((1..=30).contains(&retry_after.parse().unwrap()), "{what}");
    let body: Value = soon("a body", response.json()).await.unwrap();
    assert_eq!(error_code(&body), "UNAVAILABLE", "{what}: {body}");
    assert!(!body.to_string().contains("5432"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_down_every_route_returns_503_with_retry_after() {
    let (mut database, app) = without_database().await;
    let ask = |accept: &str, query: &str| {
        let request = app.http.post(app.url("/graphql")).header("accept", accept);
        request
            .bearer_auth(token("ann"))
            .json(&json!({"query": query}))
    };
    let get = |path: &str| app.http.get(app.url(path)).bearer_auth(token("ann"));
    let mutation = r#"mutation { createTag(input: {name: "a"}) { libraryVersion } }"#;
    let subscription = "subscription { libraryVersion }";
    for (accept, query) in [
        ("application/graphql-response+json", "{ libraryVersion }"),
        ("application/json", "{ libraryVersion }"),
        ("application/graphql-response+json", mutation),
        ("text/event-stream", subscription),
        ("multipart/mixed;subscriptionSpec=1.0", subscription),
    ] {
        let what = format!("{query} as {accept}");
        assert_unavailable(send(ask(accept, query)).await, &what).await;
    }
    for path in [EVENTS, "/api/library-version", "/api/trpc/view.getVersion"] {
        assert_unavailable(send(get(path)).await, path).await;
    }
    let ticket = format!("{EVENTS}?ticket=st_{}", "a".repeat(43));
    assert_unavailable(send(app.http.get(app.url(&ticket))).await, "a ticket").await;

    let mut socket = Socket::open(&app).await;
    let payload = json!({"Authorization": format!("Bearer {}", token("ann"))});
    socket
        .send(json!({"type": "connection_init", "payload": payload}))
        .await;
    assert_eq!(socket.closed().await.0, 1013);

    assert_eq!(send(get("/healthz")).await.status(), 200);
    assert_eq!(send(get("/readyz")).await.status(), 503);
    database.start().await;
    let recovered = async { while send(get("/api/library-version")).await.status() != 200 {} };
    soon("it serves again", recovered).await;
    assert_eq!(app.user("ann").version().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_started_in_an_outage_closes_its_socket_with_1013() {
    let mut database = Server::postgres().await;
    let flags = ["--database-wait", "500ms"];
    let app = TestApp::start_on(TestDatabase::at(database.url()), &flags).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    database.kill();
    // An operation with one result gets an error, and its client decides whether to retry.
    socket.subscribe("q", "{ libraryVersion }").await;
    let response = socket.next().await;
    assert_eq!(
        (&response["id"], &response["type"]),
        (&json!("q"), &json!("error"))
    );
    socket
        .subscribe("s", "subscription { libraryVersion }")
        .await;
    assert_eq!(socket.closed().await.0, 1013);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_source_opened_in_an_outage_gets_a_retry_delay() {
    let (_database, app) = without_database().await;
    let open = || {
        let request = app.http.get(app.url(EVENTS));
        request.header("accept", "text/event-stream")
    };
    let mut waits = Vec::new();
    for _ in 0..10 {
        let response = send(open().bearer_auth(token("ann"))).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let text = soon("the end", response.text()).await.unwrap();
        let wait = text.strip_prefix("retry: ").unwrap();
        let wait: u32 = wait
            .strip_suffix("\n: UNAVAILABLE\n\n")
            .unwrap()
            .parse()
            .unwrap();
        assert!((1_000..5_000).contains(&wait), "{wait}");
        waits.push(wait);
    }
    waits.sort_unstable();
    waits.dedup();
    assert_eq!(waits.len(), 10, "{waits:?}");
    // Unauthenticated callers get 401 also during an outage.
    for request in [open(), open().bearer_auth("x.y.z")] {
        let response = send(request).await;
        assert_eq!(response.status(), 401);
        assert_eq!(response.text().await.unwrap(), "Unauthorized");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_started_in_an_outage_connects_after_it() {
    let (mut database, app) = without_database().await;
    let mut clients = CLIENTS.map(|name| Client::watch(name, &app.base, &token("ann")));
    // Each was refused before the database is up again.
    join_all(clients.iter_mut().map(async |client| {
        loop {
            let event = client.next().await;
            let is_stopped = ["gave_up", "complete"].map(Value::from);
            assert!(
                !is_stopped.contains(&event["event"]),
                "{}: {event}",
                client.name
            );
            if ["error", "closed"]
                .map(Value::from)
                .contains(&event["event"])
            {
                break;
            }
        }
    }))
    .await;
    database.start().await;
    join_all(clients.iter_mut().map(|client| client.until(2))).await;
    app.user("ann").add("B").await;
    join_all(clients.iter_mut().map(|client| client.until(3))).await;
}
