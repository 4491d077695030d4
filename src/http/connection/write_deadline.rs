//! Deadlines of a connection: closes it when its peer does not read, does not send, or is unreachable.
//!
//! In the flow: around the socket, below every transport. Only there a blocked write is visible, because hyper does not
//! poll a response body while the send buffer is full.
//!
//! **Invariant:** a write, flush or shutdown without progress for the limit fails, and the connection is closed.
//! **Invariant:** a slow reader is not closed while it reads at least [`MIN_RATE`] on average, beyond the limit. So the
//! length of a response bounds the time to write it.
//! **Invariant:** a connection whose peer sends no request, or an incomplete head, is closed; see
//! [`first_bytes`](super::first_bytes) and [`request_head`](super::request_head).
//! **Invariant:** on Linux, a connection is closed when written bytes stay unacknowledged for `UNACKNOWLEDGED` limits.
//! **Invariant:** a client that half-closes the connection after its request gets its response, if the response begins
//! within [`HALF_CLOSED`]. A client that has left sends the same FIN, so its operation ends after that time.

use std::{
    borrow::Cow,
    future::Future as _,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    connection_slots::Slot, first_bytes::FirstBytes, lingering_close::LingeringClose,
    request_head::RequestHeads,
};

/// Minimum average read rate of a peer with a blocked write, in bytes per second.
const MIN_RATE: u32 = 4 << 10;

/// Maximum time without an acknowledgement, as a multiple of the write limit.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: u32 = 3;

/// Maximum time from a client's FIN to the beginning of its response. The operation of a client that has left must end
/// within a second.
const HALF_CLOSED: Duration = Duration::from_millis(500);

/// The deadlines that apply to each connection.
#[derive(Debug, Clone)]
pub(in crate::http) struct WriteDeadline {
    limit: Duration,
    /// Maximum time until the first bytes, and for a request head that has begun. `None` means no limit.
    heads: Option<Duration>,
}

impl WriteDeadline {
    /// Closes a connection whose peer reads nothing during a write for `limit`.
    pub fn new(limit: Duration) -> Self {
        Self { limit, heads: None }
    }

    /// Also closes a connection whose first bytes, or the rest of a request head, take longer than `limit`.
    #[must_use]
    pub fn heads_within(self, limit: Duration) -> Self {
        Self {
            heads: Some(limit),
            ..self
        }
    }

    /// Takes over a connection. It holds `slot` until it is closed.
    ///
    /// # Errors
    /// When the socket options cannot be set, for example because the connection is broken.
    pub fn guard(&self, stream: TcpStream, slot: Slot) -> io::Result<Deadlined<LingeringClose>> {
        let (limit, heads) = (self.limit, self.heads);
        tune(&stream, limit)?;
        Ok(Deadlined {
            stream: LingeringClose::new(stream, slot),
            pace: ReadingPace {
                limit,
                slowest: MIN_RATE,
            },
            behind: None,
            deadline: None,
            first_bytes: heads.map(FirstBytes::within),
            heads: heads.map(RequestHeads::within),
            half_closed: None,
            is_blocked: Arc::default(),
        })
    }
}

fn tune(stream: &TcpStream, limit: Duration) -> io::Result<()> {
    // Notices are small and urgent, so Nagle's algorithm must not delay them.
    stream.set_nodelay(true)?;
    // Writes to an unreachable peer succeed until the send buffer is full. The system's default timeout for missing
    // acknowledgements is about 15 minutes.
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED * limit))?;
    Ok(())
}

/// A connection whose writes have a deadline.
#[derive(Debug)]
pub(in crate::http) struct Deadlined<S> {
    stream: S,
    pace: ReadingPace,
    /// The progress of a peer with a blocked write. `None` while no write is blocked.
    behind: Option<Behind>,
    /// The deadline of a blocked write.
    deadline: Option<Pin<Box<Sleep>>>,
    /// `None` after the protocol is known.
    first_bytes: Option<FirstBytes>,
    /// The tracker of request heads, if they have a limit.
    heads: Option<RequestHeads>,
    /// The timeout that starts at the client's FIN.
    half_closed: Option<Pin<Box<Sleep>>>,
    /// Whether bytes wait for the peer to read.
    is_blocked: Arc<AtomicBool>,
}

/// The minimum read rate of a peer.
#[derive(Debug, Clone, Copy)]
struct ReadingPace {
    /// Maximum time without any progress.
    limit: Duration,
    /// Minimum average rate after that time, in bytes per second.
    slowest: u32,
}

