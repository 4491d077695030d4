//! The accept loop: accepts connections, serves them, and drains them at a stop.
//!
//! In the flow: above the socket with its deadlines, below the routes. Only HTTP/1.1 is supported; see
//! [`first_bytes`](super::first_bytes).
//!
//! **Invariant:** an accept that fails ends nothing: it is counted and logged, and the next one is tried.
//! **Invariant:** whoever connects while all places are taken can still ask for the health of the node, until
//! [`RESERVE`] others do; everything else is answered 503 there, and the connection closed.
//! **Invariant:** once told to drain, only who has connected already is accepted, requests under way are finished, and all connections have
//! ended when the grace is over.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use futures_util::FutureExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::counter;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service as _;

use super::{
    lingering_close::LingeringClose,
    write_deadline::{Deadlined, WriteDeadline},
};

/// How many may ask for the health of a node whose places are all taken, at once.
const RESERVE: usize = 16;

/// Maximum time of a request head on those.
const RESERVE_PATIENCE: Duration = Duration::from_secs(2);

/// Maximum request head, in bytes; a longer one gets 431. Also the maximum of unwritten bytes.
const MAX_HEAD: usize = 128 << 10;

/// Pause after an accept that failed for lack of a resource, such as open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often accepts that fail are logged.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// What connections may do and how long they may take.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// How many there may be.
    pub connections: usize,
    /// How long a client may leave unread what it was sent.
    pub write_timeout: Duration,
    /// Maximum time to the first bytes, and for a request head.
    pub header_timeout: Duration,
    /// Maximum idle time between requests.
    pub idle_timeout: Duration,
}

/// When to stop.
#[derive(Debug, Clone)]
pub struct Stop {
    /// Cancelled when the loop must stop accepting.
    pub drain: CancellationToken,
    /// Maximum time to finish running requests after that.
    pub grace: Duration,
}

/// Serves `routes` on what `listener` accepts, and `reserve` to those for whom there is no place. Returns when told to
/// stop and all connections have ended.
///
/// # Errors
/// When the listener is not usable.
pub async fn serve(
    listener: std::net::TcpListener,
    routes: Router,
    reserve: Option<Router>,
    limits: ConnectionLimits,
    stop: Stop,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let server = Server {
        places: Kind::new(routes, limits.connections, &limits),
        reserve: reserve.map(|routes| {
            Kind::new(
                routes,
                RESERVE,
                &ConnectionLimits {
                    header_timeout: limits.header_timeout.min(RESERVE_PATIENCE),
                    ..limits.clone()
                },
            )
        }),
        stop,
        cut: CancellationToken::new(),
        connections: TaskTracker::new(),
    };
    server.accept(|| listener.accept()).await;
    // The system now refuses connections, so clients connect to another node.
    drop(listener);
    server.finish().await;
    Ok(())
}

struct Server {
    places: Kind,
    reserve: Option<Kind>,
    stop: Stop,
    /// Cancelled when the grace is over.
    cut: CancellationToken,
    connections: TaskTracker,
}

/// State shared by the connections of a kind.
struct Kind {
    routes: Router,
    http: http1::Builder,
    deadlines: WriteDeadline,
    places: Arc<Semaphore>,
}

impl Kind {
    fn new(routes: Router, places: usize, limits: &ConnectionLimits) -> Self {
        let mut http = http1::Builder::new();
        // hyper's timer runs from a response to the end of the next head, so it limits the idle time. The socket limits
        // a head that has begun.
        http.timer(TokioTimer::new())
            .header_read_timeout(limits.idle_timeout)
            .max_buf_size(MAX_HEAD)
            // Names are case-insensitive (RFC 9110, section 5.1), but some clients compare with this case.
            .title_case_headers(true);
        Self {
            routes,
            http,
            deadlines: WriteDeadline::new(limits.write_timeout).heads_within(limits.header_timeout),
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
        }
    }

    fn place(&self) -> Option<(&Self, OwnedSemaphorePermit)> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.ok().map(|place| (self, place))
    }
}

impl Server {
    /// Accepts until told to stop.
    async fn accept<F>(&self, mut accept: impl FnMut() -> F)
    where
        F: Future<Output = io::Result<(TcpStream, SocketAddr)>>,
    {
        let mut failures = Failures::default();
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.drain.cancelled() => break,
                accepted = accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.begin(stream, peer),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    failures.report(&error);
                    let _ = timeout(ACCEPT_PAUSE, self.stop.drain.cancelled()).await;
                }
            }
        }
        // Closing the listener would reset the connections in the backlog, so they are accepted first.
        while let Some(Ok((stream, peer))) = accept().now_or_never() {
            self.begin(stream, peer);
        }
    }

    fn begin(&self, stream: TcpStream, peer: SocketAddr) {
        let reserve = || self.reserve.as_ref().and_then(Kind::place);
        let place = self.places.place().or_else(|| {
            counter!("library_sync_connections_refused_total").increment(1);
            reserve()
        });
        let Some((kind, place)) = place else {
            return;
        };
        let Ok(stream) = kind.deadlines.guard(stream, place) else {
            return;
        };
        let (drain, cut) = (self.stop.drain.clone(), self.cut.clone());
        let connection = connect(kind, stream, peer, drain, cut);
        self.connections.spawn(connection);
    }

    /// Waits for the connections to end, and aborts them after the grace.
    async fn finish(self) {
        self.connections.close();
        if timeout(self.stop.grace, self.connections.wait())
            .await
            .is_err()
        {
            self.cut.cancel();
            self.connections.wait().await;
        }
    }
}

