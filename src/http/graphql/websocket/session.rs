//! One socket, from `connection_init` to its close.
//!
//! **Invariant:** one message is written at a time and nothing is queued. While a write is blocked, the session takes no
//! messages and no results, and the connection's write deadline drops a client that does not read.
//! **Invariant:** any frame of the client is a sign of life. Without one, the socket is closed.
//! **Invariant:** a subscription that cannot begin because the database does not answer closes the socket, so that the
//! client retries. After an `error` message it would not.
//! **Invariant:** when the server ends a socket, running queries and mutations are answered first, within the grace,
//! because clients send unanswered operations again. Subscriptions are not completed, so that clients reopen them.

use std::convert::Infallible;

use async_graphql::Request;
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Map, Value};
use tokio::{
    task::unconstrained,
    time::{Instant, sleep_until, timeout},
};

use super::{
    close_code::Close,
    framed_socket::{FAREWELL, FramedSocket, Heard},
    handshake::Socket,
    message::{ClientMessage, Heartbeat, Id, ServerMessage},
    operations::Operations,
    pending_sockets::Pending,
};
use crate::{
    auth::Viewer,
    feed::{Heads, UNMEASURED},
    http::{
        connection::connection_slots::Connection,
        device::RequestDevice,
        error::HttpError,
        graphql::operation::{self, Outcome},
        state::Node,
        streams::{
            end_reason::EndReason,
            registry::{StreamPermit, Transport},
        },
    },
    version::Head,
};

/// The result of authentication at the upgrade.
pub(super) enum UpgradeViewer {
    Known(Viewer, StreamPermit, Box<RequestDevice>),
    /// The refusal, unless `connection_init` has a valid token. That token then keeps the connection.
    Unknown(HttpError, Option<Connection>),
}

/// An authenticated viewer with the permit and the heads of the socket.
type Greeted = (Viewer, StreamPermit, Heads);

