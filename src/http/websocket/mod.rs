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
mod fragment;
mod line;
mod message;
mod operations;
mod pending;
mod session;
mod upgrade;

use axum::{
    http::{header, request::Parts},
    response::{IntoResponse as _, Response},
};
use tracing::{Instrument as _, Span};

pub use self::pending::{PendingLimits, PendingSockets, TooManyPending};
use self::upgrade::{Handshake, offers};
use super::{
    HttpError, Node,
    streams::{Place, Transport},
};
use crate::auth::{Ask, Viewer};

const SUBPROTOCOL: &str = "graphql-transport-ws";

/// Tells whether a request wants to become a WebSocket.
pub(super) fn is_wanted(request: &Parts) -> bool {
    let upgrade = request.headers.get(header::UPGRADE);
    upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers a request that wants to become a WebSocket.
pub(super) async fn upgrade(node: &Node, request: Parts) -> Response {
    let granted = grant(node, request).await;
    granted.unwrap_or_else(HttpError::into_response)
}

async fn grant(node: &Node, mut request: Parts) -> Result<Response, HttpError> {
    let handshake = Handshake::read(&mut request)?;
    let limit = node.settings.max_init_message;
    // Before a ticket is used up.
    let pending = node.pending.enter(node.pace.client(&request))?;
    // The refusal is a close code, since that is all that browsers show.
    if !offers(&request.headers, SUBPROTOCOL) {
        let refuse = move |socket| session::refuse_subprotocol(socket, pending);
        return Ok(handshake.grant(None, limit, refuse));
    }
    let caller = caller(node, &request).await?;
    // Taken here: what serves the socket runs in a task of its own.
    let (node, span) = (node.clone(), Span::current());
    let serve = move |socket| session::serve(node, socket, caller, pending).instrument(span);
    Ok(handshake.grant(Some(SUBPROTOCOL), limit, serve))
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