/// Serves one connection.
fn connect(
    kind: &Kind,
    stream: Deadlined<LingeringClose>,
    peer: SocketAddr,
    drain: CancellationToken,
    cut: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let routes = kind.routes.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        routes.clone().call(request)
    });
    let connection = kind.http.serve_connection(TokioIo::new(stream), service);
    async move {
        let mut connection = pin!(connection.with_upgrades());
        tokio::select! {
            biased;
            _ = &mut connection => return,
            () = drain.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            _ = &mut connection => {}
            () = cut.cancelled() => {}
        }
    }
}

/// Whether an accept failed because the client has closed the connection.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// The accepts that have failed.
#[derive(Debug, Default)]
struct Failures {
    logged: Option<Instant>,
    since_logged: u64,
}

impl Failures {
    fn report(&mut self, error: &io::Error) {
        counter!("library_sync_accept_errors_total").increment(1);
        self.since_logged += 1;
        if self.logged.is_some_and(|at| at.elapsed() < LOG_EVERY) {
            return;
        }
        tracing::error!(
            %error,
            accept.failures = self.since_logged,
            "no connection can be accepted; if files are what is missing, raise the limit of open files or lower \
             --max-connections"
        );
        self.logged = Some(Instant::now());
        self.since_logged = 0;
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn server(connections: usize, reserve: bool) -> Server {
        let limits = ConnectionLimits {
            connections,
            write_timeout: 10 * SECOND,
            header_timeout: 10 * SECOND,
            idle_timeout: 10 * SECOND,
        };
        let routes = |said: &'static str| Router::new().route("/", get(async move || said));
        Server {
            places: Kind::new(routes("served"), connections, &limits),
            reserve: reserve.then(|| Kind::new(routes("reserve"), 1, &limits)),
            stop: Stop {
                drain: CancellationToken::new(),
                grace: SECOND,
            },
            cut: CancellationToken::new(),
            connections: TaskTracker::new(),
        }
    }

    async fn ask(stream: &mut TcpStream) -> String {
        let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = vec![0; 1024];
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    #[tokio::test]
    async fn a_failed_accept_is_counted_and_the_next_is_served() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = server(10, false);
        let mut errors = vec![24, 23, 103];
        let accepting = server.accept(|| {
            let error = errors.pop().map(io::Error::from_raw_os_error);
            let listener = &listener;
            async move {
                match error {
                    Some(error) => Err(error),
                    None => listener.accept().await,
                }
            }
        });
        let client = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let answer = ask(&mut stream).await;
            server.stop.drain.cancel();
            answer
        };
        let began = Instant::now();
        let ((), answer) = tokio::join!(accepting, client);
        assert!(answer.contains("served"), "{answer}");
        let took = began.elapsed();
        assert!(took >= 2 * ACCEPT_PAUSE, "two that lacked files: {took:?}");
    }

    #[test]
    fn failures_are_logged_now_and_then_with_their_number() {
        let mut failures = Failures::default();
        for _ in 0..50 {
            failures.report(&io::Error::from_raw_os_error(24));
        }
        assert_eq!(failures.since_logged, 49, "the first was logged");
        failures.logged = Instant::now().checked_sub(LOG_EVERY);
        failures.report(&io::Error::from_raw_os_error(24));
        assert_eq!(failures.since_logged, 0);
    }

    #[tokio::test]
    async fn a_full_node_serves_its_reserve_and_hangs_up_on_the_rest() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = server(1, true);
        let accepting = server.accept(|| listener.accept());
        let client = async {
            let mut streams = Vec::new();
            for said in ["served", "reserve"] {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let answer = ask(&mut stream).await;
                assert!(answer.contains(said), "{answer}");
                streams.push(stream);
            }
            let mut third = TcpStream::connect(address).await.unwrap();
            assert_eq!(third.read(&mut [0]).await.unwrap_or(0), 0, "hung up");
            server.stop.drain.cancel();
        };
        tokio::join!(accepting, client);
    }

    #[tokio::test]
    async fn a_request_that_exceeds_the_grace_is_aborted() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(tokio::sync::Notify::new());
        let begun = Arc::clone(&asked);
        let pending = async move || {
            begun.notify_one();
            std::future::pending::<()>().await;
        };
        let routes = Router::new().route("/", get(pending));
        let stop = Stop {
            drain: CancellationToken::new(),
            grace: SECOND / 10,
        };
        let limits = ConnectionLimits {
            connections: 10,
            write_timeout: 10 * SECOND,
            header_timeout: 10 * SECOND,
            idle_timeout: 10 * SECOND,
        };
        let serving = serve(listener, routes, None, limits, stop.clone());
        let client = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
            stream.write_all(request).await.unwrap();
            asked.notified().await;
            stop.drain.cancel();
            assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
        };
        let (served, ()) = timeout(10 * SECOND, async { tokio::join!(serving, client) })
            .await
            .unwrap();
        served.unwrap();
    }
}