/// Serves a socket until it is closed.
///
/// What an idle socket does not need is boxed here and in [`Session`], so that it takes memory only while it runs: the
/// size of a future is that of its largest state.
pub(super) async fn serve(node: Node, socket: Socket, caller: UpgradeViewer, pending: Pending) {
    let socket = FramedSocket::new(socket, node.streams.limits().max_message_rate);
    let greeted = begin(&node, socket, caller, pending).boxed().await;
    let Some((mut socket, (viewer, mut permit, heads))) = greeted else {
        return;
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
    let Err(close) = session.converse(&permit).await;
    permit.note(close.outcome());
    socket.close(&close).boxed().await;
}

/// Greets the client. Closes the socket of one that is refused.
async fn begin(
    node: &Node,
    mut socket: FramedSocket,
    caller: UpgradeViewer,
    mut pending: Pending,
) -> Option<(FramedSocket, Greeted)> {
    let greeted = tokio::select! {
        greeted = greet(node, &mut socket, caller) => greeted,
        // A newer socket has its slot, so this one must not wait for the client.
        () = pending.gives_way() => {
            socket.drop_with(&Close::Displaced).await;
            return None;
        }
    };
    match greeted {
        Ok(greeted) => {
            socket.set_limit(node.settings.max_body);
            Some((socket, greeted))
        }
        Err(close) => {
            tokio::select! {
                () = socket.close(&close) => {}
                () = pending.gives_way() => {}
            }
            None
        }
    }
}

/// Closes a socket whose client does not offer the subprotocol.
pub(super) async fn refuse_subprotocol(socket: Socket, mut pending: Pending) {
    tokio::select! {
        () = FramedSocket::new(socket, 0).close(&Close::Subprotocol) => {}
        () = pending.gives_way() => {}
    }
}

/// Waits for `connection_init`, authenticates the client, and sends `connection_ack`.
async fn greet(
    node: &Node,
    socket: &mut FramedSocket,
    caller: UpgradeViewer,
) -> Result<Greeted, Close> {
    let init_timeout = node.streams.limits().init_timeout;
    let payload = tokio::select! {
        init = timeout(init_timeout, init(socket)) => init.map_err(|_| Close::InitTimeout)??,
        () = node.drain.cancelled() => return Err(Close::End(EndReason::Drained)),
    };
    let device = RequestDevice::of_payload(payload.as_ref())
        .map_err(|error| Close::Invalid(error.to_string().into()))?;
    let (viewer, permit, of_upgrade) = identify(node, caller, payload.as_ref(), &device).await?;
    let heads = node
        .feed
        .follow(&viewer.user, viewer.issued_at, None, UNMEASURED)
        .await
        .map_err(|error| Close::refused(error.into(), Some(&viewer.user)))?;
    // Without a device here, the one of the upgrade counts.
    let device = if device.is_empty() {
        *of_upgrade
    } else {
        device
    };
    let permit = node.attended(permit, &viewer, &device, Transport::Websocket);
    socket.say(&ServerMessage::ConnectionAck).await?;
    Ok((viewer, permit, heads))
}

/// Waits for `connection_init` and returns its payload.
async fn init(socket: &mut FramedSocket) -> Result<Option<Map<String, Value>>, Close> {
    loop {
        match socket.hear().await? {
            Heard::Message(ClientMessage::ConnectionInit { payload }) => return Ok(payload),
            Heard::Message(ClientMessage::Ping { payload }) => {
                socket.say(&ServerMessage::Pong { payload }).await?;
            }
            Heard::Message(ClientMessage::Subscribe { .. }) => return Err(Close::Unacknowledged),
            Heard::Message(ClientMessage::Pong | ClientMessage::Complete { .. }) => {}
            Heard::Sign => socket.flush().await?,
        }
    }
}

/// Authenticates the client. A token in `connection_init` precedes the credential of the upgrade. Also returns the device
/// that the upgrade names, if its credential counts.
async fn identify(
    node: &Node,
    caller: UpgradeViewer,
    payload: Option<&Map<String, Value>>,
    device: &RequestDevice,
) -> Result<(Viewer, StreamPermit, Box<RequestDevice>), HttpError> {
    let Some(authorization) = payload.and_then(authorization) else {
        return match caller {
            UpgradeViewer::Known(viewer, permit, device) => Ok((viewer, permit, device)),
            UpgradeViewer::Unknown(error, _) => Err(error),
        };
    };
    let viewer = node
        .authenticate_init(authorization.as_str(), device)
        .await?;
    if let UpgradeViewer::Unknown(_, Some(connection)) = &caller {
        connection.authenticate();
    }
    // Releases the permit of the upgrade first, because it can be the last one.
    drop(caller);
    let permit = node.streams.open(&viewer, Transport::Websocket)?;
    Ok((viewer, permit, Box::default()))
}

fn authorization(payload: &Map<String, Value>) -> Option<&Value> {
    let mut entries = payload.iter();
    let (_, value) = entries.find(|(key, _)| key.eq_ignore_ascii_case("authorization"))?;
    Some(value).filter(|value| !value.is_null())
}

/// An acknowledged socket.
struct Session<'s> {
    node: &'s Node,
    socket: &'s mut FramedSocket,
    viewer: Viewer,
    heads: Heads,
    /// The newest head, which pings report.
    newest: Option<Head>,
    operations: Operations,
    /// Time of the client's last frame.
    heard: Instant,
    next_ping: Instant,
}

