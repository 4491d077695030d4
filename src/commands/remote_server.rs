//! A running server, as its clients reach it: requests, and streams of each transport.
//!
//! In the flow: `doctor` and `canary` examine servers with it.
//!
//! **Invariant:** no error contains an address's query or a token.

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Upgraded, header, redirect};
use serde_json::{Value, json};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::client::generate_key, protocol::Role},
};
use url::Url;

use crate::error_chain::in_one_line;

/// A WebSocket after `connection_ack`.
pub(super) type Socket = WebSocketStream<Upgraded>;

/// A running server and a token for it.
#[derive(Clone)]
pub(super) struct RemoteServer {
    /// The address, with a path that ends with a slash.
    pub url: Url,
    token: String,
    client: Client,
}

/// Why a WebSocket does not open.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    /// A proxy, or the network, does not let it pass.
    #[error("{0}")]
    Upgrade(String),
    /// The server closed it.
    #[error("the server closed it with {0}: {1}")]
    Closed(u16, String),
}

/// Returns a client that follows no redirects and speaks HTTP/1.1, as a WebSocket needs.
///
/// # Errors
/// When TLS cannot be configured.
pub(super) fn client() -> reqwest::Result<Client> {
    Client::builder()
        .redirect(redirect::Policy::none())
        .http1_only()
        .build()
}

impl RemoteServer {
    pub fn new(url: Url, token: String, client: Client) -> Self {
        Self { url, token, client }
    }

    /// Begins a GET of a path of the server.
    ///
    /// # Errors
    /// When the path cannot be joined to the address.
    pub fn get(&self, path: &str) -> Result<RequestBuilder, String> {
        let address = self.url.join(path).map_err(|error| error.to_string())?;
        Ok(self.client.get(address).bearer_auth(&self.token))
    }

    /// Opens `/api/library-version-events`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn events(&self) -> Result<Response, String> {
        let request = self.get("api/library-version-events")?;
        sent(request.header(header::ACCEPT, "text/event-stream")).await
    }

    /// Sends a GraphQL operation.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn post(
        &self,
        accept: &str,
        query: &str,
        variables: Value,
    ) -> Result<Response, String> {
        let address = self
            .url
            .join("graphql")
            .map_err(|error| error.to_string())?;
        let request = self.client.post(address).bearer_auth(&self.token);
        let body = json!({"query": query, "variables": variables});
        sent(request.header(header::ACCEPT, accept).json(&body)).await
    }

    /// Sends a GraphQL operation, and returns its data.
    ///
    /// # Errors
    /// When the server does not answer, or answers with an error.
    pub async fn ask(&self, query: &str, variables: Value) -> Result<Value, String> {
        let answer = self.post("application/json", query, variables).await?;
        let status = answer.status();
        let answer = answer.json::<Value>().await;
        let mut answer = answer.map_err(|_| format!("the server answers {status}"))?;
        match answer["errors"][0]["message"].as_str() {
            Some(message) => Err(message.to_owned()),
            None => Ok(answer["data"].take()),
        }
    }

    /// Opens a WebSocket up to `connection_ack`.
    ///
    /// # Errors
    /// When it is not upgraded, or the server closes it.
    pub async fn websocket(&self) -> Result<Socket, SocketError> {
        let upgraded = self.upgraded().await.map_err(SocketError::Upgrade)?;
        let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
        let authorization = format!("Bearer {}", self.token);
        let init = json!({"type": "connection_init", "payload": {"Authorization": authorization}});
        let sent = socket.send(Message::text(init.to_string())).await;
        sent.map_err(|error| SocketError::Upgrade(in_one_line(&error)))?;
        match socket.next().await {
            Some(Ok(Message::Text(text))) if text.contains("connection_ack") => Ok(socket),
            Some(Ok(Message::Close(Some(close)))) => Err(SocketError::Closed(
                close.code.into(),
                close.reason.to_string(),
            )),
            _ => Err(SocketError::Upgrade(
                "it ended before connection_ack".to_owned(),
            )),
        }
    }

    async fn upgraded(&self) -> Result<Upgraded, String> {
        let request = self
            .get("graphql")?
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, generate_key())
            .header(header::SEC_WEBSOCKET_PROTOCOL, "graphql-transport-ws");
        let answer = sent(request).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(format!(
                "the upgrade to a WebSocket is answered with {}",
                answer.status()
            ));
        }
        answer
            .upgrade()
            .await
            .map_err(|error| in_one_line(&error.without_url()))
    }
}

/// Sends a request.
///
/// # Errors
/// When no answer comes.
pub(super) async fn sent(request: RequestBuilder) -> Result<Response, String> {
    let answer = request.send().await;
    answer.map_err(|error| in_one_line(&error.without_url()))
}
