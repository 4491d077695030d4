//! The deadline of request heads, which defends against slowloris attacks.
//!
//! In the flow: between the socket and the HTTP server. hyper's timer starts at the end of the previous response, so it
//! cannot distinguish a slow client from an idle connection. This module detects only the end of a head and the start
//! of a response.
//!
//! **Invariant:** a connection is closed if a head that has begun is not complete within the limit. A pipelined head
//! that begins in the same packet as the previous request counts as idle.
//! **Invariant:** the limit does not apply to idle connections, bodies and upgraded connections.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

/// Tracks the request heads on one connection.
#[derive(Debug)]
pub(in crate::http) struct RequestHeads {
    limit: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    /// No byte has arrived since the last response began.
    Quiet,
    /// A head has begun.
    Begun { end: End, deadline: Pin<Box<Sleep>> },
    /// A head is complete, and its response has not begun.
    Whole,
    /// The connection has changed its protocol, so no heads follow.
    Upgraded,
}

/// Progress towards the empty line that ends a head. Lines end with LF; CR before it is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Before the first line. Servers skip empty lines there.
    Before,
    InLine,
    AfterLine,
    AfterEmptyLine,
}

impl End {
    fn after(self, bytes: &[u8]) -> Self {
        bytes.iter().fold(self, |end, byte| match (end, byte) {
            (Self::Before, b'\r' | b'\n') => Self::Before,
            (Self::AfterEmptyLine, _) | (Self::AfterLine, b'\n') => Self::AfterEmptyLine,
            (Self::InLine, b'\n') => Self::AfterLine,
            (end, b'\r') => end,
            _ => Self::InLine,
        })
    }
}

impl RequestHeads {
    /// Limits the time of each head.
    pub fn within(limit: Duration) -> Self {
        Self {
            limit,
            state: State::Quiet,
        }
    }

    /// Fails at the deadline of a head that has begun.
    pub fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let State::Begun { deadline, .. } = &mut self.state else {
            return Poll::Pending;
        };
        let up = deadline.as_mut().poll(cx);
        up.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Whether a response is pending. If `is_writing`, also whether one is being written.
    pub fn has_response(&self, is_writing: bool) -> bool {
        match self.state {
            State::Whole => true,
            State::Quiet | State::Begun { .. } => is_writing,
            State::Upgraded => false,
        }
    }

    /// Processes the next bytes from the client.
    pub fn hear(&mut self, bytes: &[u8]) {
        if let State::Quiet = self.state
            && !bytes.is_empty()
        {
            self.state = State::Begun {
                end: End::Before,
                deadline: Box::pin(sleep(self.limit)),
            };
        }
        if let State::Begun { end, .. } = &mut self.state {
            *end = end.after(bytes);
            if *end == End::AfterEmptyLine {
                self.state = State::Whole;
            }
        }
    }

    /// Processes the next bytes to the client. Returns whether they are the head of an upgrade response.
    pub fn say(&mut self, bytes: &[u8]) -> bool {
        match self.state {
            State::Upgraded => {}
            _ if bytes.starts_with(b"HTTP/1.1 101") => {
                self.state = State::Upgraded;
                return true;
            }
            // 100 Continue: the body follows.
            State::Whole if bytes.starts_with(b"HTTP/1.1 100") => {}
            _ => self.state = State::Quiet,
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads() -> RequestHeads {
        RequestHeads::within(Duration::from_millis(20))
    }

    async fn is_given_up(heads: &mut RequestHeads) -> bool {
        let waiting = std::future::poll_fn(|cx| heads.wait(cx));
        tokio::time::timeout(Duration::from_millis(100), waiting)
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn only_a_head_that_has_begun_has_a_deadline() {
        let mut heads = heads();
        assert!(!is_given_up(&mut heads).await, "idle");
        heads.hear(b"GET / HTTP/1.1\r\nHost: x\r\n");
        assert!(is_given_up(&mut heads).await, "half a head");
        heads.hear(b"\r\n");
        assert!(!is_given_up(&mut heads).await, "a whole head");
        heads.hear(b"half a body\r\n");
        assert!(!is_given_up(&mut heads).await, "a body");
        heads.say(b"HTTP/1.1 200 OK\r\n");
        assert!(!is_given_up(&mut heads).await, "idle again");
        heads.hear(b"G");
        assert!(is_given_up(&mut heads).await, "the next head");
    }

    #[tokio::test]
    async fn bytes_after_a_continue_or_an_upgrade_have_no_deadline() {
        for answer in ["HTTP/1.1 100 Continue", "HTTP/1.1 101 Switching Protocols"] {
            let mut heads = heads();
            heads.hear(b"GET / HTTP/1.1\n\n");
            heads.say(answer.as_bytes());
            heads.hear(b"x");
            assert!(!is_given_up(&mut heads).await, "{answer}");
        }
    }

    #[tokio::test]
    async fn the_end_of_a_head_is_detected_in_pieces_of_any_size() {
        for (head, is_whole) in [
            ("GET / HTTP/1.1\r\nA: b\r\n\r\n", true),
            ("GET / HTTP/1.1\nA: b\n\n", true),
            ("GET / HTTP/1.1\r\n\r\nrest", true),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", true),
            ("\r\n\r\nGET / HTTP/1.1\r\n", false),
            ("GET / HTTP/1.1\r\nA: b\r\n", false),
            ("GET / HTTP/1.1\r\nA: b\r\n \r\n", false),
        ] {
            for piece in 1..=head.len() {
                let mut heads = heads();
                for bytes in head.as_bytes().chunks(piece) {
                    heads.hear(bytes);
                }
                let whole = matches!(heads.state, State::Whole);
                assert_eq!(whole, is_whole, "{head:?} by {piece}");
            }
        }
    }
}
