//! A connection that gives up a peer which does not read.
//!
//! In the flow: below every transport, around the socket itself, because only there a write that waits is seen: a
//! response's body is not even asked for more while its connection has no room.
//!
//! **Invariant:** a write, flush or shutdown that makes no progress for the limit fails, and with it the connection.
//! A peer that reads slowly but reads is not given up.
//! **Invariant:** a peer that connects and says nothing is given up as well; see [`opening`](super::opening).
//! **Invariant:** a peer that vanished without a word is given up soon after something was sent to it.

use std::{
    future::{Future as _, Ready, ready},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum_server::accept::Accept;
use metrics::counter;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};

use super::opening::Opening;

/// How many limits long a peer may leave what it was sent unacknowledged.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: u32 = 3;

/// Accepts connections whose writes have a deadline.
#[derive(Debug, Clone)]
pub struct WriteDeadline {
    limit: Duration,
    /// How long a peer may take until it says something.
    opening: Option<Duration>,
    /// One for each connection that there may be.
    places: Arc<Semaphore>,
}

impl WriteDeadline {
    /// Gives up peers that read nothing for `limit` while there is something to read.
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            opening: None,
            places: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        }
    }

    /// Gives up peers that do not begin to speak HTTP/1 within `limit`.
    #[must_use]
    pub fn opening_within(self, limit: Duration) -> Self {
        Self {
            opening: Some(limit),
            ..self
        }
    }

    /// Hangs up on whoever connects while there are `count` connections.
    #[must_use]
    pub fn at_most(self, count: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))),
            ..self
        }
    }
}

impl<S> Accept<TcpStream, S> for WriteDeadline {
    type Stream = Deadlined<TcpStream>;
    type Service = S;
    type Future = Ready<io::Result<(Self::Stream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let (limit, opening) = (self.limit, self.opening);
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            counter!("library_sync_connections_refused_total").increment(1);
            return ready(Err(io::Error::other("too many connections")));
        };
        let tuned = tune(&stream, limit).map(|()| Deadlined {
            stream,
            limit,
            deadline: None,
            opening: opening.map(Opening::within),
            _place: Some(place),
        });
        ready(tuned.map(|stream| (stream, service)))
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
pub struct Deadlined<S> {
    stream: S,
    limit: Duration,
    /// Until when a write that waits may go on waiting. Made anew by every wait, and none while nothing waits.
    deadline: Option<Pin<Box<Sleep>>>,
    /// None once the peer has told what it speaks.
    opening: Option<Opening>,
    /// Its place among the connections that there may be.
    _place: Option<OwnedSemaphorePermit>,
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
        let limit = self.limit;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(limit)));
        deadline.as_mut().poll(cx).map(|()| {
            tracing::debug!("a connection is dropped: its peer does not read");
            Err(io::ErrorKind::TimedOut.into())
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Deadlined<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let Some(opening) = &mut self.opening else {
            return polled;
        };
        if polled.is_pending() {
            return opening.wait(cx);
        }
        if opening.hear(&buffer.filled()[before..])? {
            self.opening = None;
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
        self.polled(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.polled(cx, |stream, cx| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.polled(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.polled(cx, AsyncWrite::poll_shutdown)
    }
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
            limit: LIMIT,
            deadline: None,
            opening: None,
            _place: None,
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
        let (written, ()) = tokio::join!(connection.write_all(&[0; 80]), reader);
        written.unwrap();
        assert!(began.elapsed() > LIMIT);
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
                opening: Some(Opening::within(LIMIT)),
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
        let (accepted, ()) = WriteDeadline::new(LIMIT).accept(stream, ()).await.unwrap();
        let socket = socket2::SockRef::from(&accepted.stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(3 * LIMIT));
        assert!(accepted.stream.nodelay().unwrap());
    }
}
