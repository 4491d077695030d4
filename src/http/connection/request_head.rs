//! The heads of requests on a connection: once one has begun, it must come whole, and soon.
//!
//! In the flow: between the socket and the HTTP server. The server's own timer runs from the end of the response before,
//! so it cannot tell a client that is slow from a connection that is kept for later; here they are told apart. What is
//! seen of the bytes is only where a head ends and what is answered.
//!
//! **Invariant:** a head that has begun is whole within the limit, or the connection is given up; but one that began in
//! the same packet as the end of the request before it, which only clients that pipeline send, counts as idle.
//! **Invariant:** nothing else is held to that limit: neither a connection that is idle, nor a body, nor a socket that
//! was upgraded.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

/// Follows the heads on one connection.
#[derive(Debug)]
pub(in crate::http) struct RequestHeads {
    limit: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing has been heard since the last answer.
    Quiet,
    /// A head has begun.
    Begun {
        /// How much of the empty line at its end has come.
        end: End,
        deadline: Pin<Box<Sleep>>,
    },
    /// A head has come, and its answer has not begun.
    Whole,
    /// No more heads follow: the connection speaks another protocol.
    Upgraded,
}

/// How much of the empty line that ends a head has come. Lines end with LF, and CR before it does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Not even its first line has begun; servers pass over empty lines before it.
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
    /// Gives each head so long.
    pub fn within(limit: Duration) -> Self {
        Self {
            limit,
            state: State::Quiet,
        }
    }

    /// Fails when a head that has begun has been waited for long enough.
    pub fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let State::Begun { deadline, .. } = &mut self.state else {
            return Poll::Pending;
        };
        let up = deadline.as_mut().poll(cx);
        up.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Takes the next bytes of the client.
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

    /// Takes the beginning of what is answered, and tells whether it is the head of an upgrade.
    pub fn say(&mut self, bytes: &[u8]) -> bool {
        match self.state {
            State::Upgraded => {}
            _ if bytes.starts_with(b"HTTP/1.1 101") => {
                self.state = State::Upgraded;
                return true;
            }
            // "Continue": what follows is a body.
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
    async fn a_head_that_has_begun_must_end_and_what_is_no_head_need_not() {
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
    async fn what_follows_a_continue_or_an_upgrade_is_no_head() {
        for answer in ["HTTP/1.1 100 Continue", "HTTP/1.1 101 Switching Protocols"] {
            let mut heads = heads();
            heads.hear(b"GET / HTTP/1.1\n\n");
            heads.say(answer.as_bytes());
            heads.hear(b"x");
            assert!(!is_given_up(&mut heads).await, "{answer}");
        }
    }

    #[tokio::test]
    async fn the_end_of_a_head_is_seen_in_whatever_pieces_it_comes() {
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
