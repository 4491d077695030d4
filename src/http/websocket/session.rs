//! One socket, from `connection_init` to its close.
//!
//! **Invariant:** one message is written at a time and nothing is queued: while the socket has no room, neither the
//! client's messages nor the results of its operations are taken. A client that does not read is dropped by the
//! connection's write deadline.
//! **Invariant:** any frame of the client is a sign of life, and without one the socket is closed.

use std::{convert::Infallible, pin::pin, time::Duration};

use axum::extract::ws::{Message, WebSocket};
use futures_util::{StreamExt as _, stream::BoxStream};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite;

use super::{
    Caller,
    close::Close,
    message::{ClientMessage, Heartbeat, Id, Operation, ServerMessage},
    operations::Operations,
};
use crate::{
    auth::{Credential, Viewer, bearer},
    http::{
        HttpError, Node,
        operation::{self, Outcome},
        streams::{EndReason, Place, Transport},
    },
    version::Head,
};

/// How long a client may take to answer a close.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves a socket until it is closed.
pub(super) async fn serve(node: Node, mut socket: WebSocket, caller: Caller) {
    let (viewer, mut place, heads) = match greet(&node, &mut socket, caller).await {
        Ok(greeted) => greeted,
        Err(close) => return say_goodbye(&mut socket, &close).await,
    };
    let mut session = Session {
        node: &node,
        socket: &mut socket,
        viewer,
        heads,
        newest: None,
        operations: Operations::default(),
        heard: Instant::now(),
        next_ping: Instant::now() + node.settings.heartbeat,
    };
    let Err(close) = session.converse(&place).await;
    place.note(close.outcome());
    say_goodbye(&mut socket, &close).await;
}

/// Closes a socket whose client speaks another subprotocol.
pub(super) async fn refuse_subprotocol(mut socket: WebSocket) {
    say_goodbye(&mut socket, &Close::Subprotocol).await;
}

/// Waits for `connection_init`, finds out who is calling, and acknowledges it.
async fn greet(
    node: &Node,
    socket: &mut WebSocket,
    caller: Caller,
) -> Result<(Viewer, Place, BoxStream<'static, Head>), Close> {
    let payload = tokio::select! {
        init = timeout(node.streams.limits().init_timeout, init(socket)) => init.map_err(|_| Close::InitTimeout)??,
        () = node.drain.cancelled() => return Err(Close::End(EndReason::Drained)),
    };
    let (viewer, place) = identify(node, caller, payload.as_ref()).await?;
    node.pace.user(&viewer.user).map_err(HttpError::from)?;
    let heads = node
        .feed
        .follow(&viewer.user)
        .await
        .map_err(HttpError::from)?;
    say(socket, &ServerMessage::ConnectionAck).await?;
    Ok((viewer, place, heads.boxed()))
}

/// Waits for `connection_init`, and returns its payload.
async fn init(socket: &mut WebSocket) -> Result<Option<Map<String, Value>>, Close> {
    loop {
        match hear(socket).await? {
            Some(ClientMessage::ConnectionInit { payload }) => return Ok(payload),
            Some(ClientMessage::Ping { payload }) => {
                say(socket, &ServerMessage::Pong { payload }).await?;
            }
            Some(ClientMessage::Subscribe { .. }) => return Err(Close::Unacknowledged),
            Some(ClientMessage::Pong { .. } | ClientMessage::Complete { .. }) | None => {}
        }
    }
}

/// Who is calling: a token in `connection_init` goes before what came with the upgrade.
async fn identify(
    node: &Node,
    caller: Caller,
    payload: Option<&Map<String, Value>>,
) -> Result<(Viewer, Place), HttpError> {
    let Some(authorization) = payload.and_then(authorization) else {
        return match caller {
            Caller::Known(viewer, place) => Ok((viewer, place)),
            Caller::Unknown(error) => Err(error),
        };
    };
    let token = authorization
        .as_str()
        .and_then(bearer)
        .ok_or(HttpError::NoToken)?;
    let viewer = node.gate.verifier.verify(token, Credential::Bearer).await?;
    // The place taken at the upgrade is given back first: it may be the last.
    drop(caller);
    let place = node.streams.open(&viewer, Transport::Websocket)?;
    Ok((viewer, place))
}

fn authorization(payload: &Map<String, Value>) -> Option<&Value> {
    let mut entries = payload.iter();
    let (_, value) = entries.find(|(key, _)| key.eq_ignore_ascii_case("authorization"))?;
    Some(value).filter(|value| !value.is_null())
}

/// An acknowledged socket.
struct Session<'s> {
    node: &'s Node,
    socket: &'s mut WebSocket,
    viewer: Viewer,
    heads: BoxStream<'static, Head>,
    /// What pings tell.
    newest: Option<Head>,
    operations: Operations,
    /// When the client was last heard of.
    heard: Instant,
    next_ping: Instant,
}

