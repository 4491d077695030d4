//! The frames of one socket: what is heard and what is said.
//!
//! **Invariant:** what the library answers by itself (a pong, a close) is sent before more is heard, so a client that
//! asks and does not read fills no memory: it waits, and the connection's write deadline drops it.

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

/// What a client sent.
pub(super) enum Heard {
    /// A message of the protocol.
    Message(ClientMessage),
    /// A control frame, which tungstenite can have answered.
    Sign,
}

/// One socket.
pub(super) struct FramedSocket {
    socket: Socket,
}

impl FramedSocket {
    /// A socket of which so many frames a second are read; 0 for no limit.
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
    /// After a [`Heard::Sign`], [`flush`](Self::flush) before the next read.
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

    /// Sends a close frame if the connection has room, without waiting.
    pub async fn drop_with(mut self, close: &Close) {
        if let Some(frame) = close.frame() {
            let told = self.socket.send(Message::Close(Some(frame)));
            let _ = timeout(Duration::ZERO, told).await;
        }
    }

    /// Performs the close handshake, because closing at once could lose messages in flight. Answers a close of the client
    /// (RFC 6455, section 5.5.1).
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
        // After the timeout the connection is dropped.
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
