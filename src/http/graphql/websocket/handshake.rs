//! The handshake of a WebSocket (RFC 6455, section 4.2).
//!
//! axum has one too, but what it opens cannot be put behind [`Fragmented`].

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
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

/// The length of `Sec-WebSocket-Key` behind its base64.
const KEY_BYTES: usize = 16;

/// What a socket's reader holds ready, in bytes; the default would cost 128 kB a socket.
const READ_BUFFER: usize = 1 << 10;

/// The most that waits to be written to a socket, in bytes. Nothing is queued, so this is room for the longest answer;
/// it is a stop for what the library might queue by itself.
const MAX_UNWRITTEN: usize = 256 << 20;

/// An open socket.
pub(super) type Socket = WebSocketStream<Fragmented<TokioIo<Upgraded>>>;

/// A request for a socket that can be granted.
pub(super) struct Handshake {
    key: HeaderValue,
    on_upgrade: OnUpgrade,
}

impl Handshake {
    /// Reads the request.
    ///
    /// # Errors
    /// When it breaks a rule of the handshake, or the connection speaks something else than HTTP/1.1.
    pub fn read(request: &mut Parts) -> Result<Self, HttpError> {
        let headers = &request.headers;
        let malformed = |what: &str| Err(HttpError::BadRequest(what.to_owned()));
        if request.method != Method::GET {
            return Err(HttpError::Method("GET"));
        }
        if !elements(headers, &header::CONNECTION)
            .any(|option| option.eq_ignore_ascii_case(b"upgrade"))
        {
            return malformed("`Connection` must be `Upgrade` for a WebSocket");
        }
        if headers
            .get(header::SEC_WEBSOCKET_VERSION)
            .is_none_or(|version| version != "13")
        {
            return Err(HttpError::UpgradeRequired);
        }
        let key = headers
            .get(header::SEC_WEBSOCKET_KEY)
            .filter(|key| is_key(key))
            .cloned();
        let Some(key) = key else {
            return malformed("`Sec-WebSocket-Key` must be 16 bytes in base64");
        };
        let on_upgrade = request.extensions.remove::<OnUpgrade>();
        let on_upgrade = on_upgrade.ok_or(HttpError::UpgradeRequired)?;
        Ok(Self { key, on_upgrade })
    }

    /// Grants the request, and serves the socket in a task of its own once the answer is on its way. Messages may have
    /// `limit` bytes.
    pub fn grant<F: Future<Output = ()> + Send + 'static>(
        self,
        protocol: Option<&'static str>,
        limit: usize,
        serve: impl FnOnce(Socket) -> F + Send + 'static,
    ) -> Response {
        let accept = derive_accept_key(self.key.as_bytes());
        let on_upgrade = self.on_upgrade;
        tokio::spawn(async move {
            // Otherwise the client has gone before it had its answer.
            if let Ok(upgraded) = on_upgrade.await {
                serve(open(upgraded, limit).await).await;
            }
        });
        let answer = [
            (header::CONNECTION, "Upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_ACCEPT, &accept),
        ];
        let mut response = (StatusCode::SWITCHING_PROTOCOLS, answer, Body::empty()).into_response();
        if let Some(protocol) = protocol {
            let headers = response.headers_mut();
            headers.insert(
                header::SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_static(protocol),
            );
        }
        response
    }
}

async fn open(upgraded: Upgraded, limit: usize) -> Socket {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_write_buffer_size(MAX_UNWRITTEN)
        // Messages are measured where they are cut.
        .max_message_size(None)
        .max_frame_size(Some(FRAGMENT.into()));
    let stream = Fragmented::new(TokioIo::new(upgraded), limit);
    WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await
}

/// Whether the client offers this subprotocol.
pub(super) fn offers(headers: &HeaderMap, protocol: &str) -> bool {
    elements(headers, &header::SEC_WEBSOCKET_PROTOCOL).any(|offered| offered == protocol.as_bytes())
}

/// The elements of the lists that headers of this name hold.
fn elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    let lists = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    lists
        .flat_map(|list| list.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

fn is_key(value: &HeaderValue) -> bool {
    STANDARD
        .decode(value)
        .is_ok_and(|key| key.len() == KEY_BYTES)
}
