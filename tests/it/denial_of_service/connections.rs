//! Connection limits, the cost of unauthenticated connections, and the probes and metrics that stay available
//! at the limit.

use std::{
    fs::File,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    auth::security::raw,
    denial_of_service::slow_readers::memory,
    support::socket::Socket,
    support::test_app::{Db, TestApp, TestDatabase, TestProcess, on_each_database, soon, token},
};

const UPGRADE: &str = "GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n";

async fn connect(base: &str) -> TcpStream {
    let address = base.strip_prefix("http://").unwrap();
    soon("a connection", TcpStream::connect(address))
        .await
        .unwrap()
}

/// Sends a request on a connection, and reads the response at least to the end of its head.
async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    let reading = async {
        while !response.windows(4).any(|end| end == b"\r\n\r\n")
            && stream.read_buf(&mut response).await.unwrap() > 0
        {}
    };
    soon("a response", reading).await;
    String::from_utf8_lossy(&response).into_owned()
}

/// All clients of a test share one address.
const NO_ADDRESS_LIMIT: &str = "--max-connections-per-address=0";

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

fn version_check(user: &str) -> String {
    let token = token(user);
    format!("GET /api/library-version HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n")
}

/// Opens `count` authenticated connections.
async fn fill(base: &str, count: usize) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for _ in 0..count {
        let mut stream = connect(base).await;
        let response = ask(&mut stream, &version_check("ann")).await;
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        open.push(stream);
    }
    open
}

async fn get(url: String) -> reqwest::Response {
    // A new connection each time, like the check of a load balancer.
    soon("a response", reqwest::get(url)).await.unwrap()
}

// ── connection limits ────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_node_at_its_connection_limit_still_serves_health_checks_and_503() {
    let app = TestApp::start_with(Db::Sqlite, &["--max-connections", "3", NO_ADDRESS_LIMIT]).await;
    let mut open = fill(&app.base, 3).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let response = get(app.url(path)).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["connection"], "close", "{path}");
    }
    let refused = get(app.url("/api/library-version")).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let body: Value = soon("the body", refused.json()).await.unwrap();
    assert_eq!(body["errors"][0]["extensions"]["code"], "UNAVAILABLE");
    // An upgrade is refused too.
    assert!(
        raw(&app.base, UPGRADE.as_bytes(), "\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 503")
    );
    open.pop();
    let served = async { while get(app.url("/api/library-version")).await.status() != 401 {} };
    soon("a connection is free", served).await;
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = soon("an end", stream.read(&mut [0])).await;
    matches!(read, Ok(0) | Err(_))
}

#[tokio::test]
async fn anonymous_connections_displace_no_authenticated_user() {
    let flags = [
        "--max-connections",
        "3",
        "--init-timeout",
        "1m",
        NO_ADDRESS_LIMIT,
    ];
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    let mut kept = fill(&app.base, 1).await;
    let mut socket = Socket::open(&app).await;
    socket.init(&token("bob")).await;
    for round in 0..5 {
        // A silent one, a partial request, an idle one after a response, and a WebSocket without `connection_init`.
        let mut anonymous = Vec::new();
        for sent in ["", "GET /", HEALTH, UPGRADE] {
            let mut connection = connect(&app.base).await;
            if sent.ends_with("\r\n\r\n") {
                ask(&mut connection, sent).await;
            } else {
                connection.write_all(sent.as_bytes()).await.unwrap();
            }
            anonymous.push(connection);
        }
        let response = get(app.url("/healthz")).await;
        assert!(
            !response.headers().contains_key("connection"),
            "health checks have a separate slot"
        );
        for connection in &mut anonymous {
            assert!(is_closed(connection).await, "round {round}");
        }
        let response = ask(&mut kept[0], &version_check("ann")).await;
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        socket.send(json!({"type": "ping"})).await;
        assert_eq!(socket.next().await["type"], "pong");
    }
}

