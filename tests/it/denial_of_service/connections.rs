//! The edge of the server: how many may connect, what they may cost before anybody knows who they are, and what whoever
//! runs the server can still ask for while they do.

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

/// Sends a request on a connection, and returns what is answered up to the end of its head at least.
async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let reading = async {
        while !answer.windows(4).any(|end| end == b"\r\n\r\n")
            && stream.read_buf(&mut answer).await.unwrap() > 0
        {}
    };
    soon("an answer", reading).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// All clients of a test have one address.
const ANY_ADDRESS: &str = "--max-connections-per-address=0";

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

fn version_check(user: &str) -> String {
    let token = token(user);
    format!("GET /api/library-version HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n")
}

/// So many connections on which a user has authenticated.
async fn fill(base: &str, count: usize) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for _ in 0..count {
        let mut stream = connect(base).await;
        let answer = ask(&mut stream, &version_check("ann")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        open.push(stream);
    }
    open
}

async fn get(url: String) -> reqwest::Response {
    // By a connection of its own each time, as balancers ask.
    soon("an answer", reqwest::get(url)).await.unwrap()
}

// ── how many ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_full_node_still_tells_its_health_and_that_it_is_full() {
    let app = TestApp::start_with(Db::Sqlite, &["--max-connections", "3", ANY_ADDRESS]).await;
    let mut open = fill(&app.base, 3).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = get(app.url(path)).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["connection"], "close", "{path}");
    }
    let refused = get(app.url("/api/library-version")).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let body: Value = soon("the body", refused.json()).await.unwrap();
    assert_eq!(body["errors"][0]["extensions"]["code"], "UNAVAILABLE");
    // Nor does anybody upgrade there.
    assert!(
        raw(&app.base, UPGRADE.as_bytes(), "\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 503")
    );
    open.pop();
    let served = async { while get(app.url("/api/library-version")).await.status() != 401 {} };
    soon("there is room", served).await;
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = soon("an end", stream.read(&mut [0])).await;
    matches!(read, Ok(0) | Err(_))
}

