//! Rate limits, timeouts and size limits: clients beyond them are refused, and the others are served.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, future::join_all, stream};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    support::socket::Socket,
    support::test_app::{Db, TestApp, TestDatabase, TestProcess, error_code, soon, token},
    support::transport::Transport,
};

/// Status, `Retry-After` and code.
async fn outcome(request: RequestBuilder) -> (u16, Option<u64>, Value) {
    let response = soon("a response", request.send()).await.unwrap();
    let retry = response.headers().get("retry-after");
    let retry = retry.map(|seconds| seconds.to_str().unwrap().parse().unwrap());
    let status = response.status().as_u16();
    let body: Value = soon("the body", response.json()).await.unwrap_or_default();
    (status, retry, error_code(&body).clone())
}

fn ask(app: &TestApp, user: &str) -> RequestBuilder {
    let request = app.http.post(app.url("/graphql")).bearer_auth(token(user));
    request.json(&json!({"query": "{ __typename }"}))
}

/// Sends requests until one is refused with 429, and returns their number.
async fn exhaust(request: impl Fn() -> RequestBuilder) -> usize {
    for asked in 0..100 {
        let (status, retry_after, code) = outcome(request()).await;
        if status == 429 {
            assert_eq!(code, "TOO_MANY_REQUESTS");
            assert!((1..=2).contains(&retry_after.unwrap()), "{retry_after:?}");
            return asked;
        }
    }
    panic!("there is no limit");
}

async fn connect(base: &str) -> TcpStream {
    let connect = TcpStream::connect(base.strip_prefix("http://").unwrap());
    soon("a connection", connect).await.unwrap()
}

/// Reads until the server closes the connection, and returns the text.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    // A connection that is reset is closed as well.
    let _ = soon("the end", stream.read_to_end(&mut received)).await;
    String::from_utf8_lossy(&received).into_owned()
}

// ── request rates ────────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_user_over_the_rate_limit_gets_retry_after_on_every_transport() {
    let app = TestApp::start_with(Db::Sqlite, &["--max-user-rate", "1"]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    let asked = exhaust(|| ask(&app, "ann")).await;
    assert!((8..=14).contains(&asked), "a burst of ten seconds: {asked}");

    // One request may succeed, as a second may pass meanwhile, but not two.
    for path in [
        "/api/library-version",
        "/api/library-version-events",
        "/api/trpc/view.getVersion",
        "/graphql?query=%7B__typename%7D",
    ] {
        let get = || app.http.get(app.url(path)).bearer_auth(token("ann"));
        assert!(exhaust(get).await <= 3, "{path}");
    }
    for transport in [Transport::Sse, Transport::Multipart, Transport::Events] {
        let refused = async {
            while transport.open(&app, &token("ann")).await.is_ok() {}
            transport.open(&app, &token("ann")).await.err()
        };
        let refused = soon("a refusal", refused).await.unwrap();
        assert_eq!(refused.status, 429, "{transport}: {refused:?}");
        assert!(refused.body.contains("TOO_MANY_REQUESTS"), "{transport}");
    }
    let init = json!({"type": "connection_init", "payload": {"Authorization": format!("Bearer {}", token("ann"))}});
    let closed = async {
        loop {
            let mut another = Socket::open(&app).await;
            another.send(init.clone()).await;
            if let Err((code, _reason)) = another.next_or_closed().await {
                return code;
            }
        }
    };
    assert_eq!(soon("a close", closed).await, 1013);
    // An open socket stays open, and its operations are refused one by one.
    let mut codes = Vec::new();
    for id in ["a", "b", "c"] {
        socket.subscribe(id, "{ __typename }").await;
        let response = socket.next().await;
        codes.push(response["payload"][0]["extensions"]["code"].clone());
        if response["type"] == "next" {
            assert_eq!(socket.next().await["type"], "complete");
        }
    }
    assert!(codes.contains(&json!("TOO_MANY_REQUESTS")), "{codes:?}");

    assert_eq!(outcome(ask(&app, "bob")).await.0, 200);
    // Ann is served again after a while.
    let again = async { while outcome(ask(&app, "ann")).await.0 != 200 {} };
    soon("she is served again", again).await;
}

