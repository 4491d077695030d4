//! The bytes of streams that have left hyper: their framing, their ends, and what a proxy makes of them.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    certificate::write_certificate,
    nginx::Nginx,
    servers::free_port,
    socket::LIBRARY_VERSION,
    test_app::{Db, EventStream, TestApp, soon, token, token_for},
};

/// A transport over HTTP.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Events,
    Sse,
    Multipart,
}

/// The life of a token that expires during a test.
const LIFE: Duration = Duration::from_secs(3);

const KINDS: [Kind; 3] = [Kind::Events, Kind::Sse, Kind::Multipart];

impl Kind {
    /// A request for a stream.
    fn request(self, version: &str, token: &str) -> String {
        let accept = match self {
            Self::Events => {
                return format!(
                    "GET /api/library-version-events {version}\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
                );
            }
            Self::Sse => "text/event-stream",
            Self::Multipart => "multipart/mixed;subscriptionSpec=1.0",
        };
        let body = json!({"query": LIBRARY_VERSION}).to_string();
        format!(
            "POST /graphql {version}\r\nhost: x\r\naccept: {accept}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// The end of the body of a stream whose token has expired.
    fn expired(self) -> &'static str {
        match self {
            Self::Events => "event: auth_expired\n",
            Self::Sse => "\"code\":\"TOKEN_EXPIRED\"}}]}\n\n",
            Self::Multipart => "\"code\":\"TOKEN_EXPIRED\"}}]}\r\n--graphql--\r\n",
        }
    }
}

fn check(token: &str) -> String {
    format!("GET /api/library-version HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n")
}

async fn connect(app: &TestApp) -> TcpStream {
    let address = app.base.strip_prefix("http://").unwrap();
    soon("a connection", TcpStream::connect(address))
        .await
        .unwrap()
}

async fn send(client: &mut TcpStream, request: &str) {
    soon("room", client.write_all(request.as_bytes()))
        .await
        .unwrap();
}

/// Receives until `text` has been received, and returns all of it.
async fn until(client: &mut TcpStream, text: &str) -> String {
    let mut received = Vec::new();
    loop {
        let count = soon(text, client.read_buf(&mut received)).await.unwrap();
        let so_far = String::from_utf8_lossy(&received).into_owned();
        if so_far.contains(text) {
            return so_far;
        }
        assert!(
            count > 0,
            "the end of the connection before {text}: {so_far}"
        );
    }
}

/// Receives until the end of the connection.
async fn rest(client: &mut TcpStream) -> String {
    let mut received = String::new();
    soon("the end", client.read_to_string(&mut received))
        .await
        .unwrap();
    received
}

/// The body of a response with the chunked transfer coding. Panics unless it is complete.
fn unchunked(mut body: &str) -> String {
    let mut text = String::new();
    loop {
        let (size, rest) = body
            .split_once("\r\n")
            .unwrap_or_else(|| panic!("{body:?} ends early"));
        let size = usize::from_str_radix(size, 16).unwrap();
        text.push_str(&rest[..size]);
        body = rest[size..].strip_prefix("\r\n").unwrap();
        if size == 0 {
            assert_eq!(body, "");
            return text;
        }
    }
}

/// A stream, after its head and the first version.
struct Opened {
    client: TcpStream,
    /// The body so far.
    body: String,
}

impl Opened {
    /// Opens a stream on a connection that has served another request.
    async fn on_a_kept_connection(app: &TestApp, kind: Kind, token: &str) -> Self {
        let mut client = connect(app).await;
        send(&mut client, &check(token)).await;
        until(&mut client, "\"version\":").await;
        send(&mut client, &kind.request("HTTP/1.1", token)).await;
        let first = match kind {
            Kind::Events => "\"version\":1}",
            _ => "\"libraryVersion\":1}",
        };
        let received = until(&mut client, first).await;
        let (head, body) = received
            .rsplit_once("Transfer-Encoding: chunked\r\n")
            .unwrap();
        assert!(head.contains("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("Connection: close\r\n"), "{head}");
        let (_, body) = body.split_once("\r\n\r\n").unwrap();
        Self {
            client,
            body: body.to_owned(),
        }
    }

    /// The whole body, which must be complete.
    async fn body(mut self) -> String {
        self.body.push_str(&rest(&mut self.client).await);
        unchunked(&self.body)
    }
}

#[tokio::test]
async fn a_stream_whose_token_expires_says_so_ends_and_frees_its_place() {
    let app = TestApp::start_with(
        Db::Sqlite,
        &["--jwt-leeway", "0s", "--max-streams-per-user", "1"],
    )
    .await;
    let ends = KINDS.map(async |kind| {
        let user = format!("{kind:?}");
        let short = token_for(&user, LIFE);
        let body = Opened::on_a_kept_connection(&app, kind, &short)
            .await
            .body()
            .await;
        assert!(body.contains(kind.expired()), "{body}");
        Opened::on_a_kept_connection(&app, kind, &token(&user)).await;
    });
    futures_util::future::join_all(ends).await;
}

#[tokio::test]
async fn a_draining_server_completes_the_body_of_each_stream_and_then_stops() {
    let mut app = TestApp::start_with(Db::Sqlite, &["--drain-spread", "100ms"]).await;
    let mut streams = Vec::new();
    for kind in KINDS {
        streams.push(Opened::on_a_kept_connection(&app, kind, &token("ann")).await);
    }
    app.begin_stop();
    for stream in streams {
        stream.body().await;
    }
    soon("the server stops", app.stop()).await;
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_events_until_the_connection_closes() {
    let app = TestApp::start_with(Db::Sqlite, &["--jwt-leeway", "0s"]).await;
    let streams = KINDS.map(async |kind| {
        let mut client = connect(&app).await;
        let short = token_for("ann", LIFE);
        send(&mut client, &kind.request("HTTP/1.0", &short)).await;
        let received = rest(&mut client).await;
        let (head, body) = received.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
        assert!(!head.contains("Transfer-Encoding"), "{head}");
        let begins = match kind {
            Kind::Events => "retry: ",
            Kind::Sse => "event: next\ndata: ",
            Kind::Multipart => "\r\n--graphql\r\n",
        };
        assert!(body.starts_with(begins), "{body}");
        assert!(body.contains(kind.expired()), "{body}");
    });
    futures_util::future::join_all(streams).await;
}

#[tokio::test]
async fn requests_that_are_pipelined_before_a_stream_are_answered_and_later_ones_do_not_run() {
    let app = TestApp::start_with(Db::Sqlite, &["--jwt-leeway", "0s"]).await;
    let short = token_for("ann", LIFE);
    let mutation =
        json!({"query": "mutation { createTag(input: {name: \"x\"}) { libraryVersion } }"})
            .to_string();
    let mutation = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {short}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{mutation}",
        mutation.len()
    );
    let stream = Kind::Events.request("HTTP/1.1", &short);
    let mut client = connect(&app).await;
    send(
        &mut client,
        &[check(&short), check(&short), stream, mutation].concat(),
    )
    .await;
    let received = rest(&mut client).await;
    let heads: Vec<_> = received.matches("HTTP/1.1 200 OK").collect();
    assert_eq!(heads.len(), 3, "{received}");
    assert!(received.contains("event: auth_expired\n"), "{received}");
    assert!(received.ends_with("\r\n0\r\n\r\n"), "{received}");
    assert_eq!(app.user("ann").version().await, 1);
}

#[tokio::test]
async fn a_body_over_the_limit_is_answered_and_no_stream_follows_on_its_connection() {
    let app = TestApp::start(Db::Sqlite).await;
    for kind in [Kind::Sse, Kind::Multipart] {
        let request = kind.request("HTTP/1.1", &token("ann"));
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let body = body.replace(
            "{ libraryVersion }",
            &format!("{{ libraryVersion }} #{}", "x".repeat(3 << 20)),
        );
        let (head, _) = head.rsplit_once("content-length: ").unwrap();
        let large = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        let mut client = connect(&app).await;
        let (mut from, mut to) = client.split();
        let stream = Kind::Events.request("HTTP/1.1", &token("ann"));
        let requests = large + &stream;
        // The server closes the connection while the client still sends.
        let sent = async { _ = to.write_all(requests.as_bytes()).await };
        let mut received = Vec::new();
        let (received_all, ()) = soon("the answer", async {
            tokio::join!(from.read_to_end(&mut received), sent)
        })
        .await;
        received_all.unwrap();
        let received = String::from_utf8(received).unwrap();
        assert!(received.starts_with("HTTP/1.1 413 "), "{received}");
        assert!(
            received.contains("\"code\":\"PAYLOAD_TOO_LARGE\""),
            "{received}"
        );
        assert_eq!(received.matches("HTTP/1.1 ").count(), 1, "{received}");
    }
}

/// A `server` of nginx that terminates TLS. Without `proxy_http_version`, nginx speaks HTTP/1.0 to the server.
fn tls_server(port: u16, to: &str, more: &str) -> String {
    format!(
        "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate certificate.pem; ssl_certificate_key key.pem;\n\
         location / {{ proxy_pass {to}; proxy_read_timeout 60s; {more} }} }}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_terminates_tls_passes_each_event_on_at_once() {
    let app = TestApp::start(Db::Sqlite).await;
    let folder = TempDir::with_prefix("library-sync-test-").unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (path("certificate.pem"), path("key.pem"));
    write_certificate(&certificate, &key);
    let ports = [free_port(), free_port()];
    let servers = [
        tls_server(ports[0], &app.base, ""),
        tls_server(
            ports[1],
            &app.base,
            "proxy_http_version 1.1; proxy_set_header Connection \"\";",
        ),
    ];
    let servers = servers
        .concat()
        .replace("certificate.pem", &certificate)
        .replace("key.pem", &key);
    let _nginx = Nginx::start(&servers, &ports).await;
    let trusted = std::fs::read(&certificate).unwrap();
    let trusted = reqwest::Certificate::from_pem(&trusted).unwrap();
    let http = reqwest::Client::builder()
        .tls_certs_only([trusted])
        .build()
        .unwrap();
    let mut streams = Vec::new();
    for port in ports {
        let base = format!("https://127.0.0.1:{port}");
        let mut stream = EventStream::open(&http, &base, &token("ann")).await;
        stream.until(1).await;
        streams.push(stream);
    }
    // Long before the first heartbeat, which could flush a buffer.
    for version in 2..=4 {
        app.user("ann").add("A").await;
        for stream in &mut streams {
            stream.until(version).await;
        }
    }
}
