//! Clients that stop reading cost other clients no time and the server no memory.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use futures_util::{SinkExt as _, StreamExt as _, future::join_all};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::ClientRequestBuilder},
};

use crate::{
    support::test_app::{Db, TestDatabase, TestProcess, http_client, soon, token},
    support::transport::Transport,
};

/// The number of stalled clients per transport.
const STALLED: usize = 50;
/// The number of changes per request, and of requests.
const CHANGES: (i64, i64) = (40, 50);
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// A subscription with large results, so that few of them fill the socket buffers.
fn large_subscription() -> String {
    format!("subscription {{ {}: libraryVersion }}", "v".repeat(20_000))
}

/// A connection with a small receive buffer.
async fn connect(server: &TestProcess) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(1).unwrap();
    let address = server.base.strip_prefix("http://").unwrap();
    let connecting = socket.connect(address.parse().unwrap());
    soon("a connection", connecting).await.unwrap()
}

/// Opens a stream, reads its beginning, and then stops reading.
async fn stall(server: &TestProcess, transport: Transport) -> TcpStream {
    let bearer = format!("Bearer {}", token("ann"));
    if transport == Transport::Websocket {
        let url = format!("ws{}/graphql", server.base.strip_prefix("http").unwrap());
        let request = ClientRequestBuilder::new(url.parse().unwrap())
            .with_sub_protocol("graphql-transport-ws")
            .with_header("Authorization", bearer);
        let (mut socket, _) = client_async(request, connect(server).await).await.unwrap();
        let subscribe =
            json!({"type": "subscribe", "id": "s", "payload": {"query": large_subscription()}});
        for message in [json!({"type": "connection_init"}), subscribe] {
            socket
                .send(Message::text(message.to_string()))
                .await
                .unwrap();
        }
        socket.next().await.unwrap().unwrap();
        return socket.into_inner();
    }
    let (line, accept, body) = match transport {
        Transport::Events => (
            "GET /api/library-version-events",
            "text/event-stream",
            String::new(),
        ),
        Transport::Sse => (
            "POST /graphql",
            "text/event-stream",
            json!({"query": large_subscription()}).to_string(),
        ),
        _ => (
            "POST /graphql",
            "multipart/mixed;subscriptionSpec=1.0",
            json!({"query": large_subscription()}).to_string(),
        ),
    };
    let mut request =
        format!("{line} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nAuthorization: {bearer}\r\n");
    if !body.is_empty() {
        let _ = write!(
            request,
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
    }
    let mut stream = connect(server).await;
    stream
        .write_all(format!("{request}\r\n{body}").as_bytes())
        .await
        .unwrap();
    let mut status = [0; 12];
    soon("a response", stream.read_exact(&mut status))
        .await
        .unwrap();
    assert_eq!(&status, b"HTTP/1.1 200", "{transport}");
    stream
}

/// The resident memory of the process, in bytes.
pub fn memory(server: &TestProcess) -> u64 {
    status(server, "VmRSS:")
}

/// The peak resident memory, in bytes.
fn peak_memory(server: &TestProcess) -> u64 {
    status(server, "VmHWM:")
}

fn status(server: &TestProcess, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes << 10
}

/// Changes the library `times` times, and returns the new version.
async fn change(server: &TestProcess, times: i64) -> i64 {
    let tags = (0..times).map(|at| {
        let name = uuid::Uuid::now_v7();
        format!(r#"t{at}: createTag(input: {{name: "{name}"}}) {{ libraryVersion }} "#)
    });
    let mutation = format!("mutation {{ {} }}", tags.collect::<String>());
    let changed = server.send("ann", &mutation, json!({})).await.unwrap();
    let last = &changed["data"][format!("t{}", times - 1)]["libraryVersion"];
    last.as_i64().unwrap_or_else(|| panic!("{changed}"))
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_stalled_clients_cost_neither_time_nor_memory_and_are_disconnected() {
    let db = TestDatabase::new(Db::Sqlite).await;
    let flags = [
        "--max-streams-per-user",
        "1000",
        "--max-user-rate",
        "0",
        "--write-timeout",
        "2s",
    ];
    let server = TestProcess::serve(&db.url, &flags).await;
    let url = server.url("/api/library-version-events");
    let mut live = http_client()
        .get(url)
        .bearer_auth(token("ann"))
        .send()
        .await
        .unwrap();
    let mut read_on = async |last: i64| {
        let mut text = String::new();
        let newest = format!("\"version\":{last}}}");
        while !text.contains(&newest) {
            let chunk = soon("an event", live.chunk()).await.unwrap().unwrap();
            text = String::from_utf8(chunk.to_vec()).unwrap();
        }
    };
    read_on(1).await;
    // Warms up, so that the measurement excludes one-time allocations.
    change(&server, CHANGES.0).await;

    let mut stalled = Vec::new();
    for transport in Transport::ALL {
        let opening = (0..STALLED).map(|_| stall(&server, transport));
        stalled.extend(join_all(opening).await);
    }
    let before = memory(&server);
    let mut slowest = Duration::ZERO;
    for _ in 0..CHANGES.1 {
        let version = change(&server, CHANGES.0).await;
        let began = Instant::now();
        read_on(version).await;
        slowest = slowest.max(began.elapsed());
    }
    let changed = Instant::now();
    let after = memory(&server);
    // Queued results of the stalled clients would be 20 kB each, 6 GB in all.
    let grown = after.saturating_sub(before);
    assert!(grown < 100 << 20, "from {before} to {after}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");

    // The events of `/api/library-version-events` are so short that all fit into the socket buffers.
    let left = f64::from(u32::try_from(STALLED).unwrap()) + 1.5;
    let dropped = async { while server.counter("library_sync_streams").await > left {} };
    soon("they are disconnected", dropped).await;
    assert!(
        changed.elapsed() < 2 * WRITE_TIMEOUT,
        "{:?}",
        changed.elapsed()
    );
    read_on(change(&server, 1).await).await;
    drop(stalled);
}

/// A client's ping frame with a zero mask.
fn ping_frame() -> Vec<u8> {
    let mut frame = vec![0x89, 0x80 | 0x7d, 0, 0, 0, 0];
    frame.resize(frame.len() + 125, b'x');
    frame
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pings_and_does_not_read_is_disconnected_with_bounded_memory() {
    let db = TestDatabase::new(Db::Sqlite).await;
    let flags = ["--max-message-rate", "0", "--write-timeout", "2s"];
    let server = TestProcess::serve(&db.url, &flags).await;
    change(&server, 1).await;
    let mut stream = stall(&server, Transport::Websocket).await;
    let before = peak_memory(&server);
    let pings = ping_frame().repeat(8 << 10);
    let began = Instant::now();
    // Much more than the socket buffers: 64 MB.
    let flood = async {
        for _ in 0..64 {
            if stream.write_all(&pings).await.is_err() {
                return true;
            }
        }
        false
    };
    let another = async {
        change(&server, 1).await;
        began.elapsed()
    };
    let (is_dropped, took) = tokio::join!(soon("the flood ends", flood), another);
    let grown = peak_memory(&server).saturating_sub(before);
    assert!(grown < 8 << 20, "by {grown}");
    assert!(is_dropped, "the server read all of it");
    assert!(began.elapsed() < 3 * WRITE_TIMEOUT, "{:?}", began.elapsed());
    assert!(took < WRITE_TIMEOUT, "{took:?}");
}