#[tokio::test]
async fn each_operation_of_a_batch_counts_towards_the_rate_limit() {
    let flags = ["--max-user-rate", "1", "--max-batch", "100"];
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    let batch = vec![json!({"query": "{ __typename }"}); 100];
    let request = app.http.post(app.url("/graphql")).bearer_auth(token("ann"));
    let response = soon("a response", request.json(&batch).send())
        .await
        .unwrap();
    let responses: Vec<Value> = soon("the body", response.json()).await.unwrap();
    assert_eq!(responses.len(), 100);
    let ran = responses
        .iter()
        .filter(|response| response.get("data").is_some())
        .count();
    assert!((8..=20).contains(&ran), "{ran}");
    assert_eq!(
        responses[99]["errors"][0]["extensions"]["code"],
        "TOO_MANY_REQUESTS"
    );
}

#[tokio::test]
async fn an_address_over_the_rate_limit_is_refused_before_authentication() {
    let flags = [
        "--max-address-rate",
        "1",
        "--client-address-header",
        "x-forwarded-for",
    ];
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    let from = |address: &str| {
        let request = app.http.get(app.url("/api/library-version"));
        request
            .bearer_auth("x.y.z")
            .header("x-forwarded-for", address.to_owned())
    };
    assert_eq!(outcome(from("10.0.0.1")).await.0, 401);
    exhaust(|| from("10.0.0.1")).await;
    // An address in the client's own header is ignored.
    assert_eq!(outcome(from("10.9.9.9, 10.0.0.1")).await.0, 429);
    assert_eq!(outcome(from("10.0.0.2")).await.0, 401);
    exhaust(|| from("2001:db8::1")).await;
    assert_eq!(outcome(from("2001:db8:1::1")).await.0, 401);

    // Without the header, the address of the peer counts.
    exhaust(|| app.http.get(app.url("/graphql"))).await;
    let refused = async {
        while Transport::Websocket.open(&app, &token("bob")).await.is_ok() {}
        Transport::Websocket
            .open(&app, &token("bob"))
            .await
            .err()
            .unwrap()
    };
    let refused = soon("a refusal", refused).await;
    assert_eq!((refused.status, refused.retry_after.is_some()), (429, true));
    // Probes and metrics have no rate limit.
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(outcome(app.http.get(app.url(path))).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn all_addresses_of_an_ipv6_network_share_one_rate_limit() {
    let flags = [
        "--max-address-rate",
        "1",
        "--client-address-header",
        "x-forwarded-for",
    ];
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    let host = std::cell::Cell::new(0_u32);
    let asked = exhaust(|| {
        host.set(host.get() + 1);
        let address = format!("2001:db8:0:7::{:x}", host.get());
        app.http
            .get(app.url("/graphql"))
            .header("x-forwarded-for", address)
    });
    assert!(asked.await < 20);
    let other = app
        .http
        .get(app.url("/graphql"))
        .header("x-forwarded-for", "2001:db8:0:8::1");
    assert_eq!(outcome(other).await.0, 401);
}

// ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let flags = ["--header-timeout", "500ms", "--idle-timeout", "1s"];
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    let half = "GET /healthz HTTP/1.1\r\nhost: x\r\n";
    for sent in [
        "",
        "P",
        "PRI",
        "GET",
        half,
        &format!("{half}\r\n"),
        &format!("{half}\r\n{half}"),
    ] {
        let mut stream = connect(&app.base).await;
        stream.write_all(sent.as_bytes()).await.unwrap();
        let began = Instant::now();
        until_closed(&mut stream).await;
        assert!(began.elapsed() < Duration::from_secs(5), "{sent:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_kept_beyond_the_header_timeout() {
    let app = TestApp::start_with(Db::Sqlite, &["--header-timeout", "500ms"]).await;
    let request = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut idle = connect(&app.base).await;
    for _ in 0..2 {
        idle.write_all(request.as_bytes()).await.unwrap();
        let mut received = [0; 12];
        soon("a response", idle.read_exact(&mut received))
            .await
            .unwrap();
        let received = String::from_utf8_lossy(&received).into_owned();
        assert!(
            received.starts_with("HTTP/1.1 200") || received.contains("ok"),
            "{received}"
        );
        // Connections with partial heads measure the header timeout.
        for _ in 0..2 {
            let mut slow = connect(&app.base).await;
            slow.write_all(&request.as_bytes()[..20]).await.unwrap();
            assert_eq!(until_closed(&mut slow).await, "");
        }
        while idle.try_read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
    }
    // The header timeout applies to its next request.
    idle.write_all(&request.as_bytes()[..20]).await.unwrap();
    let began = Instant::now();
    until_closed(&mut idle).await;
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn http_2_is_not_supported() {
    let app = TestApp::start(Db::Sqlite).await;
    let mut stream = connect(&app.base).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(preface).await.unwrap();
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_without_a_request_delay_no_other_client() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let files = rlimit::getrlimit(rlimit::Resource::NOFILE).unwrap().0;
    // Both processes have this limit, and other tests in this one need some descriptors.
    let count = usize::try_from(files)
        .unwrap()
        .saturating_sub(2_000)
        .min(10_000);
    assert!(count >= 1_000, "the limit of open files is only {files}");
    let db = TestDatabase::new(Db::Sqlite).await;
    let server = TestProcess::serve(
        &db.url,
        &[
            "--header-timeout",
            "12s",
            "--max-user-rate",
            "0",
            "--max-address-rate",
            "0",
        ],
    )
    .await;
    let base = &server.base;

    let began = Instant::now();
    #[expect(
        clippy::async_yields_async,
        reason = "how long each stays open is awaited once all are open"
    )]
    let attack = stream::iter(0..count).map(|number| {
        let base = base.clone();
        tokio::spawn(async move {
            let mut stream = connect(&base).await;
            let sent = [
                "",
                "G",
                "GET /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ",
            ][number % 3];
            stream.write_all(sent.as_bytes()).await.unwrap();
            let since = Instant::now();
            tokio::spawn(async move {
                until_closed(&mut stream).await;
                since.elapsed()
            })
        })
    });
    let attack = async { attack.buffer_unordered(100).collect::<Vec<_>>().await };
    // Another client sends requests all the time, each on a new connection.
    let mut slowest = Duration::ZERO;
    let mut asked = 0;
    let http = reqwest::Client::builder()
        .pool_max_idle_per_host(0)
        .build()
        .unwrap();
    let mut serve_another = async || {
        let began = Instant::now();
        let request = http.post(server.url("/graphql")).bearer_auth(token("ann"));
        let response = request
            .json(&json!({"query": "{ libraryVersion }"}))
            .send()
            .await
            .unwrap();
        let response: Value = response.json().await.unwrap();
        assert_eq!(response["data"]["libraryVersion"], 1);
        slowest = slowest.max(began.elapsed());
        asked += 1;
    };
    let mut attack = std::pin::pin!(attack);
    let attackers = loop {
        tokio::select! {
            attackers = &mut attack => break attackers,
            () = serve_another() => {}
        }
    };
    let opened = began.elapsed();
    assert_eq!(attackers.len(), count);

    let closings = attackers.into_iter().map(Result::unwrap);
    let mut closings = std::pin::pin!(join_all(closings));
    let lasted = loop {
        tokio::select! {
            lasted = &mut closings => break lasted,
            () = serve_another() => {}
        }
    };
    let longest = lasted.into_iter().map(Result::unwrap).max().unwrap();
    assert!(
        longest < Duration::from_secs(17),
        "{longest:?}, opened in {opened:?}"
    );
    // Much less than the lifetime of the attackers' connections, and more than a slow machine takes to close 10,000.
    assert!(slowest < Duration::from_secs(5), "{slowest:?} of {asked}");
    assert!(asked > 10, "{asked}");
}

// ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_body_without_an_end_is_rejected_early() {
    let app = TestApp::start(Db::Sqlite).await;
    for (authorization, status) in [
        (format!("Bearer {}", token("ann")), "413"),
        ("Bearer x.y.z".into(), "401"),
    ] {
        let mut stream = connect(&app.base).await;
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nauthorization: {authorization}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut from, mut to) = stream.into_split();
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(65_536));
        let mut sent = 0;
        let sending = async {
            while to.write_all(chunk.as_bytes()).await.is_ok() {
                sent += 65_536;
            }
        };
        let mut received = [0; 12];
        let response = async {
            tokio::select! {
                read = from.read_exact(&mut received) => read.map(drop),
                () = sending => Ok(()),
            }
        };
        // The connection may be reset before the response is read, because the client is still sending.
        if soon("a response", response).await.is_ok() && received[0] != 0 {
            assert_eq!(
                String::from_utf8_lossy(&received),
                format!("HTTP/1.1 {status}")
            );
        }
        assert!(sent < 16 << 20, "{sent}");
    }
    assert_eq!(app.user("ann").version().await, 1);
}

