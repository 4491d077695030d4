//! Reads and writes the frames of one WebSocket.
//!
//! **Invariant:** the automatic replies of tungstenite (pong and close) are flushed before the next read. So a client
//! that sends pings and does not read cannot fill memory. Its reads stop, and the write deadline closes the connection.

use std::{io, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{
    close_code::Close,
    handshake::Socket,
    message::{ClientMessage, ServerMessage},
};

/// Maximum time of the close handshake.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);

/// A frame from the client.
pub(super) enum Heard {
    /// A message of the subprotocol.
    Message(ClientMessage),
    /// A control frame. tungstenite may have queued a reply to it.
    Sign,
}

/// One WebSocket of the subprotocol.
pub(super) struct FramedSocket {
    socket: Socket,
}

impl FramedSocket {
    /// Creates a socket that reads at most `frames_per_second`. 0 means no limit.
    pub fn new(mut socket: Socket, frames_per_second: u32) -> Self {
        socket.get_mut().set_rate(frames_per_second);
        Self { socket }
    }

    /// Changes the maximum message length.
    pub fn set_limit(&mut self, limit: usize) {
        self.socket.get_mut().set_limit(limit);
    }

    /// Reads the next frame. Cancel safe.
    ///
    /// After a [`Heard::Sign`], call [`flush`](Self::flush) before the next read.
    pub async fn hear(&mut self) -> Result<Heard, Close> {
        let frame = match self.socket.next().await {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Err(broken(&error)),
            None => return Err(Close::Gone),
        };
        match frame {
            Message::Text(text) => ClientMessage::parse(&text)
                .map(Heard::Message)
                .map_err(Close::Invalid),
            Message::Binary(_) => Err(Close::Invalid("a message must be text".into())),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(Heard::Sign),
            Message::Close(_) => Err(Close::Left),
        }
    }

    /// Writes queued frames.
    pub async fn flush(&mut self) -> Result<(), Close> {
        self.socket.flush().await.map_err(|_| Close::Gone)
    }

    /// Sends a message.
    #[expect(clippy::expect_used, reason = "every message is serializable as JSON")]
    pub async fn say(&mut self, message: &ServerMessage<'_>) -> Result<(), Close> {
        let text = serde_json::to_string(message).expect("a message is JSON");
        let sent = self.socket.send(Message::Text(text.into())).await;
        sent.map_err(|_| Close::Gone)
    }

    /// Sends a close frame if the send buffer has room, without waiting.
    pub async fn drop_with(mut self, close: &Close) {
        if let Some(frame) = close.frame() {
            let sent = self.socket.send(Message::Close(Some(frame)));
            let _ = timeout(Duration::ZERO, sent).await;
        }
    }

    /// Performs the close handshake, because closing at once could lose messages in flight. Replies to a close frame of
    /// the client (RFC 6455, section 5.5.1).
    pub async fn close(mut self, close: &Close) {
        let frame = close.frame();
        if let Some(frame) = &frame {
            tracing::debug!(
                close.code = u16::from(frame.code),
                close.reason = frame.reason.as_str(),
                "socket closed"
            );
        }
        let farewell = async {
            match (close, frame) {
                (Close::Left, _) => _ = self.flush().await,
                (_, Some(frame)) => {
                    if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
                        while let Some(Ok(_)) = self.socket.next().await {}
                    }
                }
                (_, None) => {}
            }
        };
        // After the timeout, the connection is dropped.
        let _ = timeout(FAREWELL, farewell).await;
    }
}

fn broken(error: &Error) -> Close {
    match error {
        Error::Capacity(_) => Close::TooBig,
        Error::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => Close::TooBig,
        Error::Utf8(_) => Close::Invalid("a message must be UTF-8".into()),
        _ => Close::Gone,
    }
}
