//! Clients that come, go, stall and fall off the network, for minutes: do memory and open files of the server stay flat?
//!
//! Each client is a loop of sessions of random kinds. Some behave, some reset their connection, some never read, and some
//! stop in the middle of a request. Meanwhile libraries change.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, interval, sleep, sleep_until, timeout, timeout_at},
};

use crate::{
    Args,
    event_stream::EventStream,
    http::{Connection, ask_all, get},
    mutations::{add_progress, read_chapter},
    node::{Node, token},
    support::{deadline::soon, servers::Server},
    transport::Transport,
};

/// Clients of each user.
const CLIENTS: usize = 2;

/// Changes per second.
const CHANGES: u32 = 20;

/// Longer than the server waits for a client that neither sends nor reads.
const AFTER: Duration = Duration::from_secs(35);

/// The size of the load.
#[derive(clap::Args)]
pub struct Soak {
    /// Duration in minutes.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Clients, two of each user.
    #[arg(long, default_value_t = 2_000)]
    clients: usize,
}

/// A client, and what all clients share.
#[derive(Clone)]
struct Client {
    port: u16,
    number: usize,
    tokens: Arc<Vec<String>>,
    ends: Instant,
    sessions: Arc<AtomicUsize>,
    /// Streams that the server ended.
    ended: Arc<AtomicUsize>,
}

/// The state of the server.
struct Sample {
    minute: f64,
    memory: f64,
    files: f64,
}

pub async fn measure(args: &Args, soak: &Soak) {
    let postgres = Server::postgres().await;
    let more = ["--heartbeat", "5s"];
    let node = Node::start_with(&args.programs[0], &postgres.url(), 2 * soak.clients, &more).await;
    let tokens: Arc<Vec<_>> = Arc::new((0..soak.clients.div_ceil(CLIENTS)).map(token).collect());
    ask_all(node.port, tokens.len(), |user| {
        add_progress(user, &tokens[user])
    })
    .await;
    println!("| minute | KiB | open files | sessions | streams that the server ended |");
    println!("|---|---|---|---|---|");
    let began = Instant::now();
    let lasts = Duration::from_secs(60 * soak.minutes);
    let client = Client {
        port: node.port,
        number: 0,
        tokens: Arc::clone(&tokens),
        ends: began + lasts,
        sessions: Arc::default(),
        ended: Arc::default(),
    };
    client.sample(&node, began);
    let mut running = JoinSet::new();
    for number in 0..soak.clients {
        let client = Client {
            number,
            ..client.clone()
        };
        running.spawn(client.run());
    }
    running.spawn(write(client.clone()));
    let mut samples = Vec::new();
    let pause = (lasts / 20).min(Duration::from_secs(30));
    for nth in (1..).take_while(|nth| pause * *nth <= lasts) {
        sleep_until(began + pause * nth).await;
        samples.push(client.sample(&node, began));
        while let Some(ended) = running.try_join_next() {
            ended.unwrap();
        }
    }
    // A session may outlive the end by a few seconds.
    soon("all clients leave", async {
        while let Some(ended) = running.join_next().await {
            ended.unwrap();
        }
    })
    .await;
    sleep(AFTER).await;
    client.sample(&node, began);
    print_slopes(&samples);
}

/// Changes libraries until the end.
async fn write(client: Client) {
    let mut connection = Connection::open(client.port).await;
    let mut due = interval(Duration::from_secs(1) / CHANGES);
    let mut random = fastrand::Rng::with_seed(0);
    for chapter in 1.. {
        due.tick().await;
        if Instant::now() >= client.ends {
            return;
        }
        let user = random.usize(..client.tokens.len());
        let change = read_chapter(user, chapter, &client.tokens[user]);
        connection.ask(&change).await;
    }
}

impl Client {
    /// Prints a row of the table.
    fn sample(&self, node: &Node, began: Instant) -> Sample {
        let minute = began.elapsed().as_secs_f64() / 60.0;
        let (memory, files) = (node.memory(), node.open_files());
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        let (sessions, ended) = (count(&self.sessions), count(&self.ended));
        println!("| {minute:.1} | {memory} | {files} | {sessions} | {ended} |");
        #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
        Sample {
            minute,
            memory: memory as f64,
            files: files as f64,
        }
    }