#[tokio::test]
async fn anonymous_connections_keep_no_user_out() {
    let flags = [
        "--max-connections",
        "3",
        "--init-timeout",
        "1m",
        ANY_ADDRESS,
    ];
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    let mut kept = fill(&app.base, 1).await;
    let mut socket = Socket::open(&app).await;
    socket.init(&token("bob")).await;
    for round in 0..5 {
        // One says nothing, one has begun a request, one has been answered, one waits as a WebSocket.
        let mut strangers = Vec::new();
        for said in ["", "GET /", HEALTH, UPGRADE] {
            let mut stranger = connect(&app.base).await;
            if said.ends_with("\r\n\r\n") {
                ask(&mut stranger, said).await;
            } else {
                stranger.write_all(said.as_bytes()).await.unwrap();
            }
            strangers.push(stranger);
        }
        let answer = get(app.url("/healthz")).await;
        assert!(
            !answer.headers().contains_key("connection"),
            "a slot of its own"
        );
        for stranger in &mut strangers {
            assert!(is_closed(stranger).await, "round {round}");
        }
        let answer = ask(&mut kept[0], &version_check("ann")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        socket.send(json!({"type": "ping"})).await;
        assert_eq!(socket.next().await["type"], "pong");
    }
}

#[tokio::test]
async fn an_address_has_its_share_of_connections() {
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
    soon("there is room", served).await;
}

#[tokio::test]
async fn behind_a_proxy_its_address_has_no_share() {
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
async fn probes_and_metrics_can_have_a_listener_of_their_own() {
    let flags = [
        "--ops-listen",
        "127.0.0.1:0",
        "--max-connections",
        "2",
        ANY_ADDRESS,
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
        "a balancer asks where it sends"
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
async fn a_port_that_is_taken_is_told_by_the_name_of_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let db = TestDatabase::new(Db::Sqlite).await;
    let error = TestApp::start_error(&db.url, &["--ops-listen", &address]).await;
    assert!(
        error.contains("--ops-listen (LIBRARY_SYNC_OPS_LISTEN)"),
        "{error}"
    );
}

/// A process that may open so many files, and its log.
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
    async fn clients_never_take_the_files_that_a_node_needs_for_itself(db: Db) {
        let database = TestDatabase::new(db).await;
        let (server, log) = with_files(&database, 200, &[]).await;
        assert_eq!(logged(&log, "exceeds the limit of open files"), 1);
        let create = "mutation { createTag(input: {name: \"a\"}) { libraryVersion } }";
        // A connection that stays; the others take all places.
        server.send("ann", "{ libraryVersion }", json!({})).await.unwrap();
        let mut open = Vec::new();
        for _ in 0..250 {
            open.push(connect(&server.base).await);
        }
        if db == Db::Postgres {
            let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
            database.execute(terminate).await;
        }
        let answer = async {
            loop {
                let answer = server.send("ann", create, json!({})).await;
                if let Ok(answer) = answer && answer["data"]["createTag"]["libraryVersion"] == 2 {
                    return;
                }
            }
        };
        soon("the database is reached", answer).await;
        assert_eq!(logged(&log, "no connection can be accepted"), 0);
    }
}

#[tokio::test]
async fn accepts_that_fail_are_counted_and_logged_and_end_nothing() {
    let database = TestDatabase::new(Db::Sqlite).await;
    let (server, log) = with_files(&database, 400, &[]).await;
    let limit = |files| {
        let pid = i32::try_from(server.child.id()).unwrap();
        rlimit::prlimit(pid, rlimit::Resource::NOFILE, Some((files, 400)), None).unwrap();
    };
    limit(1);
    let mut waiting = connect(&server.base).await;
    let told = async {
        while logged(&log, "no connection can be accepted") == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("it is logged", told).await;
    limit(400);
    let answer = ask(&mut waiting, HEALTH).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(server.counter("library_sync_accept_errors_total").await >= 1.0);
    assert_eq!(
        logged(&log, "no connection can be accepted"),
        1,
        "not every time"
    );
}

// ── how a node stops ─────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_node_that_stops_announces_the_end_of_each_connection() {
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
        // To the end: it is closed, and not only announced.
        let answer = raw(&app.base, request.as_bytes(), "never said").await;
        assert!(
            answer.contains("\r\nConnection: close\r\n"),
            "{path}: {answer}"
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

// ── WebSockets of strangers ──────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn an_upgrade_is_answered_in_the_letters_that_clients_look_for() {
    let app = TestApp::start(Db::Sqlite).await;
    let answer = raw(&app.base, UPGRADE.as_bytes(), "\r\n\r\n").await;
    for line in [
        "HTTP/1.1 101 Switching Protocols\r\n",
        "\r\nConnection: Upgrade\r\n",
        "\r\nUpgrade: websocket\r\n",
        "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        "\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n",
    ] {
        assert!(answer.contains(line), "{line:?} in {answer}");
    }
    let answer = raw(&app.base, HEALTH.as_bytes(), "ok").await;
    assert!(answer.contains("\r\nContent-Type: text/plain"), "{answer}");
}

/// A frame's header that announces a text of so many bytes, and nothing of the text.
fn announcement(length: u64) -> Vec<u8> {
    [&[0x81, 0xFF][..], &length.to_be_bytes(), &[0; 4]].concat()
}

#[tokio::test]
async fn a_frame_that_is_announced_and_does_not_come_costs_next_to_nothing() {
    let database = TestDatabase::new(Db::Sqlite).await;
    let server = TestProcess::serve(&database.url, &["--init-timeout", "1m"]).await;
    let (mut open, mut bodies) = (Vec::new(), Vec::new());
    let mut announce = async |path: &str, before: &[u8], length| {
        let mut stream = connect(&server.base).await;
        let answer = ask(&mut stream, &UPGRADE.replacen("/graphql", path, 1)).await;
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
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
    // What the first ones cost that the others do not.
    announce("/graphql", &[], 16_000).await;
    announce("/graphql", &init("first"), 2_000_000).await;
    let before = memory(&server);
    for n in 0..100 {
        announce("/graphql", &[], 16_000).await;
        announce("/graphql", &init(&format!("user-{}", n / 20)), 2_000_000).await;
    }
    for _ in 0..100 {
        // Nor does the length of a body that is announced.
        let mut stream = connect(&server.base).await;
        let request = format!(
            "POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n\r\n{{",
            token("ann")
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        bodies.push(stream);
    }
    // All have been read: the server answers what comes after.
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
async fn a_message_before_connection_ack_is_short() {
    let app = TestApp::start(Db::Sqlite).await;
    let mut socket = Socket::open(&app).await;
    let padded = |bytes: usize| json!({"type": "ping", "payload": {"pad": "x".repeat(bytes)}});
    socket.send(padded(15_000)).await;
    assert_eq!(socket.next().await["type"], "pong");
    socket.send(padded(17_000)).await;
    assert_eq!(socket.closed().await.0, 1009);
    // By its header alone, and in parts.
    let mut stream = connect(&app.base).await;
    let answer = ask(&mut stream, UPGRADE).await;
    assert!(answer.starts_with("HTTP/1.1 101"));
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
async fn an_address_has_its_share_of_sockets_without_connection_ack() {
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
    // One that introduces itself makes room.
    open[0].init(&token("ann")).await;
    let opened = async {
        while !raw(&app.base, UPGRADE.as_bytes(), "\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 101")
        {}
    };
    soon("there is room", opened).await;
}

#[tokio::test]
async fn the_oldest_socket_without_connection_ack_gives_way_to_the_newest() {
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
        // However many strangers there are, one who introduces itself finds room.
        drop(Socket::open(&app).await);
        Socket::of(&app, &token("cid")).await;
    }
    assert!(began.elapsed() < Duration::from_secs(10));
}
