//! The accept loop: accepts connections, serves them, and drains them at shutdown.
//!
//! In the flow: above the socket and its deadlines, below the routes. Only HTTP/1.1 is supported; see
//! [`first_bytes`](super::first_bytes).
//!
//! **Invariant:** a failed accept does not stop the loop. It is counted and logged, and the loop accepts again.
//! **Invariant:** a connection without a [slot](super::connection_slots) is served health checks only. Other requests
//! are refused, and the connection is closed. [`RESERVE`] limits the number of such connections, and a new one evicts
//! the oldest.
//! **Invariant:** the loop accepts no further connection while more than
//! [`MAX_CLOSING`](super::connection_slots::MAX_CLOSING) evicted ones of a kind are still open, for at most
//! [`ACCEPT_PAUSE`]. So a burst does not use the files that the node reserves.
//! **Invariant:** during a drain, only connections that are already in the backlog are accepted. Running requests, and
//! requests that arrive within [`LAST_REQUEST`](super::serve_connection::LAST_REQUEST), are served. All connections have
//! ended when the grace period is over.

use std::{io, net::SocketAddr, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    accept_reports::Reports,
    connection_slots::{ConnectionSlots, NoSlot, Slot, SlotLimits},
    serve_connection::{Shutdown, serve_connection},
    write_deadline::WriteDeadline,
};

/// Limits of connections without a slot. They apply separately to each reason in [`NoSlot`].
const RESERVE: SlotLimits = SlotLimits {
    total: 16,
    per_address: 0,
};

/// Maximum time for a request head on a connection without a slot.
const RESERVE_PATIENCE: Duration = Duration::from_secs(2);

/// Maximum request head, in bytes; a longer one gets 431. Also the maximum of unwritten bytes.
const MAX_HEAD: usize = 128 << 10;

/// Pause after a failed accept, because the cause may be a resource limit such as open files. Also the maximum time to
/// wait for the sockets of evicted connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Timeouts of connections.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Maximum time of a write during which the client reads nothing.
    pub write_timeout: Duration,
    /// Maximum time until the first bytes arrive, and for a request head.
    pub header_timeout: Duration,
    /// Maximum idle time between requests.
    pub idle_timeout: Duration,
}

/// The routes, by whether the connection has a slot.
pub struct Routes {
    /// Routes of connections with a slot.
    pub served: Router,
    /// Routes of connections without a slot. `None` closes these connections.
    pub overflow: Option<Overflow>,
}

/// The routes of connections without a slot.
pub struct Overflow {
    /// Routes while all slots are in use.
    pub full: Router,
    /// Routes for an address that uses its share of the slots.
    pub crowded: Router,
}

/// The shutdown signal and its grace period.
#[derive(Debug, Clone)]
pub struct Stop {
    /// Cancelled when the loop must stop accepting connections.
    pub drain: CancellationToken,
    /// Maximum time to finish running requests after that signal.
    pub grace: Duration,
}

/// Serves `routes` on the connections of `listener`. Returns after `stop`, when all connections have ended.
///
/// # Errors
/// When the listener cannot be registered with the runtime.
pub async fn serve(
    listener: std::net::TcpListener,
    slots: ConnectionSlots,
    routes: Routes,
    limits: ConnectionLimits,
    stop: Stop,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let server = Server::new(slots, routes, &limits, stop);
    server.accept(|| listener.accept()).await;
    let listener = listener.into_std()?;
    server.accept_backlog(&listener);
    // The system now refuses connections, so clients connect to another node.
    drop(listener);
    server.finish().await;
    Ok(())
}

struct Server {
    served: Kind,
    /// The kind for a full server, and the kind for an address that uses its share.
    overflow: Option<(Kind, Kind)>,
    grace: Duration,
    shutdown: Shutdown,
}

/// State that connections with the same routes and limits share.
struct Kind {
    routes: Router,
    http: http1::Builder,
    deadlines: WriteDeadline,
    slots: ConnectionSlots,
}

impl Kind {
    fn new(routes: Router, slots: ConnectionSlots, limits: &ConnectionLimits) -> Self {
        let mut http = http1::Builder::new();
        // hyper's timer runs from the end of a response to the end of the next head, so it limits the idle time.
        // `RequestHeads` limits a head that has begun.
        http.timer(TokioTimer::new())
            .header_read_timeout(limits.idle_timeout)
            .max_buf_size(MAX_HEAD)
            // Header names are case-insensitive (RFC 9110, section 5.1), but some clients compare them in this case.
            .title_case_headers(true);
        Self {
            routes,
            http,
            deadlines: WriteDeadline::new(limits.write_timeout).heads_within(limits.header_timeout),
            slots,
        }
    }