    async fn run(self) {
        let mut random = fastrand::Rng::with_seed(1 + self.number as u64);
        // Clients do not all come at once.
        sleep(Duration::from_millis(random.u64(..5_000))).await;
        while Instant::now() < self.ends {
            let until = Instant::now() + Duration::from_millis(random.u64(1_000..15_000));
            // The server may refuse or close any connection of these clients.
            let _ = match random.u8(..8) {
                0 | 1 => self.watch(until, false).await,
                2 => self.watch(until, true).await,
                3 => self.never_read(until).await,
                4 => self.subscribe(until).await,
                5 => self.stop_in_request(until).await,
                6 => self.pipeline(until).await,
                _ => self.ask(until).await,
            };
            self.sessions.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn token(&self) -> &str {
        &self.tokens[self.number / CLIENTS]
    }

    fn check(&self) -> String {
        get("/api/library-version", self.token())
    }

    async fn open(&self) -> std::io::Result<EventStream> {
        let request = get("/api/library-version-events", self.token());
        EventStream::open(self.number, self.port, &request).await
    }

    async fn connect(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(("127.0.0.1", self.port)).await
    }

    /// Reads a stream, and closes it or resets the connection.
    async fn watch(&self, until: Instant, resets: bool) -> std::io::Result<()> {
        let mut stream = self.open().await?;
        let mut newest = 0;
        while let Ok(version) = timeout_at(until, stream.next()).await {
            let Some(version) = version else {
                self.ended.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            };
            assert!(version >= newest, "{version} after {newest}");
            newest = version;
        }
        if resets {
            stream.reset()?;
        }
        Ok(())
    }

    /// Opens a stream, and never reads it.
    async fn never_read(&self, until: Instant) -> std::io::Result<()> {
        let stream = self.open().await?;
        sleep_until(until).await;
        stream.reset()
    }

    async fn subscribe(&self, until: Instant) -> std::io::Result<()> {
        let stream = Transport::Websocket.open(self.port, self.token());
        let stream = soon("a subscription", stream).await;
        sleep_until(until).await;
        drop(stream);
        Ok(())
    }

    /// Sends a part of a request, and waits until the server closes the connection.
    async fn stop_in_request(&self, until: Instant) -> std::io::Result<()> {
        let mut socket = self.connect().await?;
        let request = self.check();
        socket
            .write_all(&request.as_bytes()[..request.len() / 2])
            .await?;
        let mut answer = Vec::new();
        let _ = timeout_at(until, socket.read_to_end(&mut answer)).await;
        Ok(())
    }

    /// Sends many requests, and reads no response.
    async fn pipeline(&self, until: Instant) -> std::io::Result<()> {
        let mut socket = self.connect().await?;
        let requests = self.check().repeat(1_000);
        let _ = timeout(
            Duration::from_secs(1),
            socket.write_all(requests.as_bytes()),
        )
        .await;
        sleep_until(until).await;
        Ok(())
    }

    /// Sends requests on a kept connection, and reads the responses.
    async fn ask(&self, until: Instant) -> std::io::Result<()> {
        let mut connection = Connection::open(self.port).await;
        while Instant::now() < until {
            connection.ask(&self.check()).await;
            sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }
}

/// Prints how memory and open files grew, without the first third, in which caches fill.
fn print_slopes(samples: &[Sample]) {
    let samples = &samples[samples.len() / 3..];
    let growth = |value: fn(&Sample) -> f64| {
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let count = samples.len() as f64;
        let mean = |of: &dyn Fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
        let (minute, mean_value) = (mean(&|sample| sample.minute), mean(&value));
        let covariance = mean(&|sample| (sample.minute - minute) * (value(sample) - mean_value));
        let variance = mean(&|sample| (sample.minute - minute).powi(2));
        (
            covariance / variance,
            100.0 * covariance / variance / mean_value,
        )
    };
    println!("\n| after the first third | each minute | % each minute |");
    println!("|---|---|---|");
    for (name, value) in [
        ("KiB", (|sample| sample.memory) as fn(&Sample) -> f64),
        ("open files", |sample| sample.files),
    ] {
        let (slope, percent) = growth(value);
        println!("| {name} | {slope:+.1} | {percent:+.2} |");
    }
}
