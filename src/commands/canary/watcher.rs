//! One stream of one node, and the versions that it tells.

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Response, StatusCode};
use serde_json::json;
use tokio::{sync::watch, time::Instant};
use tokio_tungstenite::tungstenite::Message;

use crate::commands::remote_server::{RemoteServer, Socket};

const SUBSCRIPTION: &str = "subscription { libraryVersion }";

/// The transport of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Transport {
    Websocket,
    Sse,
    Multipart,
    Events,
}

/// An open stream.
pub(super) struct Watcher {
    source: Source,
    /// The end of what was read, which may hold a part of an event.
    rest: String,
}

enum Source {
    Http(Response),
    Socket(Box<Socket>),
}

impl Watcher {
    /// Opens a stream and waits for its first event.
    ///
    /// # Errors
    /// When it does not open.
    pub async fn open(node: &RemoteServer, transport: Transport) -> Result<Self, String> {
        let multipart = "multipart/mixed;subscriptionSpec=1.0,application/json";
        let source = match transport {
            Transport::Events => Source::Http(node.events().await?),
            Transport::Sse => Source::Http(
                node.post("text/event-stream", SUBSCRIPTION, json!({}))
                    .await?,
            ),
            Transport::Multipart => {
                Source::Http(node.post(multipart, SUBSCRIPTION, json!({})).await?)
            }
            Transport::Websocket => {
                let mut socket = node.websocket().await.map_err(|error| error.to_string())?;
                let subscribe = json!({"type": "subscribe", "id": "canary", "payload": {"query": SUBSCRIPTION}});
                let sent = socket.send(Message::text(subscribe.to_string())).await;
                sent.map_err(|error| error.to_string())?;
                Source::Socket(Box::new(socket))
            }
        };
        if let Source::Http(answer) = &source
            && answer.status() != StatusCode::OK
        {
            return Err(format!("it is answered with {}", answer.status()));
        }
        let mut watcher = Self {
            source,
            rest: String::new(),
        };
        watcher.next().await?;
        Ok(watcher)
    }

    /// Waits for the version that `target` names, or a greater one, and returns when it arrived. It may arrive before it is
    /// known to be the target.
    ///
    /// # Errors
    /// When the stream ends before.
    pub async fn until(
        mut self,
        mut target: watch::Receiver<Option<i64>>,
    ) -> Result<Instant, String> {
        let mut seen = Vec::new();
        loop {
            let awaited = *target.borrow_and_update();
            if let Some(awaited) = awaited
                && let Some((_, at)) = seen.iter().find(|(version, _)| *version >= awaited)
            {
                return Ok(*at);
            }
            tokio::select! {
                version = self.next() => seen.push((version?, Instant::now())),
                changed = target.changed() => changed.map_err(|_| "the change was not made".to_owned())?,
            }
        }
    }

    /// Waits for the next version. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<i64, String> {
        loop {
            if let Some((version, rest)) = version_in(&self.rest) {
                let read = self.rest.len() - rest.len();
                self.rest.drain(..read);
                return Ok(version);
            }
            let ended = || "the stream ended".to_owned();
            match &mut self.source {
                Source::Http(answer) => {
                    let chunk = answer.chunk().await.ok().flatten().ok_or_else(ended)?;
                    self.rest.push_str(&String::from_utf8_lossy(&chunk));
                }
                Source::Socket(socket) => match socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        self.rest = text.to_string();
                        // The server may ask whether the client is there.
                        if self.rest.contains(r#""type":"ping""#) {
                            let pong = Message::text(r#"{"type":"pong"}"#);
                            socket.send(pong).await.map_err(|_| ended())?;
                        }
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_))) => {}
                    _ => return Err(ended()),
                },
            }
        }
    }
}

/// Returns the first version in a text, and what follows: `"version":41` or `"libraryVersion":41`. A number at the end may
/// be incomplete.
fn version_in(text: &str) -> Option<(i64, &str)> {
    let (_, rest) = text.split_once("ersion\":")?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    Some((rest[..end].parse().ok()?, &rest[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_the_events_of_each_transport() {
        for (text, version) in [
            (
                "data: {\"type\":\"connected\",\"timestamp\":1,\"version\":41}\n\n",
                Some(41),
            ),
            (
                "event: next\ndata: {\"data\":{\"libraryVersion\":42}}\n\n",
                Some(42),
            ),
            (
                "{\"id\":\"canary\",\"type\":\"next\",\"payload\":{\"data\":{\"libraryVersion\":7},",
                Some(7),
            ),
            ("data: {\"type\":\"connected\",\"version\":4", None),
            (":\n\n", None),
        ] {
            assert_eq!(
                version_in(text).map(|(version, _)| version),
                version,
                "{text}"
            );
        }
    }
}
