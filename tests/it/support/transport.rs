//! One client interface to the four transports of version streams, for rules that hold for all of them.
//!
//! The clients are raw, on sockets with small buffers, so the server soon detects a client that does not read.

use std::fmt::{self, Write as _};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::ClientRequestBuilder},
};

use crate::{
    support::socket::LIBRARY_VERSION,
    support::test_app::{TestApp, soon},
};

/// A transport of version streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Websocket,
    Sse,
    Multipart,
    Events,
}

/// The HTTP response to a stream that was refused.
#[derive(Debug, PartialEq, Eq)]
pub struct ErrorResponse {
    pub status: u16,
    pub body: String,
    pub retry_after: Option<String>,
}

/// What a stream delivers, except heartbeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamItem {
    Version(i64),
    /// The end of the stream: a code of the transport, `complete`, or `closed` without a code.
    End(String),
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Transport {
    pub const ALL: [Self; 4] = [Self::Websocket, Self::Sse, Self::Multipart, Self::Events];

    /// How the stream ends when its token expires.
    pub fn when_expired(self) -> &'static str {
        match self {
            Self::Websocket => "4440",
            Self::Sse | Self::Multipart => "TOKEN_EXPIRED",
            Self::Events => "auth_expired",
        }
    }

    /// How the stream ends when the server stops.
    pub fn when_drained(self) -> &'static str {
        match self {
            Self::Websocket => "1012",
            Self::Multipart => "SERVER_STOPPING",
            Self::Sse | Self::Events => "closed",
        }
    }

    /// How the stream ends at its maximum lifetime.
    pub fn when_too_old(self) -> &'static str {
        match self {
            Self::Websocket => "1001",
            Self::Multipart => "STREAM_TOO_OLD",
            Self::Sse | Self::Events => "closed",
        }
    }

    /// Opens a stream of the token's user.
    pub async fn open(self, app: &TestApp, token: &str) -> Result<VersionStream, ErrorResponse> {
        let bearer = format!("Bearer {token}");
        self.open_with(app, "", &[("Authorization", &bearer)]).await
    }

    /// Opens a stream with this query string and these headers.
    pub async fn open_with(
        self,
        app: &TestApp,
        query: &str,
        headers: &[(&str, &str)],
    ) -> Result<VersionStream, ErrorResponse> {
        let opening = async {
            if self == Self::Websocket {
                open_socket(app, query, headers).await
            } else {
                self.open_http(app, query, headers).await
            }
        };
        soon("the stream opens", opening).await
    }

    async fn open_http(
        self,
        app: &TestApp,
        query: &str,
        headers: &[(&str, &str)],
    ) -> Result<VersionStream, ErrorResponse> {
        let (line, accept, body) = match self {
            Self::Events => ("GET /api/library-version-events", "text/event-stream", None),
            Self::Sse => ("POST /graphql", "text/event-stream", Some(LIBRARY_VERSION)),
            _ => (
                "POST /graphql",
                "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json",
                Some(LIBRARY_VERSION),
            ),
        };
        let body = body.map_or_else(String::new, |query| json!({"query": query}).to_string());
        let mut request = format!(
            "{line}{query} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            let _ = write!(request, "{name}: {value}\r\n");
        }
        if !body.is_empty() {
            request.push_str("Content-Type: application/json\r\n");
        }
        let mut stream = connect(app).await;
        let request = format!("{request}\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();

        let mut http = Http::new(stream);
        let head = http.head().await;
        if head.status != 200 {
            let body = http.rest(head.length).await;
            return Err(ErrorResponse {
                status: head.status,
                body,
                retry_after: head.retry_after,
            });
        }
        Ok(VersionStream {
            source: Source::Http(self, http),
        })
    }
}