#[tokio::test]
async fn ten_megabytes_are_refused_with_and_without_a_length() {
    let app = TestApp::start(Db::Sqlite).await;
    let big = json!({"query": "{ libraryVersion }", "variables": {"x": "x".repeat(10 << 20)}})
        .to_string();
    let chunks: Vec<_> = big
        .as_bytes()
        .chunks(1 << 16)
        .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
        .collect();
    for body in [
        reqwest::Body::from(big.clone()),
        reqwest::Body::wrap_stream(stream::iter(chunks)),
    ] {
        let request = app.http.post(app.url("/graphql")).bearer_auth(token("ann"));
        let request = request
            .header("content-type", "application/json")
            .body(body);
        let response = soon("a response", request.send()).await.unwrap();
        assert_eq!(response.status(), 413);
    }
    assert_eq!(app.user("ann").version().await, 1);
}

#[tokio::test]
async fn a_client_that_is_still_sending_can_read_the_refusal_before_the_close() {
    let app = TestApp::start(Db::Sqlite).await;
    let mut stream = connect(&app.base).await;
    let body = vec![b' '; 10 << 20];
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nauthorization: Bearer {}\r\n\r\n",
        body.len(),
        token("ann")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    soon("the body is sent", stream.write_all(&body))
        .await
        .unwrap();
    let mut received = String::new();
    // Not reset: some systems discard received data on a reset.
    soon("the end", stream.read_to_string(&mut received))
        .await
        .unwrap();
    assert!(received.starts_with("HTTP/1.1 413"), "{received}");
    // A client that never stops sending is disconnected.
    let mut endless = connect(&app.base).await;
    endless.write_all(head.as_bytes()).await.unwrap();
    let began = Instant::now();
    let sending = async { while endless.write_all(&body[..1 << 10]).await.is_ok() {} };
    soon("it is disconnected", sending).await;
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_slow_body_times_out() {
    let app = TestApp::start_with(Db::Sqlite, &["--body-timeout", "500ms"]).await;
    let mut stream = connect(&app.base).await;
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\nauthorization: Bearer {}\r\n\r\n",
        token("ann")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    let trickle = async {
        while to.write_all(b" ").await.is_ok() {
            ticks.tick().await;
        }
    };
    let mut received = [0; 12];
    let began = Instant::now();
    tokio::select! {
        read = from.read_exact(&mut received) => drop(read.unwrap()),
        () = trickle => {}
    }
    assert_eq!(String::from_utf8_lossy(&received), "HTTP/1.1 408");
    assert!(began.elapsed() < Duration::from_secs(5));
}