    fn slot(&self, peer: SocketAddr) -> Result<(&Self, Slot), NoSlot> {
        self.slots.take(peer.ip()).map(|slot| (self, slot))
    }
}

impl Server {
    fn new(slots: ConnectionSlots, routes: Routes, limits: &ConnectionLimits, stop: Stop) -> Self {
        let impatient = ConnectionLimits {
            header_timeout: limits.header_timeout.min(RESERVE_PATIENCE),
            ..limits.clone()
        };
        let reserve = |routes| Kind::new(routes, ConnectionSlots::new(RESERVE), &impatient);
        Self {
            served: Kind::new(routes.served, slots, limits),
            overflow: routes
                .overflow
                .map(|routes| (reserve(routes.full), reserve(routes.crowded))),
            grace: stop.grace,
            shutdown: Shutdown {
                drain: stop.drain,
                cut: CancellationToken::new(),
                connections: TaskTracker::new(),
            },
        }
    }

    /// Accepts connections until the drain begins.
    async fn accept<F>(&self, mut accept: impl FnMut() -> F)
    where
        F: Future<Output = io::Result<(TcpStream, SocketAddr)>>,
    {
        let mut reports = Reports::default();
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.shutdown.drain.cancelled() => break,
                accepted = accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    self.begin(stream, peer, &mut reports);
                    let _ = timeout(ACCEPT_PAUSE, self.closed()).await;
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    reports.failed(&error);
                    let _ = timeout(ACCEPT_PAUSE, self.shutdown.drain.cancelled()).await;
                }
            }
        }
    }

    /// Accepts the connections that the system has completed.
    ///
    /// Closing a listener resets the connections in its backlog, and a proxy does not repeat a POST that it has sent. The
    /// system is asked directly, because tokio returns only connections that its last poll of the system has reported.
    fn accept_backlog(&self, listener: &std::net::TcpListener) {
        let mut reports = Reports::default();
        while let Ok((stream, peer)) = listener.accept() {
            let stream = stream
                .set_nonblocking(true)
                .and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                self.begin(stream, peer, &mut reports);
            }
        }
    }

    fn begin(&self, stream: TcpStream, peer: SocketAddr, reports: &mut Reports) {
        let taken = self.served.slot(peer).or_else(|refused| {
            reports.refused(refused, peer.ip());
            let (full, crowded) = self.overflow.as_ref().ok_or(refused)?;
            match refused {
                NoSlot::Total => full.slot(peer),
                NoSlot::Address => crowded.slot(peer),
            }
        });
        let Ok((kind, slot)) = taken else {
            return;
        };
        let connection = slot.connection();
        let Ok(stream) = kind.deadlines.guard(stream, slot) else {
            return;
        };
        let serving = serve_connection(
            &kind.http,
            kind.routes.clone(),
            stream,
            (peer, connection),
            self.shutdown.clone(),
        );
        self.shutdown.connections.spawn(serving);
    }

    /// Waits for the sockets of evicted connections.
    async fn closed(&self) {
        self.served.slots.closed().await;
        if let Some((full, crowded)) = &self.overflow {
            full.slots.closed().await;
            crowded.slots.closed().await;
        }
    }

    /// Waits until all connections have ended, and aborts the rest after the grace period.
    async fn finish(self) {
        let Shutdown {
            cut, connections, ..
        } = self.shutdown;
        connections.close();
        if timeout(self.grace, connections.wait()).await.is_err() {
            cut.cancel();
            connections.wait().await;
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

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        time::Instant,
    };

    use super::*;
    use crate::http::connection::connection_slots::{Connection, MAX_CLOSING};

    const SECOND: Duration = Duration::from_secs(1);

    const LIMITS: ConnectionLimits = ConnectionLimits {
        write_timeout: Duration::from_secs(10),
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(10),
    };

    fn slots(total: usize, per_address: usize) -> ConnectionSlots {
        ConnectionSlots::new(SlotLimits { total, per_address })
    }

    /// A server on which every request to `/` authenticates.
    fn server(slots: ConnectionSlots) -> Server {
        let authenticate = async |request: axum::extract::Request| {
            Connection::of(request.extensions()).unwrap().authenticate();
            "served"
        };
        let routes = |said: &'static str| Router::new().route("/", get(async move || said));
        let routes = Routes {
            served: Router::new()
                .route("/", get(authenticate))
                .route("/anonymous", get(async || "anonymous")),
            overflow: Some(Overflow {
                full: routes("full"),
                crowded: routes("crowded"),
            }),
        };
        let stop = Stop {
            drain: CancellationToken::new(),
            grace: SECOND,
        };
        Server::new(slots, routes, &LIMITS, stop)
    }

    async fn ask(stream: &mut TcpStream, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 1024];
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    #[tokio::test]
    async fn a_failed_accept_is_counted_and_the_next_is_served() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = server(slots(10, 0));
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
            let answer = ask(&mut stream, "/").await;
            server.shutdown.drain.cancel();
            answer
        };
        let began = Instant::now();
        let ((), answer) = tokio::join!(accepting, client);
        assert!(answer.contains("served"), "{answer}");
        let took = began.elapsed();
        assert!(took >= 2 * ACCEPT_PAUSE, "two that lacked files: {took:?}");
    }

    /// Opens one connection per expected answer, in order, and returns the connections.
    async fn answered(listener: &TcpListener, answers: &[&str]) -> Vec<TcpStream> {
        let mut streams = Vec::new();
        for said in answers {
            let mut stream = TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap();
            let path = if *said == "anonymous" {
                "/anonymous"
            } else {
                "/"
            };
            let answer = ask(&mut stream, path).await;
            assert!(answer.ends_with(said), "{said}: {answer}");
            streams.push(stream);
        }
        streams
    }

    async fn is_closed(stream: &mut TcpStream) -> bool {
        let read = timeout(10 * SECOND, stream.read(&mut [0])).await;
        matches!(read, Ok(Ok(0) | Err(_)))
    }

    #[tokio::test]
    async fn a_connection_without_a_slot_gets_a_refusal() {
        for (slots, refusal) in [(slots(1, 0), "full"), (slots(10, 1), "crowded")] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let server = server(slots);
            let accepting = server.accept(|| listener.accept());
            let client = async {
                let mut answers = vec!["served"];
                answers.extend([refusal; RESERVE.total + 1]);
                let mut streams = answered(&listener, &answers).await;
                assert!(is_closed(&mut streams[1]).await, "for the newest");
                assert!(ask(&mut streams[0], "/").await.ends_with("served"));
                server.shutdown.drain.cancel();
            };
            tokio::join!(accepting, client);
        }
    }

    #[tokio::test]
    async fn a_connection_that_has_not_authenticated_closes_for_a_new_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = server(slots(3, 0));
        let accepting = server.accept(|| listener.accept());
        let client = async {
            let address = listener.local_addr().unwrap();
            let mut silent = TcpStream::connect(address).await.unwrap();
            let answers = ["anonymous", "served", "served", "served"];
            let mut streams = answered(&listener, &answers).await;
            assert!(is_closed(&mut silent).await);
            assert!(is_closed(&mut streams[0]).await);
            for stream in &mut streams[1..] {
                assert!(ask(stream, "/").await.ends_with("served"));
            }
            let _full = answered(&listener, &["full"]).await;
            server.shutdown.drain.cancel();
        };
        tokio::join!(accepting, client);
    }

    #[tokio::test]
    async fn a_burst_is_accepted_no_faster_than_evicted_connections_close() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // All are in the backlog, so the loop does not wait for them.
        let burst: Vec<_> = (0..100)
            .map(|_| std::net::TcpStream::connect(address).unwrap())
            .collect();
        let slots = slots(3, 0);
        let server = server(slots.clone());
        let mut accepted = 0;
        let accepting = server.accept(|| {
            assert!(slots.closing() <= MAX_CLOSING, "{}", slots.closing());
            accepted += 1;
            if accepted > burst.len() {
                server.shutdown.drain.cancel();
            }
            listener.accept()
        });
        timeout(10 * SECOND, accepting).await.unwrap();
        assert!(accepted > burst.len());
    }

    #[tokio::test]
    async fn a_connection_that_was_made_just_before_the_drain_is_served() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Routes {
            served: Router::new().route("/", get(async || "served")),
            overflow: None,
        };
        let stop = Stop {
            drain: CancellationToken::new(),
            grace: SECOND,
        };
        let serving = serve(listener, slots(10, 0), routes, LIMITS, stop.clone());
        let client = async {
            // Nothing is awaited here, so tokio does not learn of the connection before the drain.
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
            io::Write::write_all(&mut stream, request).unwrap();
            stop.drain.cancel();
            stream.set_nonblocking(true).unwrap();
            let mut stream = TcpStream::from_std(stream).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("served"), "{answer}");
        };
        let (served, ()) = tokio::join!(serving, client);
        served.unwrap();
    }

    #[tokio::test]
    async fn a_request_that_exceeds_the_grace_is_aborted() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = std::sync::Arc::new(tokio::sync::Notify::new());
        let begun = std::sync::Arc::clone(&asked);
        let pending = async move || {
            begun.notify_one();
            std::future::pending::<()>().await;
        };
        let routes = Router::new().route("/", get(pending));
        let stop = Stop {
            drain: CancellationToken::new(),
            grace: SECOND / 10,
        };
        let routes = Routes {
            served: routes,
            overflow: None,
        };
        let serving = serve(listener, slots(10, 0), routes, LIMITS, stop.clone());
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
