//! Streams that leave hyper, over real sockets with small buffers.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    response::Response,
    routing::{get, post},
};
use futures_util::stream;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::http::{
    connection::{
        accept_loop::{ConnectionLimits, Routes, Stop, serve},
        connection_slots::{ConnectionSlots, SlotLimits},
    },
    streams::detachable::Detachable,
};

const SECOND: Duration = Duration::from_secs(1);

/// A body that the sockets of these tests cannot hold.
static LARGE: &[u8] = &[b'l'; 100_000];

/// A server with one stream, whose chunks the test sends.
struct Served {
    address: SocketAddr,
    chunks: mpsc::UnboundedSender<Bytes>,
    stop: Stop,
    serving: JoinHandle<()>,
}

/// Waits for what must happen soon.
async fn soon<F: Future>(future: F) -> F::Output {
    timeout(20 * SECOND, future).await.expect("a deadline")
}

impl Served {
    fn start() -> Self {
        Self::start_with(SECOND, 20 * SECOND)
    }

    fn start_with(write_timeout: Duration, grace: Duration) -> Self {
        let (chunks, received) = mpsc::unbounded_channel();
        let stop = Stop {
            drain: CancellationToken::new(),
            grace,
        };
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        // Accepted sockets inherit both.
        socket.set_send_buffer_size(1).unwrap();
        socket.set_recv_buffer_size(32 << 10).unwrap();
        socket
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        socket.listen(16).unwrap();
        let listener = std::net::TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let routes = Routes {
            served: routes(received),
            overflow: None,
        };
        let limits = ConnectionLimits {
            write_timeout,
            header_timeout: SECOND,
            idle_timeout: SECOND,
        };
        let slots = ConnectionSlots::new(SlotLimits {
            total: 10,
            per_address: 0,
        });
        let serving = serve(listener, slots, routes, limits, stop.clone());
        Self {
            address,
            chunks,
            stop,
            serving: tokio::spawn(async move { serving.await.unwrap() }),
        }
    }

    fn send(&self, chunk: &'static str) {
        self.chunks.send(chunk.into()).unwrap();
    }

    /// Connects with small buffers, and sends requests.
    async fn request(&self, requests: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(1).unwrap();
        socket.set_send_buffer_size(1).unwrap();
        let mut stream = soon(socket.connect(self.address)).await.unwrap();
        stream.write_all(requests.as_bytes()).await.unwrap();
        stream
    }

    /// Ends the stream, and returns what the client receives until the end of the connection.
    async fn received(self, mut client: TcpStream) -> String {
        drop(self.chunks);
        let mut received = String::new();
        soon(client.read_to_string(&mut received)).await.unwrap();
        received
    }
}

/// `/stream` is the stream, and so is `/stream-of-body`, after the body of the request.
fn routes(received: mpsc::UnboundedReceiver<Bytes>) -> Router {
    let received = Arc::new(Mutex::new(Some(received)));
    let respond = move || -> Response {
        let mut received = received.lock().take().expect("one stream");
        Detachable::respond(stream::poll_fn(move |cx| received.poll_recv(cx)))
    };
    let respond_later = respond.clone();
    Router::new()
        .route("/large", get(async || LARGE))
        .route("/small", get(async || "small"))
        .route("/stream", get(async move || respond()))
        .route(
            "/stream-of-body",
            post(async move |_: Bytes| respond_later()),
        )
}

fn get_request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

/// Receives until `end`, and returns all of it.
async fn until(client: &mut TcpStream, end: &str) -> String {
    let mut received = Vec::new();
    while !received.ends_with(end.as_bytes()) {
        let byte = soon(client.read_u8()).await.unwrap();
        received.push(byte);
    }
    String::from_utf8(received).unwrap()
}

#[tokio::test]
async fn a_stream_is_chunked_and_its_end_closes_the_connection() {
    let served = Served::start();
    let mut client = served.request(&get_request("/stream")).await;
    served.send("one");
    let head = until(&mut client, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("\r\nTransfer-Encoding: chunked\r\n"),
        "{head}"
    );
    assert_eq!(until(&mut client, "one\r\n").await, "3\r\none\r\n");
    served.send("eleven");
    assert_eq!(served.received(client).await, "6\r\neleven\r\n0\r\n\r\n");
}

