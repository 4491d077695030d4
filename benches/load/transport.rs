//! The transports of streams, as requests of a minimal client.

use clap::ValueEnum;
use serde_json::json;

use crate::http::{Connection, get};

const SUBSCRIPTION: &str = "subscription { libraryVersion }";

/// A transport of version streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Transport {
    /// `/api/library-version-events`.
    #[default]
    Events,
    /// GraphQL over server-sent events.
    Sse,
    /// GraphQL over multipart.
    Multipart,
    /// GraphQL over WebSocket, with one subscription.
    Websocket,
}

impl Transport {
    /// Opens a stream, and waits for the first version.
    pub async fn open(self, port: u16, token: &str) -> Connection {
        let mut stream = Connection::open(port).await;
        match self {
            Self::Events => {
                let request = get("/api/library-version-events", token);
                stream.send(&request).await;
                stream.until("\"type\":\"connected\"").await;
            }
            Self::Sse => subscribe(&mut stream, "text/event-stream", token).await,
            Self::Multipart => {
                subscribe(&mut stream, "multipart/mixed;subscriptionSpec=1.0", token).await;
            }
            Self::Websocket => open_socket(&mut stream, token).await,
        }
        stream
    }
}

async fn subscribe(stream: &mut Connection, accept: &str, token: &str) {
    let body = json!({"query": SUBSCRIPTION}).to_string();
    let request = format!(
        "POST /graphql HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\naccept: {accept}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.send(&request).await;
    stream.until("\"libraryVersion\":").await;
}

async fn open_socket(stream: &mut Connection, token: &str) {
    let request = format!(
        "GET /graphql HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         sec-websocket-protocol: graphql-transport-ws\r\n\r\n"
    );
    stream.send(&request).await;
    stream.until("\r\n\r\n").await;
    let subscribe = json!({"type": "subscribe", "id": "1", "payload": {"query": SUBSCRIPTION}});
    for message in [json!({"type": "connection_init"}), subscribe] {
        stream.send(&frame(&message.to_string())).await;
    }
    stream.until("\"type\":\"next\"").await;
}

/// A text frame of fewer than 126 bytes, with a mask of zeros.
fn frame(text: &str) -> Vec<u8> {
    assert!(text.len() < 126, "a longer frame has another header");
    let length = u8::try_from(text.len()).unwrap();
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}
