//! Lingering close: sends FIN, then discards input for a short time before it closes the socket.
//!
//! In the flow: the socket itself. Closing a socket with unread input sends RST. On RST the peer discards responses
//! that it has not read yet, such as a 413 or a close code. So the server reads and discards the rest of the input
//! first.
//!
//! **Invariant:** FIN is sent at once, and input is discarded for at most [`LINGER_TIMEOUT`].
//! **Invariant:** an evicted connection is closed at once, without a lingering close.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    runtime::Handle,
    time::timeout,
};

use super::connection_slots::Slot;

/// Maximum time between FIN and the close of the socket.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection and its slot.
#[derive(Debug)]
pub(in crate::http) struct LingeringClose {
    /// `None` after the drop has begun.
    open: Option<(TcpStream, Slot)>,
    /// Whether the peer has sent FIN, the connection is broken, or the slot was evicted.
    has_ended: bool,
    /// Whether the last write is blocked because the peer does not read.
    is_blocked: bool,
}

impl LingeringClose {
    /// Takes over a connection and its slot.
    pub(in crate::http) fn new(stream: TcpStream, slot: Slot) -> Self {
        Self {
            open: Some((stream, slot)),
            has_ended: false,
            is_blocked: false,
        }
    }

    #[cfg(test)]
    pub(in crate::http) fn stream(&self) -> Option<&TcpStream> {
        self.open.as_ref().map(|(stream, _)| stream)
    }

    fn polled<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Some((stream, slot)) = &mut self.open else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if slot.is_evicted(cx) {
            self.has_ended = true;
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let polled = poll(Pin::new(stream), cx);
        if let Poll::Ready(Err(_)) = polled {
            self.has_ended = true;
        }
        polled
    }
}

impl Drop for LingeringClose {
    fn drop(&mut self) {
        let Some((stream, mut slot)) = self.open.take() else {
            return;
        };
        // A peer that does not read would not read the last response either.
        if self.has_ended || self.is_blocked {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                tokio::select! {
                    _ = timeout(LINGER_TIMEOUT, drain(stream)) => {}
                    () = slot.evicted() => {}
                }
            });
        }
    }
}

/// Sends FIN, and discards input until the peer's FIN.
async fn drain(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    loop {
        stream.readable().await?;
        match stream.try_read(&mut [0; 4 << 10]) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
}

impl AsyncRead for LingeringClose {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = self.polled(cx, |stream, cx| stream.poll_read(cx, buffer));
        let is_end = polled.is_ready() && buffer.filled().len() == before;
        self.has_ended |= is_end && buffer.remaining() > 0;
        polled
    }
}

impl AsyncWrite for LingeringClose {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.polled(cx, |stream, cx| stream.poll_write(cx, bytes));
        self.is_blocked = polled.is_pending();
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.polled(cx, |stream, cx| stream.poll_write_vectored(cx, slices));
        self.is_blocked = polled.is_pending();
        polled
    }

    fn is_write_vectored(&self) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|(stream, _)| stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.polled(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.polled(cx, AsyncWrite::poll_shutdown)
    }
}
