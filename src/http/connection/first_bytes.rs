//! The deadline of the first bytes of a connection, which must be HTTP/1.
//!
//! In the flow: between the socket and the HTTP server. HTTP/2 is not supported. With its flow control, a peer could
//! hold a stream open indefinitely, and no deadline of the socket would detect that.
//!
//! **Invariant:** a connection that does not begin a request within the limit is closed.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

/// The start of the HTTP/2 connection preface (RFC 9113, section 3.4). No HTTP/1 request starts with it.
const HTTP2: &[u8] = b"PRI ";

/// The first bytes of a connection whose protocol is not known yet.
#[derive(Debug)]
pub(in crate::http) struct FirstBytes {
    /// Number of bytes received. All of them match the preface.
    seen: usize,
    deadline: Pin<Box<Sleep>>,
}

impl FirstBytes {
    /// Starts the deadline.
    pub fn within(limit: Duration) -> Self {
        Self {
            seen: 0,
            deadline: Box::pin(sleep(limit)),
        }
    }

    /// Fails at the deadline.
    pub fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let up = self.deadline.as_mut().poll(cx);
        up.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Takes the next bytes. Returns whether they identify HTTP/1.
    ///
    /// # Errors
    /// When the bytes complete the start of the HTTP/2 preface.
    pub fn hear(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let rest = &HTTP2[self.seen..];
        let heard = bytes.len().min(rest.len());
        if heard == 0 || bytes[..heard] != rest[..heard] {
            return Ok(true);
        }
        self.seen += heard;
        if self.seen == HTTP2.len() {
            return Err(io::Error::other("HTTP/2 is not supported"));
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
    async fn http_2_is_detected_in_pieces_of_any_size() {
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
