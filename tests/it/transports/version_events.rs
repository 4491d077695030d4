//! `/api/library-version-events`, byte for byte as the older web app reads it.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::support::test_app::{Db, TestApp, on_each_database, soon, token, token_for};

const PATH: &str = "/api/library-version-events";
const COOKIES: &[&str] = &[
    "--session-cookie",
    "session",
    "--allowed-origins",
    "https://app.example",
];

fn get(app: &TestApp) -> RequestBuilder {
    app.http.get(app.url(PATH)).bearer_auth(token("ann"))
}

async fn send(request: RequestBuilder) -> Response {
    soon("a response", request.send()).await.unwrap()
}

/// The next bytes of the stream.
async fn chunk(response: &mut Response) -> String {
    let chunk = soon("an event", response.chunk()).await.unwrap();
    String::from_utf8(chunk.expect("the stream goes on").to_vec()).unwrap()
}

/// The event without its timestamp, which must be the current time in milliseconds.
fn without_timestamp(event: &str) -> String {
    let (before, rest) = event.split_once(r#""timestamp":"#).unwrap();
    let (time, after) = rest.split_once([',', '}']).unwrap();
    let now = time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    let age = now - time.parse::<i128>().unwrap();
    assert!((0..10_000).contains(&age), "{event}");
    let after = &rest[rest.len() - after.len() - 1..];
    format!(r#"{before}"timestamp":T{after}"#)
}

/// The first event, without its `retry` and with its epoch replaced by `E`.
fn first(event: &str) -> String {
    let event = without_timestamp(event);
    let (retry, event) = event.split_once('\n').unwrap();
    let millis: u32 = retry.strip_prefix("retry: ").unwrap().parse().unwrap();
    assert!((1_000..5_000).contains(&millis), "{retry}");
    without_epoch(event)
}

fn without_epoch(event: &str) -> String {
    let (epoch, rest) = event.strip_prefix("id: ").unwrap().split_once('.').unwrap();
    assert!(epoch.parse::<i64>().is_ok(), "{event}");
    format!("id: E.{rest}")
}

on_each_database! {
    async fn the_stream_is_what_the_older_app_reads(db: Db) {
        let app = TestApp::start(db).await;
        let mut stream = send(get(&app)).await;
        assert_eq!(stream.status(), 200);
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-cache, no-transform"),
            ("x-accel-buffering", "no"),
            ("connection", "close"),
        ] {
            assert_eq!(stream.headers()[name], value);
        }
        assert_eq!(
            first(&chunk(&mut stream).await),
            "id: E.1\ndata: {\"type\":\"connected\",\"timestamp\":T,\"version\":1}\n\n"
        );
        app.user("ann").add("A").await;
        assert_eq!(
            without_epoch(&without_timestamp(&chunk(&mut stream).await)),
            "id: E.2\ndata: {\"type\":\"library_version_update\",\"timestamp\":T,\"version\":2}\n\n"
        );
    }

    async fn heartbeats_carry_the_newest_version(db: Db) {
        let app = TestApp::start_with(db, &["--heartbeat", "200ms"]).await;
        let mut stream = send(get(&app)).await;
        for version in [1, 2] {
            let heartbeat = format!("data: {{\"type\":\"heartbeat\",\"timestamp\":T,\"version\":{version}}}\n\n");
            while without_timestamp(&chunk(&mut stream).await) != heartbeat {}
            app.user("ann").add("A").await;
        }
    }

    async fn a_reconnecting_client_learns_whether_it_missed_versions(db: Db) {
        let app = TestApp::start(db).await;
        app.user("ann").add("A").await;
        let first_event = chunk(&mut send(get(&app)).await).await;
        let id = first_event.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
        let epoch: i64 = id.split_once('.').unwrap().0.parse().unwrap();
        assert_eq!(id, format!("{epoch}.2"));

        for (last_seen, resume) in [
            (format!("{epoch}.2"), json!("up_to_date")),
            (format!("{epoch}.1"), json!("behind")),
            (format!("{epoch}.3"), json!("ahead")),
            (format!("{}.2", epoch - 1), json!("other_epoch")),
            (String::new(), Value::Null),
            ("garbage".into(), Value::Null),
            (format!("{epoch}.2 data: x"), Value::Null),
            ("9".repeat(4000), Value::Null),
        ] {
            let event = chunk(&mut send(get(&app).header("Last-Event-ID", &last_seen)).await).await;
            let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!(data["resume"], resume, "{last_seen}");
            assert_eq!((&data["type"], &data["version"]), (&json!("connected"), &json!(2)));
            assert_eq!(event.lines().count(), 4, "nothing is added: {event}");
        }
    }
}

#[tokio::test]
async fn last_event_id_is_not_echoed_into_the_stream() {
    let app = TestApp::start(Db::Sqlite).await;
    let evil: &[&[u8]] = &[
        b"1.1\tdata: evil",
        b"\xc2\x85data: evil",
        b"\xe2\x80\xa8data: evil",
        b"1.1%0Adata: evil",
    ];
    for value in evil {
        let value = reqwest::header::HeaderValue::from_bytes(value).unwrap();
        let event = chunk(&mut send(get(&app).header("Last-Event-ID", value)).await).await;
        assert!(!event.contains("evil"), "{event}");
    }
}

#[tokio::test]
async fn an_unauthenticated_caller_gets_the_response_of_the_older_app() {
    let app = TestApp::start(Db::Sqlite).await;
    let forged = format!("{}x", token("ann"));
    for request in [
        app.http.get(app.url(PATH)),
        app.http.get(app.url(PATH)).bearer_auth(forged),
        app.http.get(app.url(&format!("{PATH}?ticket=st_none"))),
        app.http
            .get(app.url(&format!("{PATH}?ticket=")))
            .bearer_auth(token("ann")),
    ] {
        let refused = send(request).await;
        assert_eq!(refused.status(), 401);
        let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.starts_with("Bearer"), "{challenge}");
        assert_eq!(refused.text().await.unwrap(), "Unauthorized");
    }
}