#[tokio::test]
async fn connections_are_limited_per_address() {
    let flags = ["--max-connections-per-address", "2"];
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    let mut open = fill(&app.base, 2).await;
    let refused = get(app.url("/api/library-version")).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refused.headers()["connection"], "close");
    let body: Value = soon("the body", refused.json()).await.unwrap();
    let code = &body["errors"][0]["extensions"]["code"];
    assert_eq!(code, "TOO_MANY_CONNECTIONS");
    assert_eq!(get(app.url("/healthz")).await.status(), 200);
    open.pop();
    let served = async { while get(app.url("/api/library-version")).await.status() != 401 {} };
    soon("a connection is free", served).await;
}

#[tokio::test]
async fn behind_a_proxy_connections_are_not_limited_per_address() {
    let flags = [
        "--max-connections",
        "3",
        "--client-address-header",
        "x-forwarded-for",
    ];
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    fill(&app.base, 3).await;
}

#[tokio::test]
async fn probes_and_metrics_can_have_a_separate_listener() {
    let flags = [
        "--ops-listen",
        "127.0.0.1:0",
        "--max-connections",
        "2",
        NO_ADDRESS_LIMIT,
    ];
    let mut app = TestApp::start_with(Db::Sqlite, &flags).await;
    let ops = format!("http://{}", app.ops.unwrap());
    assert_eq!(
        get(app.url("/metrics")).await.status(),
        404,
        "not for clients"
    );
    assert_eq!(
        get(app.url("/readyz")).await.status(),
        200,
        "a load balancer checks the port that it forwards to"
    );
    let _open = fill(&app.base, 2).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(get(format!("{ops}{path}")).await.status(), 200, "{path}");
    }
    for path in ["/graphql", "/api/library-version", "/nothing"] {
        assert_eq!(get(format!("{ops}{path}")).await.status(), 404, "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_reported_with_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let db = TestDatabase::new(Db::Sqlite).await;
    let error = TestApp::start_error(&db.url, &["--ops-listen", &address]).await;
    assert!(
        error.contains("--ops-listen (LIBRARY_SYNC_OPS_LISTEN)"),
        "{error}"
    );
}

/// A server process with a limit of open files, and its log.
async fn with_files(
    db: &TestDatabase,
    files: u32,
    flags: &[&str],
) -> (TestProcess, tempfile::NamedTempFile) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let writer = Stdio::from(File::create(log.path()).unwrap());
    let server = TestProcess::serve_with_files(files, &db.url, flags, writer).await;
    (server, log)
}

fn logged(log: &tempfile::NamedTempFile, text: &str) -> usize {
    let log = std::fs::read_to_string(log.path()).unwrap();
    log.lines().filter(|line| line.contains(text)).count()
}

on_each_database! {
    async fn clients_cannot_exhaust_the_file_descriptors_of_a_node(db: Db) {
        let database = TestDatabase::new(db).await;
        let (server, log) = with_files(&database, 200, &[]).await;
        assert_eq!(logged(&log, "exceeds the limit of open files"), 1);
        let create = "mutation { createTag(input: {name: \"a\"}) { libraryVersion } }";
        // A connection that stays open; the others take all free slots.
        server.send("ann", "{ libraryVersion }", json!({})).await.unwrap();
        let mut open = Vec::new();
        for _ in 0..250 {
            open.push(connect(&server.base).await);
        }
        if db == Db::Postgres {
            let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
            database.execute(terminate).await;
        }
        let response = async {
            loop {
                let response = server.send("ann", create, json!({})).await;
                if let Ok(response) = response && response["data"]["createTag"]["libraryVersion"] == 2 {
                    return;
                }
            }
        };
        soon("the database is reached", response).await;
        assert_eq!(logged(&log, "no connection can be accepted"), 0);
    }
}