#[tokio::test]
async fn http_1_0_has_no_chunks_and_ends_with_the_connection() {
    let served = Served::start();
    let mut client = served.request("GET /stream HTTP/1.0\r\n\r\n").await;
    served.send("one");
    let head = until(&mut client, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
    assert!(!head.contains("Transfer-Encoding"), "{head}");
    served.send("two");
    assert_eq!(served.received(client).await, "onetwo");
}

#[tokio::test]
async fn a_stream_can_be_a_later_request_on_a_kept_connection() {
    let served = Served::start();
    let mut client = served.request(&get_request("/small")).await;
    until(&mut client, "small").await;
    client
        .write_all(get_request("/stream").as_bytes())
        .await
        .unwrap();
    served.send("one");
    let received = served.received(client).await;
    assert!(
        received.ends_with("\r\n\r\n3\r\none\r\n0\r\n\r\n"),
        "{received}"
    );
}

#[tokio::test]
async fn a_stream_follows_the_responses_of_pipelined_requests() {
    let served = Served::start();
    let requests = get_request("/large") + &get_request("/stream");
    let client = served.request(&requests).await;
    served.send("one");
    let received = served.received(client).await;
    let (_, bodies) = received.split_once("\r\n\r\n").unwrap();
    let (first, second) = bodies.split_at(LARGE.len());
    assert!(first.bytes().all(|byte| byte == b'l'));
    assert!(second.starts_with("HTTP/1.1 200 OK\r\n"), "{second}");
    assert!(
        second.ends_with("\r\n\r\n3\r\none\r\n0\r\n\r\n"),
        "{second}"
    );
}

#[tokio::test]
async fn requests_after_a_stream_are_discarded() {
    let served = Served::start();
    let requests = get_request("/stream") + &get_request("/small");
    let mut client = served.request(&requests).await;
    until(&mut client, "\r\n\r\n").await;
    client
        .write_all(get_request("/small").as_bytes())
        .await
        .unwrap();
    served.send("one");
    assert_eq!(served.received(client).await, "3\r\none\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it_before_its_stream() {
    let served = Served::start();
    let request = "POST /stream-of-body HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    let mut client = served.request(request).await;
    let interim = until(&mut client, "\r\n\r\n").await;
    assert_eq!(interim, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"body").await.unwrap();
    served.send("one");
    let received = served.received(client).await;
    assert!(
        received.ends_with("\r\n\r\n3\r\none\r\n0\r\n\r\n"),
        "{received}"
    );
}

#[tokio::test]
async fn a_stream_ends_when_its_client_leaves() {
    let served = Served::start();
    let mut client = served.request(&get_request("/stream")).await;
    until(&mut client, "\r\n\r\n").await;
    drop(client);
    soon(served.chunks.closed()).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected() {
    let served = Served::start_with(2 * SECOND, SECOND);
    let _client = served.request(&get_request("/stream")).await;
    for _ in 0..50 {
        served.chunks.send(LARGE.into()).unwrap();
    }
    // Before the system's timeout, which is three times as long.
    timeout(5 * SECOND, served.chunks.closed()).await.unwrap();
}

#[tokio::test]
async fn input_after_the_request_is_limited() {
    let served = Served::start();
    let mut client = served.request(&get_request("/stream")).await;
    until(&mut client, "\r\n\r\n").await;
    let flood = async {
        // More than the limit and the buffers of the system.
        for _ in 0..10 {
            client.write_all(LARGE).await.unwrap();
        }
    };
    assert!(timeout(SECOND / 2, flood).await.is_err());
    assert!(!served.chunks.is_closed());
}

#[tokio::test]
async fn a_stopping_server_waits_for_its_streams() {
    let mut served = Served::start();
    let mut client = served.request(&get_request("/stream")).await;
    until(&mut client, "\r\n\r\n").await;
    served.stop.drain.cancel();
    assert!(timeout(SECOND / 5, &mut served.serving).await.is_err());
    served.send("last");
    drop(served.chunks);
    until(&mut client, "4\r\nlast\r\n0\r\n\r\n").await;
    soon(served.serving).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_exceeds_the_grace_is_cut() {
    let served = Served::start_with(SECOND, SECOND / 10);
    let mut client = served.request(&get_request("/stream")).await;
    until(&mut client, "\r\n\r\n").await;
    served.stop.drain.cancel();
    soon(served.serving).await.unwrap();
    assert!(served.chunks.is_closed());
}