impl Session<'_> {
    /// Lasts until there is a reason to close.
    async fn converse(&mut self, place: &Place) -> Result<Infallible, Close> {
        let mut end = pin!(place.end());
        loop {
            let tick = self.next_ping.min(self.silent_at());
            tokio::select! {
                // In this order, because operations may always have a result, and because a client that has spoken in
                // the meantime is not to be found silent.
                biased;
                reason = &mut end => return Err(Close::End(reason)),
                message = hear(self.socket) => {
                    self.heard = Instant::now();
                    if let Some(message) = message? {
                        self.answer(message).await?;
                    }
                }
                () = sleep_until(tick) => self.beat().await?,
                Some(head) = self.heads.next() => self.newest = Some(head),
                (id, outcome) = self.operations.next() => self.tell(&id, outcome).await?,
            }
        }
    }

    async fn answer(&mut self, message: ClientMessage) -> Result<(), Close> {
        match message {
            ClientMessage::ConnectionInit { .. } => Err(Close::InitTwice),
            ClientMessage::Ping { payload } => self.say(&ServerMessage::Pong { payload }).await,
            ClientMessage::Pong { .. } => Ok(()),
            ClientMessage::Subscribe { id, payload } => self.begin(id, payload).await,
            ClientMessage::Complete { id } => {
                self.operations.end(&id);
                Ok(())
            }
        }
    }

    async fn begin(&mut self, id: Id, Operation(request): Operation) -> Result<(), Close> {
        if self.operations.contains(&id) {
            return Err(Close::Duplicate(id));
        }
        let most = self.node.streams.limits().operations_per_socket;
        if self.operations.len() >= most {
            let message = format!("{most} operations run on this socket, as many as may");
            let refused = Outcome::error("TOO_MANY_OPERATIONS", &message);
            return self.tell(&id, Some(refused)).await;
        }
        let outcomes = operation::run(self.node, &self.viewer, *request);
        self.operations.begin(id, outcomes);
        Ok(())
    }

    async fn tell(&mut self, id: &Id, outcome: Option<Outcome>) -> Result<(), Close> {
        let name = id.as_str();
        let Some(outcome) = outcome else {
            return self.say(&ServerMessage::Complete { id: name }).await;
        };
        let message = match outcome.request_errors() {
            None => ServerMessage::Next {
                id: name,
                payload: &outcome,
            },
            Some(errors) => {
                self.operations.end(id);
                ServerMessage::Error {
                    id: name,
                    payload: errors,
                }
            }
        };
        self.say(&message).await
    }

    /// Gives a client up that is silent, and probes it otherwise.
    async fn beat(&mut self) -> Result<(), Close> {
        if self.silent_at() <= Instant::now() {
            return Err(Close::Silent);
        }
        self.next_ping = Instant::now() + self.node.settings.heartbeat;
        let payload = self.newest.map(|head| Heartbeat {
            library_version: head.version,
        });
        self.say(&ServerMessage::Ping { payload }).await
    }

    /// When the client counts as gone unless it is heard of: it has then left two pings unanswered.
    fn silent_at(&self) -> Instant {
        self.heard + self.node.settings.heartbeat.mul_f32(2.5)
    }

    async fn say(&mut self, message: &ServerMessage<'_>) -> Result<(), Close> {
        say(self.socket, message).await
    }
}

/// The client's next frame: a message, or `None` for one that only says that it lives.
async fn hear(socket: &mut WebSocket) -> Result<Option<ClientMessage>, Close> {
    match socket.recv().await {
        Some(Ok(Message::Text(text))) => match ClientMessage::parse(&text) {
            Ok(message) => Ok(Some(message)),
            Err(error) => Err(Close::Invalid(error.to_string().into())),
        },
        Some(Ok(Message::Binary(_))) => Err(Close::Invalid("it is not text".into())),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Close(_))) | None => Err(Close::Gone),
        Some(Err(error)) => Err(broken(error)),
    }
}

fn broken(error: axum::Error) -> Close {
    let error = error.into_inner();
    match error.downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => Close::TooBig,
        Some(tungstenite::Error::Utf8(_)) => Close::Invalid("it is not UTF-8".into()),
        _ => Close::Gone,
    }
}

#[expect(
    clippy::expect_used,
    reason = "the messages hold only what JSON can say"
)]
async fn say(socket: &mut WebSocket, message: &ServerMessage<'_>) -> Result<(), Close> {
    let text = serde_json::to_string(message).expect("a message is JSON");
    let sent = socket.send(Message::Text(text.into())).await;
    sent.map_err(|_| Close::Gone)
}

/// Tells the client why, and waits a moment for its answer: closing at once could destroy what is still on the way.
async fn say_goodbye(socket: &mut WebSocket, close: &Close) {
    let Some(frame) = close.frame() else {
        return;
    };
    tracing::debug!(
        close.code = frame.code,
        close.reason = frame.reason.as_str(),
        "a socket is closed"
    );
    let farewell = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    // When the time is up, the connection is dropped anyway.
    let _ = timeout(FAREWELL, farewell).await;
}