#[tokio::test]
async fn accept_errors_are_counted_and_logged_and_the_server_continues() {
    let database = TestDatabase::new(Db::Sqlite).await;
    let (server, log) = with_files(&database, 400, &[]).await;
    let limit = |files| {
        let pid = i32::try_from(server.child.id()).unwrap();
        rlimit::prlimit(pid, rlimit::Resource::NOFILE, Some((files, 400)), None).unwrap();
    };
    limit(1);
    let mut waiting = connect(&server.base).await;
    let logging = async {
        while logged(&log, "no connection can be accepted") == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("it is logged", logging).await;
    limit(400);
    let response = ask(&mut waiting, HEALTH).await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(server.counter("library_sync_accept_errors_total").await >= 1.0);
    assert_eq!(
        logged(&log, "no connection can be accepted"),
        1,
        "not every time"
    );
}

// ── graceful shutdown ────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_stopping_node_sends_connection_close() {
    let flags = ["--shutdown-delay", "1s", "--drain-spread", "0s"];
    let mut app = TestApp::start_with(Db::Sqlite, &flags).await;
    let mut kept = connect(&app.base).await;
    assert!(!ask(&mut kept, HEALTH).await.contains("Connection: close"));
    app.begin_stop();
    for path in [
        "/healthz",
        "/readyz",
        "/api/library-version",
        "/nothing",
        "/graphql",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        // Reads to the end: the connection is closed, not only announced as closing.
        let response = raw(&app.base, request.as_bytes(), "never sent").await;
        assert!(
            response.contains("\r\nConnection: close\r\n"),
            "{path}: {response}"
        );
    }
    assert!(
        ask(&mut kept, HEALTH)
            .await
            .contains("\r\nConnection: close\r\n")
    );
    let upgraded = raw(&app.base, UPGRADE.as_bytes(), "\r\n\r\n").await;
    assert!(
        upgraded.starts_with("HTTP/1.1 101") && !upgraded.contains("close"),
        "{upgraded}"
    );
    app.stop().await;
}

// ── WebSockets without connection_ack ────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn an_upgrade_response_has_header_names_in_the_usual_case() {
    let app = TestApp::start(Db::Sqlite).await;
    let response = raw(&app.base, UPGRADE.as_bytes(), "\r\n\r\n").await;
    for line in [
        "HTTP/1.1 101 Switching Protocols\r\n",
        "\r\nConnection: Upgrade\r\n",
        "\r\nUpgrade: websocket\r\n",
        "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        "\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n",
    ] {
        assert!(response.contains(line), "{line:?} in {response}");
    }
    let response = raw(&app.base, HEALTH.as_bytes(), "ok").await;
    assert!(
        response.contains("\r\nContent-Type: text/plain"),
        "{response}"
    );
}

/// The header of a text frame of `length` bytes, without its payload.
fn announcement(length: u64) -> Vec<u8> {
    [&[0x81, 0xFF][..], &length.to_be_bytes(), &[0; 4]].concat()
}

