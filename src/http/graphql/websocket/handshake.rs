//! The handshake of a WebSocket (RFC 6455, section 4.2).
//!
//! axum's handshake opens a socket that cannot be wrapped in [`Fragmented`].

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::FutureExt as _;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};

use super::fragmentation::{FRAGMENT, Fragmented};
use crate::http::error::HttpError;

/// Length of the decoded `Sec-WebSocket-Key`.
const KEY_BYTES: usize = 16;

/// Read buffer per socket, in bytes. The default of tungstenite takes 128 kB.
const READ_BUFFER: usize = 1 << 10;

/// Maximum unwritten bytes per socket. The session queues nothing, so this is room for the longest answer and a bound
/// on the frames that tungstenite queues.
const MAX_UNWRITTEN: usize = 256 << 20;

/// An open socket.
pub(super) type Socket = WebSocketStream<Fragmented<TokioIo<Upgraded>>>;

/// A valid upgrade request.
pub(super) struct Handshake {
    key: HeaderValue,
    on_upgrade: OnUpgrade,
}

impl Handshake {
    /// Validates the request.
    ///
    /// # Errors
    /// When it violates the handshake, or the connection is not HTTP/1.1.
    pub fn read(request: &mut Parts) -> Result<Self, HttpError> {
        let headers = &request.headers;
        let malformed = |what: &str| Err(HttpError::BadRequest(what.to_owned()));
        if request.method != Method::GET {
            return Err(HttpError::Method("GET"));
        }
        let mut options = elements(headers, &header::CONNECTION);
        if !options.any(|option| option.eq_ignore_ascii_case(b"upgrade")) {
            return malformed("header `connection` must be `Upgrade` for a WebSocket");
        }
        let version = headers.get(header::SEC_WEBSOCKET_VERSION);
        if version.is_none_or(|version| version != "13") {
            return Err(HttpError::UpgradeRequired);
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY);
        let Some(key) = key.filter(|key| is_key(key)).cloned() else {
            return malformed("header `sec-websocket-key` must be 16 bytes in base64");
        };
        let on_upgrade = request.extensions.remove::<OnUpgrade>();
        let on_upgrade = on_upgrade.ok_or(HttpError::UpgradeRequired)?;
        Ok(Self { key, on_upgrade })
    }

    /// Accepts the request, and serves the socket in a new task after the response. `limit` is the maximum message
    /// length, in bytes.
    pub fn grant<F: Future<Output = ()> + Send + 'static>(
        self,
        protocol: Option<&'static str>,
        limit: usize,
        serve: impl FnOnce(Socket) -> F + Send + 'static,
    ) -> Response {
        let accept = derive_accept_key(self.key.as_bytes());
        let on_upgrade = self.on_upgrade;
        tokio::spawn(async move {
            // An error means that the client disconnected before the response.
            if let Ok(upgraded) = on_upgrade.await {
                serve(open(upgraded, limit).boxed().await).await;
            }
        });
        let answer = [
            (header::CONNECTION, "Upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_ACCEPT, &accept),
        ];
        let protocol = protocol.map(|protocol| [(header::SEC_WEBSOCKET_PROTOCOL, protocol)]);
        (
            StatusCode::SWITCHING_PROTOCOLS,
            answer,
            protocol,
            Body::empty(),
        )
            .into_response()
    }
}

async fn open(upgraded: Upgraded, limit: usize) -> Socket {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_write_buffer_size(MAX_UNWRITTEN)
        // `Fragmented` enforces the limit.
        .max_message_size(None)
        .max_frame_size(Some(FRAGMENT.into()));
    let stream = Fragmented::new(TokioIo::new(upgraded), limit);
    WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await
}

/// Whether the client offers this subprotocol.
pub(super) fn offers(headers: &HeaderMap, protocol: &str) -> bool {
    elements(headers, &header::SEC_WEBSOCKET_PROTOCOL).any(|offered| offered == protocol.as_bytes())
}

/// Returns the elements of a header that is a comma-separated list.
fn elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    let lists = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    lists
        .flat_map(|list| list.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

fn is_key(value: &HeaderValue) -> bool {
    let key = STANDARD.decode(value);
    key.is_ok_and(|key| key.len() == KEY_BYTES)
}
