//! The first bytes of a connection: HTTP/1, and soon.
//!
//! In the flow: between the socket and the HTTP server, which tells HTTP/2 from HTTP/1 by the first bytes and waits for
//! them without a limit. HTTP/2 is not served: a peer could hold a stream there by its windows for as long as it likes,
//! which no deadline of the socket would notice.
//!
//! **Invariant:** a connection that does not begin a request within the limit is given up.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

/// How every HTTP/2 connection begins (RFC 9113, section 3.4), and no request of HTTP/1.
const HTTP2: &[u8] = b"PRI ";

/// A connection that has not told yet what it speaks.
#[derive(Debug)]
pub(in crate::http) struct FirstBytes {
    /// How many bytes have come, all of them as in HTTP/2.
    seen: usize,
    deadline: Pin<Box<Sleep>>,
}

impl FirstBytes {
    /// Gives the peer so long.
    pub fn within(limit: Duration) -> Self {
        Self {
            seen: 0,
            deadline: Box::pin(sleep(limit)),
        }
    }

    /// Fails when the peer has been waited for long enough.
    pub fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let up = self.deadline.as_mut().poll(cx);
        up.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Takes the next bytes, and tells whether enough have come to know the protocol.
    ///
    /// # Errors
    /// When it is HTTP/2.
    pub fn hear(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let rest = &HTTP2[self.seen..];
        let heard = bytes.len().min(rest.len());
        if heard == 0 || bytes[..heard] != rest[..heard] {
            return Ok(true);
        }
        self.seen += heard;
        if self.seen == HTTP2.len() {
            return Err(io::Error::other("HTTP/2 is not served"));
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(pieces: &[&[u8]]) -> Option<bool> {
        let mut first_bytes = FirstBytes::within(Duration::ZERO);
        let mut is_over = Some(false);
        for piece in pieces {
            is_over = first_bytes.hear(piece).ok();
        }
        is_over
    }

    #[tokio::test]
    async fn http_2_is_known_in_whatever_pieces_it_comes_and_nothing_else_is_taken_for_it() {
        for pieces in [
            &[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..]][..],
            &[b"P", b"R", b"I", b" "],
            &[b"PRI", b" * "],
        ] {
            assert_eq!(hear(pieces), None, "{pieces:?}");
        }
        for pieces in [
            &[&b"GET / HTTP/1.1"[..]][..],
            &[b"P", b"OST /"],
            &[b"PR", b"IX"],
            &[b""],
            &[b"PRI", b""],
        ] {
            assert_eq!(hear(pieces), Some(true), "{pieces:?}");
        }
        for pieces in [&[&b"P"[..]][..], &[b"P", b"RI"], &[]] {
            assert_eq!(hear(pieces), Some(false), "{pieces:?}");
        }
    }
}
