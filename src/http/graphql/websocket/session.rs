//! One socket, from `connection_init` to its close.
//!
//! **Invariant:** one message is written at a time and nothing is queued: while the socket has no room, neither the
//! client's messages nor the results of its operations are taken. A client that does not read is dropped by the
//! connection's write deadline.
//! **Invariant:** any frame of the client is a sign of life, and without one the socket is closed.
//! **Invariant:** a subscription that cannot begin while the database does not answer closes the socket, so that the
//! client comes back for it: an `error` would be its end.
//! **Invariant:** when the server ends a socket, the queries and mutations under way are answered first, within the
//! grace: clients send again after a close what was not answered. Subscriptions are not told to be complete, so that
//! clients open them again.

use std::{convert::Infallible, pin::pin};

use async_graphql::Request;
use futures_util::{FutureExt as _, StreamExt as _, stream::BoxStream};
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
    http::{
        error::HttpError,
        graphql::operation::{self, Outcome},
        state::Node,
        streams::registry::{EndReason, StreamPermit, Transport},
    },
    version::Head,
};

/// Who is calling, as far as the upgrade tells.
pub(super) enum UpgradeViewer {
    Known(Viewer, StreamPermit),
    /// Why not. A token in `connection_init` can make up for it.
    Unknown(HttpError),
}

/// Serves a socket until it is closed.
pub(super) async fn serve(node: Node, socket: Socket, caller: UpgradeViewer, mut pending: Pending) {
    let mut line = FramedSocket::new(socket, node.streams.limits().messages_per_second);
    let greeted = tokio::select! {
        greeted = greet(&node, &mut line, caller) => greeted,
        // Its permit has been given away, so that nothing may be waited for.
        () = pending.gives_way() => return line.drop_with(&Close::Displaced).await,
    };
    let (viewer, mut permit, heads) = match greeted {
        Ok(greeted) => greeted,
        Err(close) => {
            tokio::select! {
                () = line.close(&close) => {}
                () = pending.gives_way() => {}
            }
            return;
        }
    };
    drop(pending);
    line.set_limit(node.settings.max_body);
    let mut session = Session {
        node: &node,
        line: &mut line,
        viewer,
        heads,
        newest: None,
        operations: Operations::default(),
        heard: Instant::now(),
        next_ping: Instant::now() + node.settings.heartbeat,
    };
    let Err(close) = session.converse(&permit).await;
    permit.note(close.outcome());
    line.close(&close).await;
}

/// Closes a socket whose client speaks another subprotocol.
pub(super) async fn refuse_subprotocol(socket: Socket, mut pending: Pending) {
    tokio::select! {
        () = FramedSocket::new(socket, 0).close(&Close::Subprotocol) => {}
        () = pending.gives_way() => {}
    }
}

/// Waits for `connection_init`, finds out who is calling, and acknowledges it.
async fn greet(
    node: &Node,
    line: &mut FramedSocket,
    caller: UpgradeViewer,
) -> Result<(Viewer, StreamPermit, BoxStream<'static, Head>), Close> {
    let payload = tokio::select! {
        init = timeout(node.streams.limits().init_timeout, init(line)) => init.map_err(|_| Close::InitTimeout)??,
        () = node.drain.cancelled() => return Err(Close::End(EndReason::Drained)),
    };
    let (viewer, permit) = identify(node, caller, payload.as_ref()).await?;
    let heads = node
        .feed
        .follow(&viewer.user, None)
        .await
        .map_err(HttpError::from)?;
    line.say(&ServerMessage::ConnectionAck).await?;
    Ok((viewer, permit, heads.boxed()))
}

/// Waits for `connection_init`, and returns its payload.
async fn init(line: &mut FramedSocket) -> Result<Option<Map<String, Value>>, Close> {
    loop {
        match line.hear().await? {
            Heard::Message(ClientMessage::ConnectionInit { payload }) => return Ok(payload),
            Heard::Message(ClientMessage::Ping { payload }) => {
                line.say(&ServerMessage::Pong { payload }).await?;
            }
            Heard::Message(ClientMessage::Subscribe { .. }) => return Err(Close::Unacknowledged),
            Heard::Message(ClientMessage::Pong | ClientMessage::Complete { .. }) => {}
            Heard::Sign => line.flush().await?,
        }
    }
}