#[tokio::test]
async fn head_responds_like_get_without_opening_a_stream() {
    let app = TestApp::start_with(Db::Sqlite, &["--max-streams-per-user", "1"]).await;
    let _stream = send(get(&app)).await;
    let head = send(app.http.head(app.url(PATH)).bearer_auth(token("ann"))).await;
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["content-type"], "text/event-stream");
    assert_eq!(head.text().await.unwrap(), "");
    assert_eq!(send(app.http.head(app.url(PATH))).await.status(), 401);
}

#[tokio::test]
async fn other_methods_get_405_with_the_allowed_methods() {
    let app = TestApp::start(Db::Sqlite).await;
    let refused = send(app.http.post(app.url(PATH)).bearer_auth(token("ann"))).await;
    assert_eq!(refused.status(), 405);
    assert_eq!(refused.headers()["allow"], "GET, HEAD");
}

#[tokio::test]
async fn token_expiry_is_sent_as_an_event_that_the_older_page_ignores() {
    let app = TestApp::start_with(Db::Sqlite, &["--jwt-leeway", "0s"]).await;
    let token = token_for("ann", Duration::from_secs(2));
    let mut stream = send(app.http.get(app.url(PATH)).bearer_auth(token)).await;
    chunk(&mut stream).await;
    assert_eq!(
        without_timestamp(&chunk(&mut stream).await),
        "event: auth_expired\ndata: {\"type\":\"auth_expired\",\"timestamp\":T}\n\n"
    );
    assert!(soon("the end", stream.chunk()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_same_origin_page_needs_only_the_cookie() {
    let app = TestApp::start_with(Db::Sqlite, COOKIES).await;
    let cookie = format!("a=b; session={}", token("ann"));
    for site in [None, Some("same-origin"), Some("none")] {
        let mut request = app.http.get(app.url(PATH)).header("Cookie", &cookie);
        if let Some(site) = site {
            request = request.header("Sec-Fetch-Site", site);
        }
        assert_eq!(send(request).await.status(), 200, "{site:?}");
    }
}

#[tokio::test]
async fn only_pages_of_allowed_origins_may_read_responses() {
    let app = TestApp::start_with(Db::Sqlite, COOKIES).await;
    for path in [PATH, "/graphql", "/api/trpc/view.getVersion"] {
        for (origin, allowed) in [
            ("https://app.example", true),
            ("https://evil.example", false),
            ("null", false),
        ] {
            let expected = allowed.then_some(origin);
            let preflight = app
                .http
                .request(reqwest::Method::OPTIONS, app.url(path))
                .header("Origin", origin)
                .header("Access-Control-Request-Method", "GET")
                .header(
                    "Access-Control-Request-Headers",
                    "authorization,last-event-id",
                );
            let request = app
                .http
                .get(app.url(path))
                .bearer_auth(token("ann"))
                .header("Origin", origin);
            let unknown = app.http.get(app.url(path)).header("Origin", origin);
            for request in [preflight, request, unknown] {
                let response = send(request).await;
                let header = |name: &str| {
                    response
                        .headers()
                        .get(name)
                        .map(|value| value.to_str().unwrap())
                };
                assert_eq!(header("access-control-allow-origin"), expected, "{path}");
                if allowed {
                    assert_eq!(
                        header("access-control-allow-credentials"),
                        Some("true"),
                        "{path}"
                    );
                }
                let vary = response.headers().get_all("vary").iter();
                let vary = vary.map(|value| value.to_str().unwrap().to_lowercase());
                assert!(vary.collect::<String>().contains("origin"), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn retry_delays_and_stream_lifetimes_have_jitter() {
    let app = TestApp::start_with(Db::Sqlite, &["--max-stream-life", "2s"]).await;
    let streams = (0..10).map(async |_| {
        let mut stream = send(get(&app)).await;
        let event = chunk(&mut stream).await;
        let began = Instant::now();
        while let Ok(Some(_)) = soon("the end", stream.chunk()).await {}
        let retry = event.lines().next().unwrap().to_owned();
        (retry, began.elapsed())
    });
    let streams = futures_util::future::join_all(streams).await;
    let retries: HashSet<_> = streams.iter().map(|(retry, _)| retry).collect();
    assert_eq!(retries.len(), 10, "{streams:?}");
    let lives = streams.iter().map(|(_, life)| *life);
    let (shortest, longest) = (lives.clone().min().unwrap(), lives.max().unwrap());
    assert!(shortest > Duration::from_millis(1_500), "{streams:?}");
    assert!(
        longest > shortest + Duration::from_millis(200),
        "{streams:?}"
    );
}
