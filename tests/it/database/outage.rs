//! One server whose database goes away and comes back: what is answered meanwhile, and that every client returns.

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

/// A server that has served, and whose database is down now.
async fn cut_off() -> (Server, TestApp) {
    let mut database = Server::postgres().await;
    let db = TestDatabase::at(database.url());
    let flags = ["--database-wait", "500ms", "--heartbeat", "1s"];
    let app = TestApp::start_on(db, &flags).await;
    app.user("ann").add("A").await;
    database.kill();
    (database, app)
}

async fn send(request: RequestBuilder) -> Response {
    soon("an answer", request.send()).await.unwrap()
}

/// Asserts that the server says: not now, but soon.
async fn assert_unavailable(response: Response, what: &str) {
    assert_eq!(response.status(), 503, "{what}");
    let retry_after = response.headers()["retry-after"].to_str().unwrap();
    assert!((1..=30).contains(&retry_after.parse().unwrap()), "{what}");
    let body: Value = soon("a body", response.json()).await.unwrap();
    assert_eq!(error_code(&body), "UNAVAILABLE", "{what}: {body}");
    assert!(!body.to_string().contains("5432"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_down_every_route_says_to_come_back() {
    let (mut database, app) = cut_off().await;
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
    let back = async { while send(get("/api/library-version")).await.status() != 200 {} };
    soon("it serves again", back).await;
    assert_eq!(app.user("ann").version().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_an_open_socket_begins_in_an_outage_brings_its_client_back() {
    let mut database = Server::postgres().await;
    let flags = ["--database-wait", "500ms"];
    let app = TestApp::start_on(TestDatabase::at(database.url()), &flags).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    database.kill();
    // What has one answer is answered, and its client decides.
    socket.subscribe("q", "{ libraryVersion }").await;
    let answer = socket.next().await;
    assert_eq!(
        (&answer["id"], &answer["type"]),
        (&json!("q"), &json!("error"))
    );
    socket
        .subscribe("s", "subscription { libraryVersion }")
        .await;
    assert_eq!(socket.closed().await.0, 1013);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_source_that_comes_in_an_outage_is_told_when_to_come_back() {
    let (_database, app) = cut_off().await;
    let open = || {
        let request = app.http.get(app.url(EVENTS));
        request.header("accept", "text/event-stream")
    };
    let mut waits = Vec::new();
    for _ in 0..10 {
        let answer = send(open().bearer_auth(token("ann"))).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let text = soon("the end", answer.text()).await.unwrap();
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
    // One who may not read the library is told so, outage or not.
    for request in [open(), open().bearer_auth("x.y.z")] {
        let answer = send(request).await;
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.text().await.unwrap(), "Unauthorized");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_that_comes_in_an_outage_is_back_after_it() {
    let (mut database, app) = cut_off().await;
    let mut clients = CLIENTS.map(|name| Client::watch(name, &app.base, &token("ann")));
    // Each has been turned away before the database is back.
    join_all(clients.iter_mut().map(async |client| {
        loop {
            let told = client.next().await;
            let is_stopped = ["gave_up", "complete"].map(Value::from);
            assert!(
                !is_stopped.contains(&told["event"]),
                "{}: {told}",
                client.name
            );
            if ["error", "closed"]
                .map(Value::from)
                .contains(&told["event"])
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
