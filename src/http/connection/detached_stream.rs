//! A stream that has left hyper: writes chunks to the socket until the stream, the client or the server ends it.
//!
//! In the flow: between the [encoder](crate::http::streams::encoder) and the socket with its deadlines.
//!
//! **Invariant:** a chunk is taken only when all earlier ones have been written, so nothing is queued for a slow client.
//! **Invariant:** the connection ends with the stream. Further requests on it are discarded.
//! **Invariant:** at most [`MAX_INPUT`] bytes of input are read, so a client cannot keep the server busy with it.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream::BoxStream};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    lingering_close::LingeringClose, response_head::BodyFraming, write_deadline::Deadlined,
};

/// Maximum input to discard, in bytes. After it, the client's FIN is not noticed, but a failed write is.
const MAX_INPUT: usize = 64 << 10;

/// The response that a stream begins with, and its rest.
pub(super) struct StreamResponse {
    /// The encoded head.
    pub head: Vec<u8>,
    pub framing: BodyFraming,
    pub chunks: BoxStream<'static, Bytes>,
}

/// Writes a stream to its connection.
pub(super) struct DetachedStream {
    connection: Deadlined<LingeringClose>,
    chunks: BoxStream<'static, Bytes>,
    framing: BodyFraming,
    /// The bytes to write, and how many of them are written. At first the head, for the same packet as the first chunk.
    buffer: Vec<u8>,
    written: usize,
    is_writing: bool,
    has_ended: bool,
    /// How many bytes of input may still be read.
    input: usize,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl DetachedStream {
    /// Continues `response` on its connection, until `cut`.
    pub fn new(
        mut connection: Deadlined<LingeringClose>,
        response: StreamResponse,
        cut: CancellationToken,
    ) -> Self {
        connection.expect_no_request();
        Self {
            connection,
            chunks: response.chunks,
            framing: response.framing,
            buffer: response.head,
            written: 0,
            is_writing: false,
            has_ended: false,
            input: MAX_INPUT,
            cut: Box::pin(cut.cancelled_owned()),
        }
    }

    /// Writes until the stream or the connection ends.
    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.is_writing {
                match self.chunks.poll_next_unpin(cx) {
                    Poll::Ready(chunk) => self.append(chunk),
                    Poll::Pending if self.buffer.is_empty() => return self.poll_input(cx),
                    Poll::Pending => {}
                }
                self.is_writing = true;
            }
            ready!(self.poll_write(cx))?;
            self.is_writing = false;
            if self.has_ended {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn append(&mut self, chunk: Option<Bytes>) {
        if let Some(chunk) = chunk {
            self.framing.chunk(&chunk, &mut self.buffer);
        } else {
            self.framing.end(&mut self.buffer);
            self.has_ended = true;
        }
    }

    /// Writes the buffer, and releases its memory.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut connection = Pin::new(&mut self.connection);
        while self.written < self.buffer.len() {
            let rest = &self.buffer[self.written..];
            match ready!(connection.as_mut().poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        ready!(connection.poll_flush(cx))?;
        self.written = 0;
        drop(mem::take(&mut self.buffer));
        Poll::Ready(Ok(()))
    }

    /// Discards input. Ready when the client has closed the connection.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; 512];
        while self.input > 0 {
            let mut input = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.connection).poll_read(cx, &mut input))?;
            match input.filled().len() {
                0 => return Poll::Ready(Ok(())),
                count => self.input = self.input.saturating_sub(count),
            }
        }
        Poll::Pending
    }
}

impl Future for DetachedStream {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.cut.poll_unpin(cx).is_ready() {
            return Poll::Ready(());
        }
        // An error is the end of the connection, which the client or a deadline has caused.
        this.poll_stream(cx).map(|_| ())
    }
}