/// The progress of a peer with a blocked write.
#[derive(Debug, Clone, Copy)]
struct Behind {
    since: Instant,
    taken: u64,
}

impl ReadingPace {
    /// Returns the time by which the peer must read more.
    fn due(self, behind: Behind) -> Instant {
        let millis = behind.taken.saturating_mul(1_000) / u64::from(self.slowest);
        behind.since + self.limit + Duration::from_millis(millis)
    }
}

impl<S> Deadlined<S> {
    /// Returns a view of whether bytes wait for the peer to read: from a blocked write until the next flush. hyper flushes
    /// after it has written everything.
    pub fn is_blocked(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_blocked)
    }

    /// Removes the deadlines of requests, because no request follows.
    pub fn expect_no_request(&mut self) {
        self.first_bytes = None;
        self.heads = None;
        self.half_closed = None;
    }
}

impl<S: Unpin> Deadlined<S> {
    fn polled<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let polled = poll(Pin::new(&mut self.stream), cx);
        if polled.is_ready() {
            self.deadline = None;
            return polled;
        }
        self.is_blocked.store(true, Ordering::Relaxed);
        let (pace, now) = (self.pace, Instant::now());
        let behind = *self.behind.get_or_insert(Behind {
            since: now,
            taken: 0,
        });
        let until = pace.due(behind).min(now + pace.limit);
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        deadline.as_mut().poll(cx).map(|()| {
            tracing::debug!("connection closed: the peer does not read");
            Err(io::ErrorKind::TimedOut.into())
        })
    }

    /// Withholds the client's FIN from hyper, because hyper drops the response when its input ends.
    fn hold_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_writing = self.behind.is_some();
        let heads = self.heads.as_ref();
        if !heads.is_some_and(|heads| heads.has_response(is_writing)) {
            return Poll::Ready(());
        }
        if is_writing {
            // The write deadline applies. hyper polls again when the write makes progress.
            return Poll::Pending;
        }
        let timeout = || Box::pin(tokio::time::sleep(HALF_CLOSED));
        self.half_closed
            .get_or_insert_with(timeout)
            .as_mut()
            .poll(cx)
    }

    /// Counts the bytes written since the first blocked write.
    fn taken(&mut self, polled: &Poll<io::Result<usize>>) {
        if let (Some(behind), Poll::Ready(Ok(bytes))) = (&mut self.behind, polled) {
            behind.taken += u64::try_from(*bytes).unwrap_or(u64::MAX);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Deadlined<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let this = &mut *self;
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if polled.is_pending() {
            if let Some(first_bytes) = &mut this.first_bytes {
                return first_bytes.wait(cx);
            }
            return this.heads.as_mut().map_or(polled, |heads| heads.wait(cx));
        }
        let heard = &buffer.filled()[before..];
        if heard.is_empty() && buffer.remaining() > 0 && matches!(polled, Poll::Ready(Ok(()))) {
            ready!(this.hold_end(cx));
        }
        if let Some(first_bytes) = &mut this.first_bytes
            && first_bytes.hear(heard)?
        {
            this.first_bytes = None;
        }
        if let Some(heads) = &mut this.heads {
            heads.hear(heard);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Deadlined<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let is_upgrade = self.heads.as_mut().is_some_and(|heads| heads.say(bytes));
        let bytes = if is_upgrade {
            with_names_of_rfc_6455(bytes)
        } else {
            Cow::Borrowed(bytes)
        };
        let polled = self.polled(cx, |stream, cx| stream.poll_write(cx, &bytes));
        self.taken(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let (Some(heads), Some(first)) = (&mut self.heads, slices.first())
            && heads.say(first)
        {
            let first = with_names_of_rfc_6455(first);
            let polled = self.polled(cx, |stream, cx| stream.poll_write(cx, &first));
            self.taken(&polled);
            return polled;
        }
        let polled = self.polled(cx, |stream, cx| stream.poll_write_vectored(cx, slices));
        self.taken(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes after it has written everything, so no write is blocked.
        self.behind = None;
        self.is_blocked.store(false, Ordering::Relaxed);
        self.polled(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.polled(cx, AsyncWrite::poll_shutdown)
    }
}

/// Rewrites the header names of an upgrade response in the case of RFC 6455. Names are case-insensitive, but Python's
/// gql 4 looks up `Sec-WebSocket-Protocol` with case, and uses an older protocol without it. hyper 1.12 writes lower case
/// or `Sec-Websocket-`. No issue is filed. Delete this function when hyper keeps the case of names. A head whose first
/// write is partial keeps hyper's case.
fn with_names_of_rfc_6455(head: &[u8]) -> Cow<'_, [u8]> {
    const HYPER: &[u8] = b"Sec-Websocket-";
    let mut head = head.to_vec();
    let mut from = 0;
    while let Some(at) = head[from..]
        .windows(HYPER.len())
        .position(|name| name == HYPER)
    {
        from += at + HYPER.len();
        head[from - HYPER.len()..from].copy_from_slice(b"Sec-WebSocket-");
    }
    Cow::Owned(head)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        time::{Instant, timeout},
    };

    use super::*;
    use crate::http::connection::connection_slots::{ConnectionSlots, SlotLimits};

    const LIMIT: Duration = Duration::from_millis(50);

    fn connection() -> (Deadlined<DuplexStream>, DuplexStream) {
        let (stream, peer) = duplex(8);
        let deadlined = Deadlined {
            stream,
            pace: ReadingPace {
                limit: LIMIT,
                slowest: 200,
            },
            behind: None,
            deadline: None,
            first_bytes: None,
            heads: None,
            half_closed: None,
            is_blocked: Arc::default(),
        };
        (deadlined, peer)
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_closed_after_the_limit() {
        let (mut connection, _peer) = connection();
        let began = Instant::now();
        let error = connection.write_all(&[0; 9]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= LIMIT);
    }

    #[tokio::test]
    async fn a_slow_reader_is_not_closed() {
        let (mut connection, mut peer) = connection();
        let began = Instant::now();
        let reader = async {
            for _ in 0..10 {
                let late = Instant::now() + LIMIT / 5;
                tokio::time::sleep_until(late).await;
                peer.read_exact(&mut [0; 8]).await.unwrap();
            }
        };
        let writer = async { connection.write_all(&[0; 80]).await.unwrap() };
        tokio::join!(writer, reader);
        assert!(began.elapsed() > LIMIT);
    }

    #[tokio::test]
    async fn a_reader_below_the_minimum_rate_is_closed() {
        let (mut connection, mut peer) = connection();
        connection.pace = ReadingPace {
            limit: 10 * LIMIT,
            slowest: 1_000_000,
        };
        let reader = async {
            loop {
                let late = Instant::now() + LIMIT / 5;
                tokio::time::sleep_until(late).await;
                peer.read_u8().await.unwrap();
            }
        };
        let error = tokio::select! {
            written = connection.write_all(&[0; 300]) => written.unwrap_err(),
            () = reader => unreachable!(),
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn progress_extends_the_deadline() {
        let pace = ReadingPace {
            limit: Duration::from_secs(10),
            slowest: MIN_RATE,
        };
        let since = Instant::now();
        for (taken, seconds) in [(0, 10), (4 << 10, 11), (4 << 20, 1034)] {
            let due = pace.due(Behind { since, taken });
            assert_eq!(due - since, Duration::from_secs(seconds));
        }
    }

    #[tokio::test]
    async fn a_connection_with_nothing_to_write_has_no_deadline() {
        let (mut connection, mut peer) = connection();
        connection.write_all(&[0; 8]).await.unwrap();
        let waited = timeout(2 * LIMIT, connection.read_u8()).await;
        assert!(waited.is_err(), "reading goes on");
        peer.read_exact(&mut [0; 8]).await.unwrap();
        connection.write_all(&[0; 8]).await.unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_sends_nothing_is_closed() {
        for (said, is_closed) in [(&b""[..], true), (b"PR", true), (b"GE", false)] {
            let (connection, mut peer) = connection();
            let mut connection = Deadlined {
                first_bytes: Some(FirstBytes::within(LIMIT)),
                ..connection
            };
            peer.write_all(said).await.unwrap();
            let mut heard = vec![0; said.len()];
            connection.read_exact(&mut heard).await.unwrap();
            let more = timeout(4 * LIMIT, connection.read_u8()).await;
            let has_closed =
                matches!(more, Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut);
            assert_eq!(has_closed, is_closed, "{said:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_system_closes_a_peer_that_acknowledges_nothing() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (stream, _) = listener.accept().await.unwrap();
        let slots = ConnectionSlots::new(SlotLimits {
            total: 1,
            per_address: 0,
        });
        let slot = slots.take([127, 0, 0, 1].into()).unwrap();
        let accepted = WriteDeadline::new(LIMIT).guard(stream, slot).unwrap();
        let stream = accepted.stream.stream().unwrap();
        let socket = socket2::SockRef::from(stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(3 * LIMIT));
        assert!(stream.nodelay().unwrap());
    }
}
