//! The frames of one socket: what is heard and what is said.
//!
//! **Invariant:** what the library answers by itself (a pong, a close) is sent before more is heard, so a client that
//! asks and does not read fills no memory: it waits, and the connection's write deadline drops it.
//! **Invariant:** a client that sends faster than it may is heard later, and costs the others nothing.

use std::{io, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{
    close_code::Close,
    handshake::Socket,
    message::{ClientMessage, ServerMessage},
};

/// Maximum time of the close handshake.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);

/// How many seconds' worth of messages may come at once.
const BURST: Duration = Duration::from_secs(10);

/// A message longer than this counts as several, in bytes.
const ONE_MESSAGE: usize = 4 << 10;

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
    pace: Option<RateLimiter>,
}

impl FramedSocket {
    /// A socket of which so many messages a second are heard; 0 for as many as come.
    pub fn new(socket: Socket, messages_per_second: u32) -> Self {
        Self {
            socket,
            pace: RateLimiter::new(messages_per_second),
        }
    }

    /// Changes the maximum message length.
    pub fn set_limit(&mut self, limit: usize) {
        self.socket.get_mut().set_limit(limit);
    }

    /// Reads the next frame. Cancel safe.
    ///
    /// After a [`Heard::Sign`], [`flush`](Self::flush) before the next read.
    pub async fn hear(&mut self) -> Result<Heard, Close> {
        if let Some(pace) = &self.pace {
            sleep_until(pace.due()).await;
        }
        let frame = match self.socket.next().await {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Err(broken(&error)),
            None => return Err(Close::Gone),
        };
        if let Some(pace) = &mut self.pace {
            pace.count(&frame, Instant::now());
        }
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

/// How fast a client may speak.
struct RateLimiter {
    /// The time that one message stands for.
    each: Duration,
    /// When everything that was heard would have come at an even pace.
    even: Instant,
}

impl RateLimiter {
    fn new(per_second: u32) -> Option<Self> {
        let each = Duration::from_secs(1).checked_div(per_second)?;
        let even = Instant::now();
        Some(Self { each, even })
    }

    /// When the client is no more than a burst ahead.
    fn due(&self) -> Instant {
        self.even.checked_sub(BURST).unwrap_or(self.even)
    }

    fn count(&mut self, frame: &Message, now: Instant) {
        let bytes = match frame {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
            Message::Close(_) | Message::Frame(_) => 0,
        };
        let messages = u32::try_from(1 + bytes / ONE_MESSAGE).unwrap_or(u32::MAX);
        self.even = self.even.max(now) + self.each.saturating_mul(messages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: usize) -> Message {
        Message::Text("x".repeat(bytes).into())
    }

    /// How many messages are heard at once, and how long after `now` the next is.
    fn burst(pace: &mut RateLimiter, now: Instant) -> (u32, Duration) {
        let mut heard = 0;
        while pace.due() <= now {
            pace.count(&text(10), now);
            heard += 1;
        }
        (heard, pace.due() - now)
    }

    #[test]
    fn a_client_may_be_a_burst_ahead_and_is_then_heard_at_its_pace() {
        let mut pace = RateLimiter::new(5).unwrap();
        let now = Instant::now();
        let fifth = Duration::from_millis(200);
        assert_eq!(burst(&mut pace, now), (51, fifth));
        assert_eq!(burst(&mut pace, now + fifth), (1, fifth));
        let later = now + Duration::from_hours(1);
        let (heard, _) = burst(&mut pace, later);
        assert_eq!(heard, 51, "silence earns no more than a burst");
    }

    #[test]
    fn a_long_message_counts_as_several_and_no_limit_is_none() {
        let mut pace = RateLimiter::new(1).unwrap();
        let now = Instant::now();
        pace.count(&text(10 * ONE_MESSAGE), now);
        assert!(pace.due() > now);
        assert!(RateLimiter::new(0).is_none());
    }
}
