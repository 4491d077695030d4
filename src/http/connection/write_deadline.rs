//! A connection that gives up a peer which does not read.
//!
//! In the flow: below every transport, around the socket itself, because only there a write that waits is seen: a
//! response's body is not even asked for more while its connection has no room.
//!
//! **Invariant:** a write, flush or shutdown that makes no progress for the limit fails, and with it the connection.
//! **Invariant:** a peer that reads slowly but reads is not given up, as long as it takes [`SLOWEST`] bytes a second on
//! average, beyond the limit. So an answer is held for no longer than its length allows.
//! **Invariant:** a peer that connects and says nothing, or begins a request and does not go on, is given up as well; see
//! [`opening`](super::first_bytes) and [`head`](super::request_head).
//! **Invariant:** a peer that vanished without a word is given up soon after something was sent to it.

use std::{
    borrow::Cow,
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep_until},
};

use super::{first_bytes::FirstBytes, lingering_close::LingeringClose, request_head::RequestHeads};

/// How many bytes a second a peer must take that has fallen behind.
const SLOWEST: u32 = 4 << 10;

/// How many limits long a peer may leave what it was sent unacknowledged.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: u32 = 3;

/// Gives connections their deadlines.
#[derive(Debug, Clone)]
pub(in crate::http) struct WriteDeadline {
    limit: Duration,
    /// How long a peer may take until it speaks, and for the head of a request.
    heads: Option<Duration>,
}

impl WriteDeadline {
    /// Gives up peers that read nothing for `limit` while there is something to read.
    pub fn new(limit: Duration) -> Self {
        Self { limit, heads: None }
    }

    /// Gives up peers that do not begin to speak HTTP/1 within `limit`, or do not end the head of a request within it.
    #[must_use]
    pub fn heads_within(self, limit: Duration) -> Self {
        Self {
            heads: Some(limit),
            ..self
        }
    }

    /// Takes over a connection that holds `place` until it has ended.
    ///
    /// # Errors
    /// When the connection broke meanwhile.
    pub fn guard(
        &self,
        stream: TcpStream,
        place: OwnedSemaphorePermit,
    ) -> io::Result<Deadlined<LingeringClose>> {
        let (limit, heads) = (self.limit, self.heads);
        tune(&stream, limit)?;
        Ok(Deadlined {
            stream: LingeringClose::new(stream, place),
            pace: ReadingPace {
                limit,
                slowest: SLOWEST,
            },
            behind: None,
            deadline: None,
            first_bytes: heads.map(FirstBytes::within),
            heads: heads.map(RequestHeads::within),
        })
    }
}

fn tune(stream: &TcpStream, limit: Duration) -> io::Result<()> {
    // What is pushed is small and urgent: it is not to wait until there is more to send.
    stream.set_nodelay(true)?;
    // A peer that vanished leaves room to write for long, and is noticed only by what it does not acknowledge. By
    // default that takes a quarter of an hour; a phone in a tunnel gets a little more than one that does not read.
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED * limit))?;
    Ok(())
}

/// A connection whose writes have a deadline.
#[derive(Debug)]
pub(in crate::http) struct Deadlined<S> {
    stream: S,
    pace: ReadingPace,
    /// Since when what was to be written has not all been taken. None while the peer keeps up.
    behind: Option<Behind>,
    /// Until when a write that waits may go on waiting. Made anew by every wait, and none while nothing waits.
    deadline: Option<Pin<Box<Sleep>>>,
    /// None once the peer has told what it speaks.
    first_bytes: Option<FirstBytes>,
    /// Follows the heads of requests, if those have a limit.
    heads: Option<RequestHeads>,
}

/// How slowly a peer may read.
#[derive(Debug, Clone, Copy)]
struct ReadingPace {
    /// For how long it may take nothing.
    limit: Duration,
    /// How many bytes it must take in each second beyond that, on average.
    slowest: u32,
}

/// A peer that has fallen behind.
#[derive(Debug, Clone, Copy)]
struct Behind {
    since: Instant,
    taken: u64,
}

impl ReadingPace {
    /// Until when a peer may have taken no more than it has.
    fn due(self, behind: Behind) -> Instant {
        let millis = behind.taken.saturating_mul(1_000) / u64::from(self.slowest);
        behind.since + self.limit + Duration::from_millis(millis)
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
            tracing::debug!("a connection is dropped: its peer does not read");
            Err(io::ErrorKind::TimedOut.into())
        })
    }

    /// Counts what the peer has taken since it fell behind.
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
        // Asked for when everything has been written.
        self.behind = None;
        self.polled(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.polled(cx, AsyncWrite::poll_shutdown)
    }
}

/// The head of an upgrade with its names in the case of RFC 6455. Names have no case, but Python's gql 4 reads
/// `Sec-WebSocket-Protocol` from a dictionary, and speaks an older protocol when it is not there. hyper 1.12 writes
/// lower case or `Sec-Websocket-`; this can go when it writes names as given. A head that finds no room at once, because
/// what was answered before is unread, keeps hyper's letters.
fn with_names_of_rfc_6455(head: &[u8]) -> Cow<'_, [u8]> {
    const HYPERS: &[u8] = b"Sec-Websocket-";
    let mut head = head.to_vec();
    let mut from = 0;
    while let Some(at) = head[from..]
        .windows(HYPERS.len())
        .position(|name| name == HYPERS)
    {
        from += at + HYPERS.len();
        head[from - HYPERS.len()..from].copy_from_slice(b"Sec-WebSocket-");
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
        };
        (deadlined, peer)
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_given_up_after_the_limit() {
        let (mut connection, _peer) = connection();
        let began = Instant::now();
        let error = connection.write_all(&[0; 9]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= LIMIT);
    }

    #[tokio::test]
    async fn a_peer_that_reads_slowly_is_not_given_up() {
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
    async fn a_peer_that_reads_a_byte_now_and_then_is_given_up_however_long_it_goes_on() {
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
    fn what_a_peer_has_taken_earns_it_time() {
        let pace = ReadingPace {
            limit: Duration::from_secs(10),
            slowest: SLOWEST,
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
    async fn a_peer_that_says_nothing_is_given_up_and_one_that_spoke_is_not() {
        for (said, is_given_up) in [(&b""[..], true), (b"PR", true), (b"GE", false)] {
            let (connection, mut peer) = connection();
            let mut connection = Deadlined {
                first_bytes: Some(FirstBytes::within(LIMIT)),
                ..connection
            };
            peer.write_all(said).await.unwrap();
            let mut heard = vec![0; said.len()];
            connection.read_exact(&mut heard).await.unwrap();
            let more = timeout(4 * LIMIT, connection.read_u8()).await;
            let gave_up = matches!(more, Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut);
            assert_eq!(gave_up, is_given_up, "{said:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_peer_that_acknowledges_nothing_is_given_up_by_the_system() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (stream, _) = listener.accept().await.unwrap();
        let places = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
        let place = places.try_acquire_owned().unwrap();
        let accepted = WriteDeadline::new(LIMIT).guard(stream, place).unwrap();
        let stream = accepted.stream.stream().unwrap();
        let socket = socket2::SockRef::from(stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(3 * LIMIT));
        assert!(stream.nodelay().unwrap());
    }
}
