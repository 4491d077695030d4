//! GraphQL over server-sent events and multipart, message by message.

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};

use crate::{
    support::socket::LIBRARY_VERSION,
    support::test_app::{Db, TestApp, on_each_database, soon, token, token_for},
};

const SSE: &str = "text/event-stream";
const MULTIPART: &str = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json";

async fn post(app: &TestApp, accept: &str, query: &str, bearer: &str) -> Response {
    let request = app
        .http
        .post(app.url("/graphql"))
        .bearer_auth(bearer)
        .header("Accept", accept)
        .json(&json!({"query": query}));
    soon("a response", request.send()).await.unwrap()
}

/// The next bytes of the stream; none when it has ended.
async fn chunk(response: &mut Response) -> Option<String> {
    let chunk = soon("a chunk", response.chunk()).await.unwrap()?;
    Some(String::from_utf8(chunk.to_vec()).unwrap())
}

async fn text(response: Response) -> String {
    soon("the end", response.text()).await.unwrap()
}

/// The expected result with a version.
async fn version_result(app: &TestApp, version: i64) -> Value {
    let head = app.user("ann").head_at(version).await;
    json!({"data": {"libraryVersion": version}, "extensions": {"libraryVersion": version, "libraryHead": head}})
}

fn event(event: &str) -> Value {
    let json = event
        .strip_prefix("event: next\ndata: ")
        .and_then(|rest| rest.strip_suffix("\n\n"));
    serde_json::from_str(json.unwrap_or_else(|| panic!("{event:?}"))).unwrap()
}

fn part(part: &str) -> Value {
    let json = part
        .strip_prefix("\r\ncontent-type: application/json\r\n\r\n")
        .and_then(|rest| rest.strip_suffix("\r\n--graphql"));
    serde_json::from_str(json.unwrap_or_else(|| panic!("{part:?}"))).unwrap()
}

on_each_database! {
    async fn a_subscription_is_streamed_as_events(db: Db) {
        let app = TestApp::start(db).await;
        let mut stream = post(&app, SSE, LIBRARY_VERSION, &token("ann")).await;
        assert_eq!(stream.status(), 200);
        for (name, value) in [
            ("content-type", SSE),
            ("cache-control", "no-cache, no-transform"),
            ("x-accel-buffering", "no"),
            ("connection", "close"),
        ] {
            assert_eq!(stream.headers()[name], value);
        }
        let first = chunk(&mut stream).await.unwrap();
        assert_eq!(event(&first), version_result(&app, 1).await);
        app.user("ann").add("A").await;
        let second = chunk(&mut stream).await.unwrap();
        assert_eq!(event(&second), version_result(&app, 2).await);
    }

    async fn a_subscription_is_streamed_in_parts(db: Db) {
        let app = TestApp::start(db).await;
        let mut stream = post(&app, MULTIPART, LIBRARY_VERSION, &token("ann")).await;
        assert_eq!(stream.status(), 200);
        let content_type = "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0";
        for (name, value) in [
            ("content-type", content_type),
            ("cache-control", "no-cache, no-transform"),
            ("x-accel-buffering", "no"),
            ("connection", "close"),
        ] {
            assert_eq!(stream.headers()[name], value);
        }
        let mut first = chunk(&mut stream).await.unwrap();
        if first == "\r\n--graphql" {
            first.push_str(&chunk(&mut stream).await.unwrap());
        }
        let first = first.strip_prefix("\r\n--graphql").unwrap();
        assert_eq!(part(first), json!({"payload": version_result(&app, 1).await}));
        app.user("ann").add("A").await;
        let second = chunk(&mut stream).await.unwrap();
        assert_eq!(part(&second), json!({"payload": version_result(&app, 2).await}));
    }

    async fn queries_and_mutations_have_one_result(db: Db) {
        let app = TestApp::start(db).await;
        let mutation = "mutation { createTag(input: {name: \"a\"}) { libraryVersion } }";
        let made = text(post(&app, SSE, mutation, &token("ann")).await).await;
        let made = made.strip_suffix("event: complete\ndata:\n\n").unwrap();
        assert_eq!(event(made)["data"]["createTag"]["libraryVersion"], 2);
        let read = text(post(&app, SSE, "{ libraryVersion }", &token("ann")).await).await;
        let read = read.strip_suffix("event: complete\ndata:\n\n").unwrap();
        assert_eq!(event(read)["data"], json!({"libraryVersion": 2}));
    }
}

