//! Streams through the proxy: events that arrive at once, heartbeats that keep a stream open, and WebSockets.

use std::{future::Future, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Response, StatusCode, header};
use serde_json::json;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::client::generate_key, protocol::Role},
};

use super::{
    finding::{Check, Finding},
    proxy::Target,
};
use crate::error_chain::in_one_line;

const BUFFERING: Check = Check("proxy.buffering");
const IDLE: Check = Check("proxy.idle_timeout");
const WEBSOCKET: Check = Check("proxy.websocket");

/// How long the first event may take. The server sends it at once.
const FIRST_EVENT: Duration = Duration::from_secs(3);

/// How much later than its period a heartbeat may arrive.
const LATE: Duration = Duration::from_secs(2);

pub(super) async fn examine(target: &Target, limit: Duration) -> Vec<Finding> {
    let (events, websocket) = tokio::join!(
        events(target, limit.min(FIRST_EVENT)),
        WEBSOCKET.within(limit, websocket(target)),
    );
    [events, vec![websocket]].concat()
}

/// Opens a stream, and waits for its first event and for a heartbeat.
async fn events(target: &Target, limit: Duration) -> Vec<Finding> {
    let opened = Instant::now();
    let mut stream = match open(target, opened + limit).await {
        Ok(stream) => stream,
        Err(finding) => return vec![finding],
    };
    match until("data:", &mut stream, opened + limit).await {
        Ended::Found => {}
        Ended::Late => return vec![buffered("the first event did not arrive")],
        Ended::Cut => {
            let found = "the stream ended before its first event";
            return vec![BUFFERING.failed(found, "let the proxy pass responses without an end")];
        }
    }
    let passed = BUFFERING.ok(format!(
        "the first event took {} ms",
        opened.elapsed().as_millis()
    ));
    let began = Instant::now();
    let heartbeat = until("heartbeat", &mut stream, began + target.heartbeat + LATE).await;
    let after = began.elapsed().as_secs_f64();
    let fix =
        "raise the proxy's read timeout above two --heartbeats: `proxy_read_timeout 1h` in nginx";
    let idle = match heartbeat {
        Ended::Found => IDLE.ok(format!("a heartbeat arrived after {after:.1} s")),
        Ended::Cut => IDLE.failed(
            format!("the proxy closed the stream after {after:.1} s without an event"),
            fix,
        ),
        Ended::Late => {
            return vec![
                buffered("the first event arrived, and no heartbeat"),
                IDLE.skipped("no heartbeat arrived"),
            ];
        }
    };
    vec![passed, idle]
}

async fn open(target: &Target, limit: Instant) -> Result<Response, Finding> {
    let failed = |found: String| {
        BUFFERING.failed(
            found,
            "let the proxy lead /api/library-version-events to the server",
        )
    };
    let address = target.url.join("api/library-version-events");
    let address = address.map_err(|error| failed(error.to_string()))?;
    let request = target.client.get(address).bearer_auth(&target.token);
    let request = request.header(header::ACCEPT, "text/event-stream");
    match within(limit, request.send()).await {
        None => Err(buffered("the stream did not begin")),
        Some(Err(error)) => Err(failed(in_one_line(&error.without_url()))),
        Some(Ok(answer)) if answer.status() == StatusCode::OK => Ok(answer),
        Some(Ok(answer)) => Err(failed(format!(
            "the stream is answered with {}",
            answer.status()
        ))),
    }
}

fn buffered(found: &str) -> Finding {
    BUFFERING.failed(
        format!("{found}: the proxy holds events back"),
        "turn buffering and compression of this route off: `proxy_buffering off` in nginx, see docs/operations.md",
    )
}

enum Ended {
    Found,
    Cut,
    Late,
}

/// Reads until the stream contains a text.
async fn until(text: &str, stream: &mut Response, limit: Instant) -> Ended {
    let mut read = Vec::new();
    loop {
        match within(limit, stream.chunk()).await {
            None => return Ended::Late,
            Some(Ok(Some(chunk))) => read.extend_from_slice(&chunk),
            Some(Ok(None) | Err(_)) => return Ended::Cut,
        }
        if String::from_utf8_lossy(&read).contains(text) {
            return Ended::Found;
        }
    }
}

async fn within<T>(limit: Instant, work: impl Future<Output = T>) -> Option<T> {
    timeout_at(limit, work).await.ok()
}

/// Upgrades to a WebSocket, and waits for `connection_ack`.
async fn websocket(target: &Target) -> Finding {
    let fix = "forward the upgrade: `proxy_http_version 1.1`, `proxy_set_header Upgrade $http_upgrade` and \
               `proxy_set_header Connection upgrade` in nginx";
    let Ok(address) = target.url.join("graphql") else {
        return WEBSOCKET.failed("the address is invalid", "correct --url");
    };
    let request = target
        .client
        .get(address)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, generate_key())
        .header(header::SEC_WEBSOCKET_PROTOCOL, "graphql-transport-ws");
    let answer = match request.send().await {
        Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => answer.upgrade().await,
        Ok(answer) => {
            let found = format!(
                "the upgrade to a WebSocket is answered with {}",
                answer.status()
            );
            return WEBSOCKET.failed(found, fix);
        }
        Err(error) => Err(error),
    };
    let upgraded = match answer {
        Ok(upgraded) => upgraded,
        Err(error) => return WEBSOCKET.failed(in_one_line(&error.without_url()), fix),
    };
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
    let authorization = format!("Bearer {}", target.token);
    let init = json!({"type": "connection_init", "payload": {"Authorization": authorization}});
    if let Err(error) = socket.send(Message::text(init.to_string())).await {
        return WEBSOCKET.failed(in_one_line(&error), fix);
    }
    match socket.next().await {
        Some(Ok(Message::Text(text))) if text.contains("connection_ack") => {
            let _ = socket.close(None).await;
            WEBSOCKET.ok("a WebSocket opens")
        }
        Some(Ok(Message::Close(Some(close)))) => WEBSOCKET.failed(
            format!("the server closed it with {}: {}", close.code, close.reason),
            "give a valid --token",
        ),
        _ => WEBSOCKET.failed("the WebSocket ended before connection_ack", fix),
    }
}
