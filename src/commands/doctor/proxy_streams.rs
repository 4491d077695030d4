//! Streams through the proxy: events that arrive at once, heartbeats that keep a stream open, and WebSockets.

use std::{future::Future, time::Duration};

use reqwest::{Response, StatusCode, header};
use tokio::time::{Instant, timeout_at};

use super::{
    finding::{Check, Finding},
    target::Target,
};
use crate::commands::remote_server::{SocketError, sent};

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
    // As browsers ask: a proxy that compresses events holds them back.
    let request = target
        .server
        .get("api/library-version-events")
        .map_err(failed)?;
    let request = request
        .header(header::ACCEPT, "text/event-stream")
        .header(header::ACCEPT_ENCODING, "gzip");
    match within(limit, sent(request)).await {
        None => Err(buffered("the stream did not begin")),
        Some(Err(error)) => Err(failed(error)),
        Some(Ok(answer)) if answer.headers().contains_key(header::CONTENT_ENCODING) => {
            Err(buffered("the stream is compressed"))
        }
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
    match target.server.websocket().await {
        Ok(mut socket) => {
            let _ = socket.close(None).await;
            WEBSOCKET.ok("a WebSocket opens")
        }
        Err(error @ SocketError::Closed(..)) => WEBSOCKET.failed(error, "give a valid --token"),
        Err(error @ SocketError::Upgrade(_)) => WEBSOCKET.failed(
            error,
            "forward the upgrade: `proxy_http_version 1.1`, `proxy_set_header Upgrade $http_upgrade` and \
             `proxy_set_header Connection upgrade` in nginx",
        ),
    }
}
