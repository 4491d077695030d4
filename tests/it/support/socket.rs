//! A raw client of `graphql-transport-ws`, which can also violate the protocol.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        self, Message,
        client::{ClientRequestBuilder, IntoClientRequest as _},
        protocol::CloseFrame,
    },
};

use crate::support::test_app::{TestApp, soon};

/// An open socket.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// How a socket was closed: code and reason.
pub type Closed = (u16, String);

impl Socket {
    /// Opens a socket with the subprotocol, and sends nothing.
    pub async fn open(app: &TestApp) -> Self {
        Self::open_with(app, "/graphql", |request| request)
            .await
            .unwrap()
    }

    /// Like [`Self::open`], at another path and with more headers.
    pub async fn open_with(
        app: &TestApp,
        path: &str,
        headers: impl FnOnce(ClientRequestBuilder) -> ClientRequestBuilder,
    ) -> Result<Self, tungstenite::Error> {
        let url = app.ws_url(path).parse().unwrap();
        let request = ClientRequestBuilder::new(url).with_sub_protocol("graphql-transport-ws");
        Self::open_raw(headers(request)).await
    }

    /// Opens a socket to the server at `base`, and sends nothing.
    pub async fn at(base: &str) -> Self {
        let url = format!("ws{}/graphql", base.strip_prefix("http").unwrap());
        let request = ClientRequestBuilder::new(url.parse().unwrap());
        let request = request.with_sub_protocol("graphql-transport-ws");
        Self::open_raw(request).await.unwrap()
    }

    /// Opens a socket with exactly this request.
    pub async fn open_raw(request: ClientRequestBuilder) -> Result<Self, tungstenite::Error> {
        let request = request.into_client_request().unwrap();
        let (socket, _) = soon("the socket opens", Box::pin(connect_async(request))).await?;
        Ok(Self(socket))
    }

    /// Opens a socket and authenticates it with the token.
    pub async fn of(app: &TestApp, token: &str) -> Self {
        let mut socket = Self::open(app).await;
        socket.init(token).await;
        socket
    }

    /// Sends `connection_init` with the token, and waits for the acknowledgement.
    pub async fn init(&mut self, token: &str) {
        let payload = json!({"Authorization": format!("Bearer {token}")});
        self.send(json!({"type": "connection_init", "payload": payload}))
            .await;
        assert_eq!(self.next().await, json!({"type": "connection_ack"}));
    }

    pub async fn send(&mut self, message: Value) {
        self.send_raw(Message::text(message.to_string())).await;
    }

    pub async fn send_raw(&mut self, message: Message) {
        // If the server has closed the socket, the next read returns the close code.
        let _ = soon("the message is sent", self.0.send(message)).await;
    }

    /// Sends a close frame.
    pub async fn close(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.into(),
        };
        self.send_raw(Message::Close(Some(frame))).await;
    }

    /// Starts an operation.
    pub async fn subscribe(&mut self, id: &str, query: &str) {
        self.send(json!({"id": id, "type": "subscribe", "payload": {"query": query}}))
            .await;
    }

    /// The server's next message, or its close code. Answers and skips pings.
    pub async fn next_or_closed(&mut self) -> Result<Value, Closed> {
        loop {
            let message = self.next_with_pings().await?;
            if message["type"] != "ping" {
                return Ok(message);
            }
            self.send(json!({"type": "pong"})).await;
        }
    }

    /// Like [`Self::next_or_closed`], but returns pings and does not answer them.
    pub async fn next_with_pings(&mut self) -> Result<Value, Closed> {
        loop {
            match soon("a message", self.0.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(without_head(&text)),
                Some(Ok(Message::Close(Some(close)))) => {
                    return Err((close.code.into(), close.reason.to_string()));
                }
                Some(Ok(Message::Close(None))) => return Err((1005, String::new())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err((1006, String::new())),
            }
        }
    }

    /// The server's next message, except pings. Panics if the socket is closed.
    pub async fn next(&mut self) -> Value {
        match self.next_or_closed().await {
            Ok(message) => message,
            Err(closed) => panic!("closed: {closed:?}"),
        }
    }

    /// Waits until the server closes the socket, and skips earlier messages.
    pub async fn closed(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.next_or_closed().await {
                return closed;
            }
        }
    }

    /// Asserts that no message is pending: messages sent before the pong arrive before it.
    pub async fn assert_no_message(&mut self) {
        self.send(json!({"type": "ping", "payload": {"marker": true}}))
            .await;
        let pong = json!({"type": "pong", "payload": {"marker": true}});
        assert_eq!(self.next().await, pong);
    }
}

/// A message without `extensions.libraryHead`, whose epoch tests cannot predict.
fn without_head(text: &str) -> Value {
    let mut message: Value = serde_json::from_str(text).unwrap();
    if let Some(extensions) = message.pointer_mut("/payload/extensions") {
        let members = extensions.as_object_mut().unwrap();
        members.remove("libraryHead");
    }
    message
}

/// A `next` message of `subscription { libraryVersion }`.
pub fn version(id: &str, version: i64) -> Value {
    let data = json!({"libraryVersion": version});
    json!({"id": id, "type": "next", "payload": {"data": data, "extensions": data}})
}

pub const LIBRARY_VERSION: &str = "subscription { libraryVersion }";