/// Who is calling: a token in `connection_init` goes before what came with the upgrade.
async fn identify(
    node: &Node,
    caller: UpgradeViewer,
    payload: Option<&Map<String, Value>>,
) -> Result<(Viewer, StreamPermit), HttpError> {
    let Some(authorization) = payload.and_then(authorization) else {
        return match caller {
            UpgradeViewer::Known(viewer, permit) => Ok((viewer, permit)),
            UpgradeViewer::Unknown(error) => Err(error),
        };
    };
    let viewer = node.authenticate_init(authorization.as_str()).await?;
    // The permit taken at the upgrade is given back first: it may be the last.
    drop(caller);
    let permit = node.streams.open(&viewer, Transport::Websocket)?;
    Ok((viewer, permit))
}

fn authorization(payload: &Map<String, Value>) -> Option<&Value> {
    let mut entries = payload.iter();
    let (_, value) = entries.find(|(key, _)| key.eq_ignore_ascii_case("authorization"))?;
    Some(value).filter(|value| !value.is_null())
}

/// An acknowledged socket.
struct Session<'s> {
    node: &'s Node,
    line: &'s mut FramedSocket,
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
    async fn converse(&mut self, permit: &StreamPermit) -> Result<Infallible, Close> {
        let mut end = pin!(permit.end());
        loop {
            let tick = self.next_ping.min(self.silent_at());
            tokio::select! {
                // In this order, because operations may always have a result, and because a client that has spoken in
                // the meantime is not to be found silent.
                biased;
                reason = &mut end => return Err(self.finish(permit, reason).await),
                heard = self.line.hear() => {
                    self.heard = Instant::now();
                    match heard? {
                        Heard::Message(message) => self.answer(message).await?,
                        // Here and not while hearing, which anything else that happens would cut off.
                        Heard::Sign => self.line.flush().await?,
                    }
                }
                () = sleep_until(tick) => self.beat().await?,
                Some(head) = self.heads.next() => self.newest = Some(head),
                (id, outcome) = self.operations.next() => self.tell(&id, outcome).await?,
            }
        }
    }

    /// Answers the queries and mutations under way, takes nothing new, and returns how to close.
    async fn finish(&mut self, permit: &StreamPermit, reason: EndReason) -> Close {
        self.operations.end_those_that_last();
        let finishing = async {
            while self.operations.len() > 0 {
                let (id, outcome) = self.operations.next().await;
                self.tell(&id, outcome).await?;
            }
            Ok::<(), Close>(())
        };
        // A stopping server does not wait for longer, and the client is to hear of it.
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
        // Counted before anything else, so that what is refused or given up at once is not for free.
        if let Err(rate_limited) = self.node.count_operation(&self.viewer) {
            return self.tell(&id, Some(operation::refused(rate_limited))).await;
        }
        let most = self.node.streams.limits().operations_per_socket;
        if self.operations.len() >= most {
            let message = format!("{most} operations run on this socket, as many as may");
            let refused = Outcome::error("TOO_MANY_OPERATIONS", &message);
            return self.tell(&id, Some(refused)).await;
        }
        let request = match request {
            Ok(request) => request,
            Err(cause) => {
                let refused = Outcome::error("BAD_REQUEST", &cause);
                return self.tell(&id, Some(refused)).await;
            }
        };
        match operation::begin(self.node, &self.viewer, *request) {
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
            Some(_) if outcome.code() == Some("UNAVAILABLE") && self.operations.lasts(id) => {
                return Err(Close::Away);
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

    /// Gives a client up that is silent, and probes it otherwise.
    async fn beat(&mut self) -> Result<(), Close> {
        if self.silent_at() <= Instant::now() {
            return Err(Close::Silent);
        }
        self.next_ping = Instant::now() + self.node.settings.heartbeat;
        // A subscription of this socket may have told what waits to be taken here; and a ping never tells of less.
        while let Some(Some(head)) = unconstrained(self.heads.next()).now_or_never() {
            self.newest = Some(head);
        }
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
        self.line.say(message).await
    }
}
