//! From a request that asks for a WebSocket to a session.
//!
//! In the flow: before a socket opens. A cookie counts only from an allowed origin, and what is refused here is refused
//! by a status; after the handshake only a close code is seen.

use axum::{
    http::{header, request::Parts},
    response::{IntoResponse as _, Response},
};
use tracing::{Instrument as _, Span};

use super::{
    handshake::{Handshake, offers},
    session::{self, UpgradeViewer},
};
use crate::{
    auth::Ask,
    http::{error::HttpError, state::Node, streams::registry::Transport},
};

const SUBPROTOCOL: &str = "graphql-transport-ws";

/// Tells whether a request wants to become a WebSocket.
pub(in crate::http::graphql) fn is_wanted(request: &Parts) -> bool {
    let upgrade = request.headers.get(header::UPGRADE);
    upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers a request that wants to become a WebSocket.
pub(in crate::http::graphql) async fn upgrade(node: &Node, request: Parts) -> Response {
    let granted = grant(node, request).await;
    granted.unwrap_or_else(HttpError::into_response)
}

async fn grant(node: &Node, mut request: Parts) -> Result<Response, HttpError> {
    let handshake = Handshake::read(&mut request)?;
    let limit = node.settings.max_init_message;
    // Before a ticket is used up.
    let pending = node.pending.enter(node.rate_limiter.client(&request))?;
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

async fn caller(node: &Node, request: &Parts) -> Result<UpgradeViewer, HttpError> {
    if node.drain.is_cancelled() {
        return Err(node.streams.draining().into());
    }
    match node.authenticate_stream(request, Ask::Change).await {
        Ok(viewer) => {
            let permit = node.streams.open(&viewer, Transport::Websocket)?;
            Ok(UpgradeViewer::Known(viewer, permit))
        }
        // Said by a close code, since that is all that browsers show.
        Err(error @ HttpError::RateLimited(_)) => Ok(UpgradeViewer::Unknown(error)),
        // The header's token is the program's own, as one in `connection_init` would be; a cookie is not.
        Err(error @ (HttpError::NoToken | HttpError::Rejected(_)))
            if !request.headers.contains_key(header::AUTHORIZATION) =>
        {
            Ok(UpgradeViewer::Unknown(error))
        }
        Err(error) => Err(error),
    }
}
