//! Event streams of a minimal client, which reads versions and nothing else.
//!
//! Thousands of them share the machine with the server that they measure. So a stream is one socket and one small task.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::Instant,
};

use crate::support::deadline::soon;

/// Streams that are being opened at the same time, unless all clients come at once.
const OPENING: usize = 64;

/// The source addresses of the streams. Each has its own ports.
const ADDRESSES: usize = 8;

/// A stream of server-sent events whose data contains `"version":`.
pub struct EventStream {
    socket: TcpStream,
    received: Vec<u8>,
    /// The id of the newest event.
    pub last_id: String,
}

impl EventStream {
    /// Connects and sends a request. The number of a stream selects its source address.
    pub async fn open(number: usize, port: u16, request: &str) -> std::io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        let address = u8::try_from(1 + number % ADDRESSES).unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 1, address), 0).into())?;
        let mut socket = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
        socket.set_nodelay(true)?;
        socket.write_all(request.as_bytes()).await?;
        Ok(Self {
            socket,
            received: Vec::with_capacity(512),
            last_id: String::new(),
        })
    }

    /// Like [`Self::open`], and waits for the first version.
    pub async fn open_at(number: usize, port: u16, request: &str) -> (Self, i64) {
        soon("the first event of a stream", async {
            let mut stream = Self::open(number, port, request).await.unwrap();
            let version = stream.next().await;
            let version = version.unwrap_or_else(|| panic!("stream {number} ended"));
            (stream, version)
        })
        .await
    }

    /// Waits for the next events. Returns the newest of their versions, or `None` after the end of the stream.
    pub async fn next(&mut self) -> Option<i64> {
        loop {
            match self.socket.read_buf(&mut self.received).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
            if let Some(version) = self.parse() {
                return Some(version);
            }
        }
    }

    /// Closes the connection as if the network had reset it.
    pub fn reset(self) -> std::io::Result<()> {
        socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO))
    }

    /// Returns the newest version of the complete lines that were received.
    fn parse(&mut self) -> Option<i64> {
        let end = self.received.iter().rposition(|byte| *byte == b'\n')? + 1;
        let text = std::str::from_utf8(&self.received[..end]).unwrap();
        let mut newest = None;
        for line in text.lines() {
            if let Some((_, version)) = line.split_once("\"version\":") {
                let digits = version.split(|c: char| !c.is_ascii_digit()).next();
                newest = newest.max(Some(digits.unwrap().parse().unwrap()));
            } else if let Some(id) = line.strip_prefix("id: ") {
                id.clone_into(&mut self.last_id);
            } else if line.starts_with("HTTP/1.1") {
                assert!(line.starts_with("HTTP/1.1 200"), "{text}");
            }
        }
        self.received.drain(..end);
        newest
    }
}

/// Runs `open` for 0 to `count`, [`OPENING`] at the same time. Returns the results in order.
pub async fn open_all<T, F>(count: usize, open: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    open_many(count, OPENING, open).await
}

/// Like [`open_all`], `opening` at the same time.
pub async fn open_many<T, F>(count: usize, opening: usize, open: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let free = Arc::new(Semaphore::new(opening));
    let mut running = Vec::with_capacity(count);
    for number in 0..count {
        let turn = Arc::clone(&free).acquire_owned().await.unwrap();
        let stream = open(number);
        running.push(tokio::spawn(async move {
            let stream = stream.await;
            drop(turn);
            stream
        }));
    }
    let mut streams = Vec::with_capacity(count);
    for stream in running {
        streams.push(stream.await.unwrap());
    }
    streams
}

/// A version that a stream received.
pub struct Seen {
    pub stream: usize,
    pub version: i64,
    pub at: Instant,
}

/// Many streams that are read at the same time. They are closed when this is dropped.
pub struct Crowd {
    seen: mpsc::UnboundedReceiver<Seen>,
    _following: JoinSet<()>,
}

impl Crowd {
    /// Reads streams, which are numbered in their order.
    pub fn follow(streams: Vec<EventStream>) -> Self {
        let (report, seen) = mpsc::unbounded_channel();
        let mut following = JoinSet::new();
        for (number, mut stream) in streams.into_iter().enumerate() {
            let report = report.clone();
            following.spawn(async move {
                // The end of a stream is a version below all others.
                loop {
                    let version = stream.next().await.unwrap_or(i64::MIN);
                    let at = Instant::now();
                    let seen = Seen {
                        stream: number,
                        version,
                        at,
                    };
                    if report.send(seen).is_err() || version == i64::MIN {
                        return;
                    }
                }
            });
        }
        Self {
            seen,
            _following: following,
        }
    }

    /// Waits until any stream receives a version.
    ///
    /// # Panics
    /// When a stream has ended.
    pub async fn next(&mut self) -> Seen {
        let seen = self.seen.recv().await.unwrap();
        assert!(seen.version > i64::MIN, "stream {} ended", seen.stream);
        seen
    }
}

/// The value below which a share of the values is.
pub fn quantile<T: Copy + Ord>(values: &mut [T], share: f64) -> T {
    values.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = (values.len() as f64 * share) as usize;
    values[at.min(values.len() - 1)]
}
