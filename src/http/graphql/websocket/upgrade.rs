//! Upgrades an HTTP request to a WebSocket session.
//!
//! In the flow: authenticates before the handshake. Errors before the handshake have an HTTP status, and errors after
//! it have a close code.

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
    http::{
        connection::connection_slots::Connection, device::RequestDevice, error::HttpError,
        state::Node, streams::registry::Transport,
    },
};

const SUBPROTOCOL: &str = "graphql-transport-ws";

/// Whether a request asks for a WebSocket upgrade.
pub(in crate::http::graphql) fn is_wanted(request: &Parts) -> bool {
    let upgrade = request.headers.get(header::UPGRADE);
    upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers an upgrade request.
pub(in crate::http::graphql) async fn upgrade(node: &Node, request: Parts) -> Response {
    let granted = grant(node, request).await;
    granted.unwrap_or_else(HttpError::into_response)
}

async fn grant(node: &Node, mut request: Parts) -> Result<Response, HttpError> {
    let handshake = Handshake::read(&mut request)?;
    let limit = node.settings.max_init_message;
    // Checked before authentication, which redeems a ticket.
    let pending = node.pending.enter(node.rate_limiter.client(&request))?;
    // Refused with a close code, because browsers hide the status of a refused upgrade.
    if !offers(&request.headers, SUBPROTOCOL) {
        let refuse = move |socket| session::refuse_subprotocol(socket, pending);
        return Ok(handshake.grant(None, limit, refuse));
    }
    let caller = caller(node, &request).await?;
    // The session runs in another task, so the span is passed on.
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
            let device = RequestDevice::of_stream(request)?;
            let permit = node.streams.open(&viewer, Transport::Websocket)?;
            Ok(UpgradeViewer::Known(viewer, permit, Box::new(device)))
        }
        // Refused with a close code, because browsers hide the status of a refused upgrade.
        Err(error @ HttpError::RateLimited(_)) => Ok(UpgradeViewer::Unknown(error, None)),
        // A token in `connection_init` can replace a cookie. It does not replace a bearer token, because the program
        // chose that token.
        Err(error @ (HttpError::NoToken | HttpError::Rejected(_)))
            if !request.headers.contains_key(header::AUTHORIZATION) =>
        {
            Ok(UpgradeViewer::Unknown(
                error,
                Connection::of(&request.extensions),
            ))
        }
        Err(error) => Err(error),
    }
}
