//! Unusual requests: accepted where the meaning is unambiguous, otherwise refused with the cause, and without an effect on
//! other requests.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    auth::security::raw,
    support::socket::{LIBRARY_VERSION, Socket, version},
    support::test_app::{Db, TestApp, on_each_database, soon, token},
    support::transport::{StreamItem, Transport},
};

const CREATE: &str = "mutation ($n: String!) { createTag(input: {name: $n}) { libraryVersion } }";

/// The head of a response, in lower case, and its body.
fn parts(response: &str) -> (String, &str) {
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body)
}

// ── heads of requests ────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_client_that_half_closes_after_its_request_gets_the_response() {
    let app = TestApp::start(Db::Sqlite).await;
    let ann = token("ann");
    let body = r#"{"query":"{ libraryVersion }"}"#;
    let length = body.len();
    for request in [
        format!(
            "GET /api/library-version HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ann}\r\n\r\n"
        ),
        format!(
            "POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ann}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ),
    ] {
        let address = app.base.strip_prefix("http://").unwrap();
        let response = soon("a response within 500 ms", async {
            loop {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(request.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
                let mut response = String::new();
                stream.read_to_string(&mut response).await.unwrap();
                if !response.is_empty() {
                    break response;
                }
            }
        })
        .await;
        assert!(
            response.starts_with("HTTP/1.1 200 OK"),
            "{request}: {response}"
        );
        assert!(response.ends_with('}'), "{response}");
    }
}

#[tokio::test]
async fn ambiguous_request_heads_are_refused_with_400() {
    let app = TestApp::start(Db::Sqlite).await;
    let (ann, bob) = (token("ann"), token("bob"));
    let refused = [
        format!("Host: x\r\nAuthorization: Bearer {ann}\r\nAuthorization: Bearer {bob}"),
        format!("Host: x\r\nHost: y\r\nAuthorization: Bearer {ann}"),
        format!(
            "Host: x\r\nAuthorization: Bearer {ann}\r\nOrigin: http://x\r\nOrigin: http://evil.example"
        ),
        format!(
            "Host: x\r\nAuthorization: Bearer {ann}\r\nX-Min-Library-Version: 1\r\nX-Min-Library-Version: 2"
        ),
        format!("Host: x@y\r\nAuthorization: Bearer {ann}"),
        format!("Authorization: Bearer {ann}"),
    ];
    for headers in &refused {
        for path in [
            "/api/library-version",
            "/graphql?query={libraryVersion}",
            "/healthz",
        ] {
            let request = format!("GET {path} HTTP/1.1\r\n{headers}\r\n\r\n");
            let response = raw(&app.base, request.as_bytes(), "BAD_REQUEST").await;
            let (head, body) = parts(&response);
            assert!(head.starts_with("http/1.1 400"), "{headers}: {response}");
            assert!(head.contains("x-request-id: "), "{response}");
            assert!(body.contains(r#""code":"BAD_REQUEST""#), "{response}");
            assert!(!response.contains(&ann), "no token is repeated: {response}");
        }
    }
    // HTTP/1.0 knows no host.
    let old = format!("GET /api/library-version HTTP/1.0\r\nAuthorization: Bearer {ann}\r\n\r\n");
    let response = raw(&app.base, old.as_bytes(), "epoch").await;
    assert!(response.contains("200 OK"), "{response}");
}

#[tokio::test]
async fn a_websocket_key_must_have_16_bytes() {
    let app = TestApp::start(Db::Sqlite).await;
    let open = async |key: &str| {
        let request = format!(
            "GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n{key}Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        );
        raw(&app.base, request.as_bytes(), "\r\n\r\n").await
    };
    let good = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    assert!(open(good).await.starts_with("HTTP/1.1 101"));
    for key in [
        "",
        "Sec-WebSocket-Key: \r\n",
        "Sec-WebSocket-Key: x\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTEyMzQ=\r\n",
        "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n",
        &good.repeat(2),
    ] {
        let response = open(key).await;
        assert!(response.starts_with("HTTP/1.1 400"), "{key:?}: {response}");
    }
}

#[tokio::test]
async fn other_cookies_may_hold_any_bytes() {
    let flags = ["--session-cookie", "session"];
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    let ask = async |cookies: Vec<u8>| {
        let mut request = b"GET /api/library-version HTTP/1.1\r\nHost: x\r\n".to_vec();
        request.extend(cookies);
        request.extend(b"\r\n\r\n");
        let response = raw(&app.base, &request, "}").await;
        response.split(' ').nth(1).unwrap().to_owned()
    };
    let session = format!("session={}", token("ann")).into_bytes();
    for cookies in [
        [&b"Cookie: theme=\xff\xc3; "[..], &session].concat(),
        [b"Cookie: ", &session[..], b"; \x80=\xff"].concat(),
        [b"Cookie: sess=\xff; ", &session[..]].concat(),
        [b"Cookie: a=\xff\r\nCookie: ", &session[..]].concat(),
    ] {
        assert_eq!(ask(cookies).await, "200");
    }
    assert_eq!(ask(b"Cookie: session=\xff".to_vec()).await, "401");
}

on_each_database! {
    async fn head_of_a_stream_has_no_body_and_does_not_consume_the_ticket(db: Db) {
        let app = TestApp::start(db).await;
        let mint = async || {
            let minted = app.user("ann").ask("mutation { createStreamTicket(input: {}) { ticket } }", json!({})).await;
            minted["createStreamTicket"]["ticket"].as_str().unwrap().to_owned()
        };
        let query = "query=subscription%7BlibraryVersion%7D&";
        for (transport, path, accept) in [
            (Transport::Events, "/api/library-version-events?".to_owned(), "text/event-stream"),
            (Transport::Sse, format!("/graphql?{query}"), "text/event-stream"),
            (Transport::Multipart, format!("/graphql?{query}"), "multipart/mixed;subscriptionSpec=1.0"),
        ] {
            let ticket = mint().await;
            let head = format!("HEAD {path}ticket={ticket} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n");
            // The connection is reused for more requests, so there was no body.
            let next = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            let response = raw(&app.base, format!("{head}{head}{next}").as_bytes(), "\r\n\r\nok").await;
            let responses: Vec<_> = response.split("HTTP/1.1 ").skip(1).collect();
            assert_eq!(responses.len(), 3, "{response}");
            for head in &responses[..2] {
                let head = head.to_ascii_lowercase();
                assert!(head.starts_with("200 ok\r\n") && head.ends_with("\r\n\r\n"), "{response}");
                let kind = accept.split(';').next().unwrap();
                assert!(head.contains(&format!("content-type: {kind}")), "{response}");
                assert!(!head.contains("content-length"), "{response}");
            }
            let ticket_query = format!("?ticket={ticket}");
            let mut stream = transport.open_with(&app, &ticket_query, &[]).await.unwrap();
            assert_eq!(stream.next().await, StreamItem::Version(1));
            let spent = raw(&app.base, head.as_bytes(), "\r\n\r\n").await;
            assert!(spent.starts_with("HTTP/1.1 401"), "{spent}");
        }
    }
}

#[tokio::test]
async fn every_401_has_www_authenticate() {
    let app = TestApp::start_with(Db::Sqlite, &["--session-cookie", "session"]).await;
    let challenge = async |path: &str, headers: &[(&str, &str)]| {
        let mut request = app.http.get(app.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = soon("a response", request.send()).await.unwrap();
        assert_eq!(response.status(), 401, "{path} {headers:?}");
        response.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    for path in [
        "/graphql?query={libraryVersion}",
        "/api/library-version",
        "/api/library-version-events",
        "/api/trpc/view.getVersion",
    ] {
        assert_eq!(challenge(path, &[]).await, "Bearer", "{path}");
        let bad = [("authorization", "Bearer a.b.c")];
        let cookie = [("cookie", "session=a.b.c")];
        for sent in [&bad, &cookie] {
            let header = challenge(path, sent).await;
            assert!(
                header.starts_with(r#"Bearer error="invalid_token", error_description="the token"#),
                "{path}: {header}"
            );
        }
    }
    for path in ["/api/library-version-events?ticket=x", "/graphql?ticket=x"] {
        let header = challenge(path, &[("accept", "text/event-stream")]).await;
        assert!(
            header.contains(r#"error="invalid_token""#),
            "{path}: {header}"
        );
    }
}

// ── bodies and messages ──────────────────────────────────────────────────────────────────────────────────────────────

async fn post(app: &TestApp, content_type: &str, body: &str) -> (u16, Value) {
    let request = app.http.post(app.url("/graphql")).bearer_auth(token("ann"));
    let request = request
        .header("content-type", content_type)
        .body(body.to_owned());
    let response = soon("a response", request.send()).await.unwrap();
    let status = response.status().as_u16();
    (status, soon("the body", response.json()).await.unwrap())
}

#[tokio::test]
async fn unusual_encodings_of_a_request_are_accepted() {
    let app = TestApp::start(Db::Sqlite).await;
    let plain = r#"{"query":"{ libraryVersion }"}"#;
    for (content_type, body) in [
        ("application/json", &*format!("\u{feff}{plain}")),
        ("application/json; charset=utf8", plain),
        ("application/json;charset=\"UTF8\"", plain),
        (
            "application/json",
            r#"{"query":"{ libraryVersion }","operationName":"","variables":"","extensions":null}"#,
        ),
    ] {
        let (status, response) = post(&app, content_type, body).await;
        assert_eq!(
            (status, &response["data"]["libraryVersion"]),
            (200, &json!(1)),
            "{body}"
        );
    }
    let odd = format!(r#"{{"query":"{CREATE}","variables":{{"n":"half \ud83d"}}}}"#);
    let (_, response) = post(&app, "application/json", &odd).await;
    assert_eq!(
        response["data"]["createTag"]["libraryVersion"], 2,
        "{response}"
    );
    let tags = app.user("ann").ask("{ tags { name } }", json!({})).await;
    assert_eq!(tags["tags"][0]["name"], "half \u{fffd}");
    for (body, cause) in [
        ("[]", "empty list"),
        ("", "the body is empty"),
        (
            r#"{"query":"{ libraryVersion }","query":"{ viewer { id } }"}"#,
            "duplicate key \"query\"",
        ),
        (
            r#"{"query":"{ libraryVersion }","variables":{"a":1,"a":2}}"#,
            "duplicate key \"a\"",
        ),
    ] {
        let (status, response) = post(&app, "application/json", body).await;
        let error = &response["errors"][0];
        assert_eq!(
            (status, &error["extensions"]["code"]),
            (400, &json!("BAD_REQUEST")),
            "{body}"
        );
        assert!(
            error["message"].as_str().unwrap().contains(cause),
            "{error}"
        );
    }
}

on_each_database! {
    async fn an_operation_with_invalid_values_fails_and_its_socket_stays_open(db: Db) {
        let app = TestApp::start(db).await;
        let mut socket = Socket::of(&app, &token("ann")).await;
        socket.subscribe("s", LIBRARY_VERSION).await;
        assert_eq!(socket.next().await, version("s", 1));
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
        for payload in [
            r#"{"query":"{ libraryVersion }","variables":[]}"#,
            r#"{"query":"{ libraryVersion }","variables":"x"}"#,
            r#"{"query":"{ libraryVersion }","extensions":1}"#,
            r#"{"query":"{ libraryVersion }","operationName":{}}"#,
            r#"{"query":"{ libraryVersion }","variables":{"n":1e999}}"#,
            r#"{"query":"{ libraryVersion }","variables":{"n":1,"n":2}}"#,
            r#"{"query":7}"#,
            "{}",
            &format!(r#"{{"query":"{{ libraryVersion }}","variables":{deep}}}"#),
        ] {
            let message = format!(r#"{{"type":"subscribe","id":"bad","payload":{payload}}}"#);
            socket.send_raw(Message::text(message)).await;
            let error = socket.next().await;
            assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("bad")), "{payload}");
            assert_eq!(error["payload"][0]["extensions"]["code"], "BAD_REQUEST", "{payload}");
        }
        // Half a surrogate pair is replaced, not refused.
        let odd = format!(r#"{{"type":"subscribe","id":"m","payload":{{"query":"{CREATE}","variables":{{"n":"half \ud83d"}}}}}}"#);
        socket.send_raw(Message::text(odd)).await;
        let mut received = Vec::new();
        while received.len() < 3 {
            received.push(socket.next().await);
        }
        assert!(received.contains(&version("s", 2)), "the subscription continues: {received:?}");
        assert!(received.contains(&json!({"id": "m", "type": "complete"})), "{received:?}");
        let tags = app.user("ann").ask("{ tags { name } }", json!({})).await;
        assert_eq!(tags["tags"][0]["name"], "half \u{fffd}");
    }
}