impl Session<'_> {
    /// Serves the socket until it must be closed.
    async fn converse(&mut self, permit: &StreamPermit) -> Result<Infallible, Close> {
        let mut end = permit.end();
        loop {
            let tick = self.next_ping.min(self.silent_at());
            tokio::select! {
                // Operations are last, because they can always be ready. Frames are read before the silence check, so
                // that a client with a waiting frame is not silent.
                biased;
                reason = &mut end => return Err(self.finish(permit, reason).boxed().await),
                heard = self.socket.hear() => {
                    self.heard = Instant::now();
                    match heard? {
                        Heard::Message(message) => self.answer(message).boxed().await?,
                        // Not in `hear`, because another event can cancel that future.
                        Heard::Sign => self.socket.flush().await?,
                    }
                }
                () = sleep_until(tick) => self.beat().await?,
                Some(event) = self.heads.next() => self.newest = Some(event.head),
                (id, outcome) = self.operations.next() => self.tell(&id, outcome).await?,
            }
        }
    }

    /// Answers the running queries and mutations, reads no messages, and returns the close.
    async fn finish(&mut self, permit: &StreamPermit, reason: EndReason) -> Close {
        self.operations.end_subscriptions();
        let finishing = async {
            while self.operations.len() > 0 {
                let (id, outcome) = self.operations.next().await;
                self.tell(&id, outcome).await?;
            }
            Ok::<(), Close>(())
        };
        // Leaves time for the close handshake within the grace.
        let grace = permit.grace(reason).saturating_sub(FAREWELL);
        match timeout(grace, finishing).await {
            Ok(Err(close)) => close,
            Ok(Ok(())) | Err(_) => Close::End(reason),
        }
    }

    async fn answer(&mut self, message: ClientMessage) -> Result<(), Close> {
        match message {
            ClientMessage::ConnectionInit { .. } => Err(Close::InitTwice),
            ClientMessage::Ping { payload } => self.say(&ServerMessage::Pong { payload }).await,
            ClientMessage::Pong => Ok(()),
            ClientMessage::Subscribe { id, payload } => self.begin(id, payload).await,
            ClientMessage::Complete { id } => {
                self.operations.end(&id);
                Ok(())
            }
        }
    }

    async fn begin(&mut self, id: Id, request: Result<Box<Request>, String>) -> Result<(), Close> {
        if self.operations.contains(&id) {
            return Err(Close::Duplicate(id));
        }
        // Counted first, so that refused operations count too.
        if let Err(rate_limited) = self.node.count_operation(&self.viewer) {
            return self.tell(&id, Some(operation::refused(rate_limited))).await;
        }
        let most = self.node.streams.limits().max_operations_per_socket;
        if self.operations.len() >= most {
            let message = format!("too many running operations: the limit per socket is {most}");
            let refused = Outcome::error("TOO_MANY_OPERATIONS", &message);
            return self.tell(&id, Some(refused)).await;
        }
        let begun = request
            .map_err(|cause| Outcome::error("BAD_REQUEST", &cause))
            .and_then(|request| operation::begin(self.node, &self.viewer, *request));
        match begun {
            Ok(begun) => self.operations.begin(id, begun),
            Err(refused) => self.tell(&id, Some(refused)).await?,
        }
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
            Some(_)
                if outcome.code() == Some("UNAVAILABLE") && self.operations.is_subscription(id) =>
            {
                return Err(Close::Unavailable);
            }
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

    /// Closes the socket of a silent client, and pings any other.
    async fn beat(&mut self) -> Result<(), Close> {
        if self.silent_at() <= Instant::now() {
            return Err(Close::Silent);
        }
        self.next_ping = Instant::now() + self.node.settings.heartbeat;
        // A ping must not report an older head than a subscription of this socket has sent.
        while let Some(Some(event)) = unconstrained(self.heads.next()).now_or_never() {
            self.newest = Some(event.head);
        }
        let payload = self.newest.map(|head| Heartbeat {
            library_version: head.version,
        });
        self.say(&ServerMessage::Ping { payload }).await
    }

    /// Returns when the client counts as silent: after two unanswered pings.
    fn silent_at(&self) -> Instant {
        self.heard + self.node.settings.heartbeat.mul_f32(2.5)
    }

    async fn say(&mut self, message: &ServerMessage<'_>) -> Result<(), Close> {
        self.socket.say(message).await
    }
}