#[tokio::test]
async fn an_announced_frame_that_is_not_sent_allocates_almost_nothing() {
    let database = TestDatabase::new(Db::Sqlite).await;
    let server = TestProcess::serve(&database.url, &["--init-timeout", "1m"]).await;
    let (mut open, mut bodies) = (Vec::new(), Vec::new());
    let mut announce = async |path: &str, before: &[u8], length| {
        let mut stream = connect(&server.base).await;
        let response = ask(&mut stream, &UPGRADE.replacen("/graphql", path, 1)).await;
        assert!(response.starts_with("HTTP/1.1 101"), "{response}");
        if !before.is_empty() {
            stream.write_all(before).await.unwrap();
            let mut acknowledged = [0; 27];
            soon("an acknowledgement", stream.read_exact(&mut acknowledged))
                .await
                .unwrap();
        }
        stream.write_all(&announcement(length)).await.unwrap();
        open.push(stream);
    };
    let init = |user: &str| {
        let init = json!({"type": "connection_init", "payload": {"Authorization": format!("Bearer {}", token(user))}});
        let init = init.to_string();
        let length = u16::try_from(init.len()).unwrap().to_be_bytes();
        [&[0x81, 0xFE][..], &length, &[0; 4], init.as_bytes()].concat()
    };
    // Warms up: the first connections allocate more.
    announce("/graphql", &[], 16_000).await;
    announce("/graphql", &init("first"), 2_000_000).await;
    let before = memory(&server);
    for n in 0..100 {
        announce("/graphql", &[], 16_000).await;
        announce("/graphql", &init(&format!("user-{}", n / 20)), 2_000_000).await;
    }
    for _ in 0..100 {
        // The same with the announced length of a body.
        let mut stream = connect(&server.base).await;
        let request = format!(
            "POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n\r\n{{",
            token("ann")
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        bodies.push(stream);
    }
    // The server has read all of them once it responds to a later message.
    server
        .send("ann", "{ libraryVersion }", json!({}))
        .await
        .unwrap();
    let grown = memory(&server).saturating_sub(before);
    assert!(
        grown < 300 * (100 << 10),
        "{grown} bytes for 300 connections"
    );
}

#[tokio::test]
async fn a_message_before_connection_ack_has_a_small_size_limit() {
    let app = TestApp::start(Db::Sqlite).await;
    let mut socket = Socket::open(&app).await;
    let padded = |bytes: usize| json!({"type": "ping", "payload": {"pad": "x".repeat(bytes)}});
    socket.send(padded(15_000)).await;
    assert_eq!(socket.next().await["type"], "pong");
    socket.send(padded(17_000)).await;
    assert_eq!(socket.closed().await.0, 1009);
    // Rejected by its frame header alone, and in fragments.
    let mut stream = connect(&app.base).await;
    let response = ask(&mut stream, UPGRADE).await;
    assert!(response.starts_with("HTTP/1.1 101"));
    stream.write_all(&announcement(20_000)).await.unwrap();
    let mut close = [0; 4];
    soon("a close", stream.read_exact(&mut close))
        .await
        .unwrap();
    assert_eq!(
        (close[0], u16::from_be_bytes([close[2], close[3]])),
        (0x88, 1009)
    );
    let mut socket = Socket::of(&app, &token("ann")).await;
    socket.send(padded(17_000)).await;
    assert_eq!(socket.next().await["type"], "pong");
    socket
        .send_raw(Message::text(padded(3 << 20).to_string()))
        .await;
    assert_eq!(
        socket.closed().await.0,
        1009,
        "a longer one has its limit too"
    );
}

#[tokio::test]
async fn sockets_without_connection_ack_are_limited_per_address() {
    let flags = [
        "--max-pending-sockets-per-address",
        "3",
        "--init-timeout",
        "1m",
    ];
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(Socket::open(&app).await);
    }
    let refused = raw(&app.base, UPGRADE.as_bytes(), "}]}").await;
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert!(refused.contains("TOO_MANY_PENDING_SOCKETS"), "{refused}");
    assert!(refused.contains("\r\nRetry-After: "), "{refused}");
    assert!(refused.contains("\r\nConnection: close\r\n"), "{refused}");
    // A socket that sends `connection_init` no longer counts.
    open[0].init(&token("ann")).await;
    let opened = async {
        while !raw(&app.base, UPGRADE.as_bytes(), "\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 101")
        {}
    };
    soon("a connection is free", opened).await;
}

#[tokio::test]
async fn the_newest_socket_without_connection_ack_replaces_the_oldest() {
    let flags = ["--max-pending-sockets", "2", "--init-timeout", "1m"];
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    let mut acknowledged = Socket::of(&app, &token("ann")).await;
    let mut oldest = Socket::open(&app).await;
    let _older = Socket::open(&app).await;
    let mut newest = Socket::open(&app).await;
    assert_eq!(oldest.closed().await.0, 1013);
    newest.init(&token("bob")).await;
    acknowledged.assert_no_message().await;
    let began = Instant::now();
    for _ in 0..20 {
        // A socket that sends `connection_init` always gets a slot.
        drop(Socket::open(&app).await);
        Socket::of(&app, &token("cid")).await;
    }
    assert!(began.elapsed() < Duration::from_secs(10));
}