async fn open_socket(
    app: &TestApp,
    query: &str,
    headers: &[(&str, &str)],
) -> Result<VersionStream, ErrorResponse> {
    let url = app.ws_url(&format!("/graphql{query}")).parse().unwrap();
    let mut request = ClientRequestBuilder::new(url).with_sub_protocol("graphql-transport-ws");
    for (name, value) in headers {
        request = request.with_header(*name, *value);
    }
    let mut socket = match client_async(request, connect(app).await).await {
        Ok((socket, _)) => socket,
        Err(tungstenite::Error::Http(response)) => {
            let header = |name| response.headers().get(name)?.to_str().ok();
            return Err(ErrorResponse {
                status: response.status().as_u16(),
                retry_after: header("retry-after").map(str::to_owned),
                body: String::from_utf8(response.body().clone().unwrap_or_default()).unwrap(),
            });
        }
        Err(error) => panic!("{error}"),
    };
    for message in [
        json!({"type": "connection_init"}),
        json!({"type": "subscribe", "id": "v", "payload": {"query": LIBRARY_VERSION}}),
    ] {
        let text = Message::text(message.to_string());
        socket.send(text).await.unwrap();
    }
    Ok(VersionStream {
        source: Source::Socket(Box::new(socket)),
    })
}

async fn connect(app: &TestApp) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(1).unwrap();
    let address = app.base.strip_prefix("http://").unwrap().parse().unwrap();
    socket.connect(address).await.unwrap()
}

/// An open stream.
pub struct VersionStream {
    source: Source,
}

enum Source {
    Socket(Box<WebSocketStream<TcpStream>>),
    Http(Transport, Http),
}

impl VersionStream {
    /// The next item, except heartbeats.
    pub async fn next(&mut self) -> StreamItem {
        let next = async {
            match &mut self.source {
                Source::Socket(socket) => next_of_socket(socket).await,
                Source::Http(transport, http) => http.next(*transport).await,
            }
        };
        soon("the next item of the stream", next).await
    }

    /// The next version. Panics if the stream ends.
    pub async fn version(&mut self) -> i64 {
        match self.next().await {
            StreamItem::Version(version) => version,
            StreamItem::End(how) => panic!("the stream ended: {how}"),
        }
    }

    /// Reads until the version `last`, and returns all versions received. Panics unless they ascend.
    pub async fn until(&mut self, last: i64) -> Vec<i64> {
        let mut received = vec![self.version().await];
        while received[received.len() - 1] < last {
            let version = self.version().await;
            assert!(
                version > received[received.len() - 1],
                "{version} after {received:?}"
            );
            received.push(version);
        }
        assert_eq!(received.last(), Some(&last));
        received
    }

    /// Reads until the stream ends, and returns how.
    pub async fn end(&mut self) -> String {
        loop {
            if let StreamItem::End(how) = self.next().await {
                return how;
            }
        }
    }
}

async fn next_of_socket(socket: &mut WebSocketStream<TcpStream>) -> StreamItem {
    loop {
        let message: Value = match socket.next().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            Some(Ok(Message::Close(Some(close)))) => {
                return StreamItem::End(u16::from(close.code).to_string());
            }
            Some(Ok(_)) => continue,
            Some(Err(_)) | None => return StreamItem::End("closed".into()),
        };
        match message["type"].as_str() {
            Some("connection_ack") => {}
            Some("ping") => {
                let pong = Message::text(r#"{"type":"pong"}"#);
                let _ = socket.send(pong).await;
            }
            Some("next") => {
                return StreamItem::Version(
                    message["payload"]["data"]["libraryVersion"]
                        .as_i64()
                        .unwrap(),
                );
            }
            Some("complete") => return StreamItem::End("complete".into()),
            _ => panic!("{message}"),
        }
    }
}

/// The head of a response.
struct Head {
    status: u16,
    length: Option<usize>,
    retry_after: Option<String>,
}

/// A response that is being received.
struct Http {
    stream: TcpStream,
    /// Received bytes with chunked transfer coding.
    raw: Vec<u8>,
    /// The decoded body that is not parsed yet.
    body: String,
    ended: bool,
}