#[tokio::test]
async fn heartbeats_are_comments_and_empty_parts() {
    let app = TestApp::start_with(Db::Sqlite, &["--heartbeat", "100ms"]).await;
    let heartbeats = [
        (SSE, ":\n\n"),
        (
            MULTIPART,
            "\r\ncontent-type: application/json\r\n\r\n{}\r\n--graphql",
        ),
    ];
    for (accept, heartbeat) in heartbeats {
        let mut stream = post(&app, accept, LIBRARY_VERSION, &token("ann")).await;
        while chunk(&mut stream).await.unwrap() != heartbeat {}
    }
}

#[tokio::test]
async fn request_errors_are_reported_through_the_stream() {
    let app = TestApp::start(Db::Sqlite).await;
    for query in ["{", "{ nothing }", "subscription { nothing }"] {
        let response = post(&app, SSE, query, &token("ann")).await;
        assert_eq!(
            (
                response.status().as_u16(),
                &response.headers()["content-type"]
            ),
            (200, &SSE.parse().unwrap())
        );
        let received = text(response).await;
        let received = received.strip_suffix("event: complete\ndata:\n\n").unwrap();
        assert!(
            event(received)["errors"][0]["extensions"]["code"].is_string(),
            "{received}"
        );
        assert!(event(received).get("data").is_none(), "{received}");
    }
    let nothing_else = MULTIPART.split(',').next().unwrap();
    let received = post(
        &app,
        nothing_else,
        "subscription { nothing }",
        &token("ann"),
    )
    .await;
    let received = text(received).await;
    let received = received
        .strip_prefix("\r\n--graphql")
        .and_then(|received| received.strip_suffix("--\r\n"))
        .unwrap();
    assert!(
        part(received)["payload"]["errors"][0]["extensions"]["code"].is_string(),
        "{received}"
    );
}

#[tokio::test]
async fn a_deeply_nested_document_is_refused() {
    let app = TestApp::start(Db::Sqlite).await;
    for (open, close) in [("[", "]"), ("{a:", "}"), ("{a", "}")] {
        let nested = format!("{}1{}", open.repeat(2000), close.repeat(2000));
        let query = format!("subscription {{ libraryVersion(x: {nested}) }}");
        for accept in [SSE, MULTIPART] {
            let response = text(post(&app, accept, &query, &token("ann")).await).await;
            assert!(response.contains("QUERY_TOO_COMPLEX"), "{response}");
        }
    }
}

#[tokio::test]
async fn an_unauthenticated_caller_is_refused_by_status() {
    let app = TestApp::start(Db::Sqlite).await;
    for accept in [SSE, MULTIPART] {
        let refused = post(&app, accept, LIBRARY_VERSION, "x.y.z").await;
        assert_eq!(refused.status(), 401);
        let body: Value = serde_json::from_str(&text(refused).await).unwrap();
        assert_eq!(body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }
}

#[tokio::test]
async fn an_expired_token_ends_the_stream_with_its_code_and_without_completing_it() {
    let app = TestApp::start_with(Db::Sqlite, &["--jwt-leeway", "0s"]).await;
    let token = token_for("ann", Duration::from_secs(2));
    let sse = text(post(&app, SSE, LIBRARY_VERSION, &token).await).await;
    let last = sse.split_inclusive("\n\n").last().unwrap();
    assert_eq!(
        event(last)["errors"][0]["extensions"]["code"],
        "TOKEN_EXPIRED"
    );

    let token = token_for("ann", Duration::from_secs(2));
    let multipart = text(post(&app, MULTIPART, LIBRARY_VERSION, &token).await).await;
    let last = multipart
        .strip_suffix("--\r\n")
        .unwrap()
        .rsplit_once("--graphql\r\n")
        .unwrap()
        .1;
    assert_eq!(
        part(&format!("\r\n{last}")),
        json!({"payload": null, "errors": [{"message": "the token has expired", "extensions": {"code": "TOKEN_EXPIRED"}}]})
    );
}
