//! GraphQL over WebSocket: the `graphql-transport-ws` protocol, over a feed and the schema.
//!
//! ```text
//! upgrade ─ who is calling? ─ connection_init ─ a place ─ connection_ack ─┬─ messages in:  line, message, operations
//!                                                                         └─ messages out: one at a time, session
//! ```
//!
//! Queries and mutations pass the guards they pass over HTTP: a cookie counts only from an allowed origin, checked when
//! the socket opens, and a ticket opens subscriptions alone.
//!
//! Messages are taken one after the other, so what a client sends on the heels of `connection_init` is met by a socket
//! that has been acknowledged by then, or closed.
//!
//! **Invariant:** nothing of a library is told before `connection_ack`.

mod close;
mod line;
mod message;
mod operations;
mod session;

use axum::{
    extract::{FromRequestParts as _, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderValue, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tracing::{Instrument as _, Span};

use super::{
    HttpError, Node,
    streams::{Place, Transport},
};
use crate::auth::{Ask, Viewer};

/// The length of `Sec-WebSocket-Key` behind its base64.
const KEY_BYTES: usize = 16;

const SUBPROTOCOL: &str = "graphql-transport-ws";

/// What a socket's reader holds ready, in bytes; the default would cost 128 kB a socket.
const READ_BUFFER: usize = 4 << 10;

/// The most that waits to be written to a socket, in bytes. Nothing is queued, so this is room for the longest answer;
/// it is a stop for what the library might queue by itself.
const MAX_UNWRITTEN: usize = 256 << 20;

/// Tells whether a request wants to become a WebSocket.
pub(super) fn is_wanted(request: &Parts) -> bool {
    let upgrade = request.headers.get(header::UPGRADE);
    upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers a request that wants to become a WebSocket.
pub(super) async fn upgrade(node: &Node, mut request: Parts) -> Response {
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut request, node).await {
        Ok(upgrade) => upgrade
            .read_buffer_size(READ_BUFFER)
            .max_write_buffer_size(MAX_UNWRITTEN)
            .max_frame_size(node.settings.max_body)
            .max_message_size(node.settings.max_body)
            .protocols([SUBPROTOCOL]),
        Err(rejection) => return refusal(&rejection).into_response(),
    };
    if !is_key(request.headers.get(header::SEC_WEBSOCKET_KEY)) {
        let message = "Sec-WebSocket-Key must be 16 bytes in base64";
        return HttpError::BadRequest(message.to_owned()).into_response();
    }
    // The refusal is a close code, since that is all that browsers show.
    if upgrade.selected_protocol().is_none() {
        return upgrade.on_upgrade(session::refuse_subprotocol);
    }
    match caller(node, &request).await {
        Ok(caller) => {
            // Taken here: what serves the socket runs in a task of its own.
            let (node, span) = (node.clone(), Span::current());
            upgrade.on_upgrade(move |socket| session::serve(node, socket, caller).instrument(span))
        }
        Err(error) => error.into_response(),
    }
}

/// Whether it is a key as RFC 6455, section 4.1, has it.
fn is_key(value: Option<&HeaderValue>) -> bool {
    let key = value.and_then(|value| STANDARD.decode(value).ok());
    key.is_some_and(|key| key.len() == KEY_BYTES)
}

fn refusal(rejection: &WebSocketUpgradeRejection) -> HttpError {
    match rejection {
        WebSocketUpgradeRejection::MethodNotGet(_) => HttpError::Method("GET"),
        WebSocketUpgradeRejection::InvalidWebSocketVersionHeader(_)
        | WebSocketUpgradeRejection::ConnectionNotUpgradable(_) => HttpError::UpgradeRequired,
        other => HttpError::BadRequest(other.body_text()),
    }
}

/// Who is calling, as far as the upgrade tells.
enum Caller {
    Known(Viewer, Place),
    /// Why not. A token in `connection_init` can make up for it.
    Unknown(HttpError),
}

async fn caller(node: &Node, request: &Parts) -> Result<Caller, HttpError> {
    if node.drain.is_cancelled() {
        return Err(node.streams.draining().into());
    }
    match node.stream_viewer(request, Ask::Change).await {
        Ok(viewer) => {
            let place = node.streams.open(&viewer, Transport::Websocket)?;
            Ok(Caller::Known(viewer, place))
        }
        // The header's token is the program's own, as one in `connection_init` would be; a cookie is not.
        Err(error @ (HttpError::NoToken | HttpError::Rejected(_)))
            if !request.headers.contains_key(header::AUTHORIZATION) =>
        {
            Ok(Caller::Unknown(error))
        }
        Err(error) => Err(error),
    }
}