impl Http {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            raw: Vec::new(),
            body: String::new(),
            ended: false,
        }
    }

    async fn read(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.raw).await;
        matches!(read, Ok(1..))
    }

    async fn head(&mut self) -> Head {
        let end = loop {
            if let Some(end) = find(&self.raw, b"\r\n\r\n") {
                break end;
            }
            assert!(self.read().await, "a response head");
        };
        let head: Vec<u8> = self.raw.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            let (_, value) = lines.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
            Some(value.to_owned())
        };
        Head {
            status: head[9..12].parse().unwrap(),
            length: header("content-length").map(|length| length.parse().unwrap()),
            retry_after: header("retry-after"),
        }
    }

    async fn rest(&mut self, length: Option<usize>) -> String {
        while self.raw.len() < length.unwrap() && self.read().await {}
        String::from_utf8(std::mem::take(&mut self.raw)).unwrap()
    }

    /// Decodes the complete chunks.
    fn decode_chunks(&mut self) {
        while let Some(line) = find(&self.raw, b"\r\n") {
            let size = std::str::from_utf8(&self.raw[..line]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            let Some(chunk) = self.raw.get(line + 2..line + 2 + size + 2) else {
                return;
            };
            let text = std::str::from_utf8(&chunk[..size]).unwrap();
            self.body.push_str(text);
            self.raw.drain(..line + 2 + size + 2);
            self.ended |= size == 0;
        }
    }

    /// The next piece of the body up to the separator.
    async fn piece(&mut self, separator: &str) -> Option<String> {
        loop {
            self.decode_chunks();
            if let Some((piece, rest)) = self.body.split_once(separator) {
                let piece = piece.to_owned();
                self.body = rest.to_owned();
                return Some(piece);
            }
            if self.ended || !self.read().await {
                return None;
            }
        }
    }

    async fn next(&mut self, transport: Transport) -> StreamItem {
        let separator = match transport {
            Transport::Multipart => "\r\n--graphql",
            _ => "\n\n",
        };
        while let Some(piece) = self.piece(separator).await {
            let item = match transport {
                Transport::Multipart => read_part(&piece),
                Transport::Sse => read_graphql_event(&piece),
                _ => read_event(&piece),
            };
            if let Some(item) = item {
                return item;
            }
        }
        // `--` after the last boundary marks the closing one.
        let is_closed = transport == Transport::Multipart && self.body == "--\r\n";
        StreamItem::End(if is_closed { "complete" } else { "closed" }.into())
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|at| at == wanted)
}

fn read_part(part: &str) -> Option<StreamItem> {
    let (_, json) = part.split_once("\r\n\r\n")?;
    let json: Value = serde_json::from_str(json).unwrap();
    if json == json!({}) {
        return None;
    }
    let code = json["errors"][0]["extensions"]["code"].as_str();
    let version = json["payload"]["data"]["libraryVersion"].as_i64();
    Some(match (code, version) {
        (Some(code), None) => StreamItem::End(code.to_owned()),
        (None, Some(version)) => StreamItem::Version(version),
        _ => panic!("{part}"),
    })
}

fn read_graphql_event(event: &str) -> Option<StreamItem> {
    if event == ":" {
        return None;
    }
    if event == "event: complete\ndata:" {
        return Some(StreamItem::End("complete".into()));
    }
    let json = event
        .strip_prefix("event: next\ndata: ")
        .unwrap_or_else(|| panic!("{event}"));
    let json: Value = serde_json::from_str(json).unwrap();
    let code = json["errors"][0]["extensions"]["code"].as_str();
    Some(match code {
        Some(code) => StreamItem::End(code.to_owned()),
        None => StreamItem::Version(json["data"]["libraryVersion"].as_i64().unwrap()),
    })
}

fn read_event(event: &str) -> Option<StreamItem> {
    if event.starts_with("event: auth_expired\n") {
        return Some(StreamItem::End("auth_expired".into()));
    }
    let mut lines = event.lines();
    let data = lines
        .find_map(|line| line.strip_prefix("data: "))
        .unwrap_or_else(|| panic!("{event}"));
    let data: Value = serde_json::from_str(data).unwrap();
    (data["type"] != "heartbeat").then(|| StreamItem::Version(data["version"].as_i64().unwrap()))
}
