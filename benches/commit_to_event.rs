//! Measures the latency of a change from one node to a client of another node.
//!
//! It starts two servers on PostgreSQL and a broker. One server receives changes at a constant rate. The other has an
//! open stream for each reader. `cargo bench --bench commit_to_event -- --help` lists the options. `scripts/test`
//! installs the servers that it starts.
//!
//! The commit is not observable from outside. It lies between two bounds: the request (before it) and the response
//! (after it). A change counts as delivered with the first event of its version *or of a later one*, which is what a
//! device needs.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a load program stops when it fails"
)]
#![expect(
    clippy::needless_pass_by_value,
    clippy::assigning_clones,
    reason = "the modules shared with the tests prefer readable code"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "the modules shared with the tests access the database and read environment variables"
)]

#[path = "../tests/it/support"]
#[expect(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "only the tests use the other items"
)]
mod support {
    pub mod deadline;
    pub mod programs;
    pub mod servers;
    pub mod test_app;
}

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use uuid::Uuid;

use self::support::{
    servers::{RedisCluster, Server},
    test_app::{TestProcess, token},
};

/// How long writes continue after the measurement, so that a later event exists for each measured change.
const COOL_DOWN: Duration = Duration::from_secs(10);

/// Measures the latency of a change from one node to a client of another node.
#[derive(Parser)]
struct Args {
    /// Brokers to measure, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "postgres,redis,redis-cluster,nats"
    )]
    brokers: Vec<Kind>,
    /// Percentages of notices that each node drops, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "0,50")]
    lose: Vec<u8>,
    /// Changes per second, over all readers.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Readers, each with one stream.
    #[arg(long, default_value_t = 100)]
    readers: usize,
    /// Duration of the measurement, in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Passed by `cargo bench` and ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Postgres,
    Redis,
    RedisCluster,
    Nats,
}

/// An acknowledged change.
struct Change {
    reader: usize,
    version: i64,
    asked: Instant,
    answered: Instant,
}

/// The versions that a reader received, oldest first, with the time of receipt.
type Received = Vec<(i64, Instant)>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let args = Args::parse();
    println!(
        "| broker | lost | changes | request to event: median | p99 | longest | answer to event: median | p99 |",
    );
    println!("|---|---|---|---|---|---|---|---|");
    for kind in &args.brokers {
        for lose in &args.lose {
            measure(&args, *kind, *lose).await;
        }
    }
}

async fn measure(args: &Args, kind: Kind, lose: u8) {
    let database = Server::postgres().await;
    let (mut one, mut shards) = (None, None);
    let address = match kind {
        Kind::Postgres => "postgres:".to_owned(),
        Kind::Redis => one.insert(Server::redis(&[]).await).url(),
        Kind::Nats => one.insert(Server::nats(&[]).await).url(),
        Kind::RedisCluster => shards.insert(RedisCluster::start().await).url(),
    };
    let broker = format!("{address}?lose={lose}");
    let flags = [
        "--broker-url",
        &broker,
        "--max-user-rate",
        "0",
        "--max-address-rate",
        "0",
        "--log",
        "warn",
    ];
    let here = TestProcess::serve(&database.url(), &flags).await;
    let there = TestProcess::serve(&database.url(), &flags).await;

    let received: Vec<Arc<Mutex<Received>>> = (0..args.readers).map(|_| Arc::default()).collect();
    let mut followers = JoinSet::new();
    for (reader, received) in received.iter().enumerate() {
        followers.spawn(follow(there.base.clone(), reader, Arc::clone(received)));
    }
    while received
        .iter()
        .any(|received| received.lock().unwrap().is_empty())
    {
        sleep(Duration::from_millis(20)).await;
    }
    let changes = write(args, &here.base).await;
    followers.shutdown().await;
    // Stop the servers first. They would log errors about a missing database or broker.
    drop((here, there));
    drop((one, shards));
    report(kind, lose, &changes, &received);
}

async fn follow(base: String, reader: usize, received: Arc<Mutex<Received>>) {
    let events = reqwest::Client::new()
        .get(format!("{base}/api/library-version-events"))
        .bearer_auth(token(&format!("reader {reader}")))
        .send();
    let mut events = events.await.unwrap().error_for_status().unwrap();
    let mut text = String::new();
    while let Ok(Some(chunk)) = events.chunk().await {
        let now = Instant::now();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        while let Some((event, rest)) = text.split_once("\n\n") {
            let data = event.lines().find_map(|line| line.strip_prefix("data: "));
            if let Some(data) = data {
                let data: Value = serde_json::from_str(data).unwrap();
                let version = data["version"].as_i64().unwrap();
                received.lock().unwrap().push((version, now));
            }
            text = rest.to_owned();
        }
    }
}

/// Sends changes at the requested rate, regardless of their duration. Returns the changes of the measurement period.
async fn write(args: &Args, base: &str) -> Vec<Change> {
    let http = reqwest::Client::new();
    let tokens: Vec<_> = (0..args.readers)
        .map(|reader| token(&format!("reader {reader}")))
        .collect();
    let tokens = Arc::new(tokens);
    let mut ticks = interval(Duration::from_secs(1) / args.rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    let measured = Duration::from_secs(args.seconds);
    let mut running = JoinSet::new();
    let mut changes = Vec::new();
    for number in 0.. {
        ticks.tick().await;
        let elapsed = began.elapsed();
        if elapsed > measured + COOL_DOWN {
            break;
        }
        let (http, base, tokens) = (http.clone(), base.to_owned(), Arc::clone(&tokens));
        running.spawn(async move {
            let reader = number % tokens.len();
            let change = change(&http, &base, reader, &tokens[reader]).await;
            (elapsed < measured).then_some(change)
        });
        while let Some(done) = running.try_join_next() {
            changes.extend(done.unwrap());
        }
    }
    changes.extend(running.join_all().await.into_iter().flatten());
    changes
}

async fn change(http: &reqwest::Client, base: &str, reader: usize, token: &str) -> Change {
    let query = "mutation ($url: String!) { \
        createStoryWithProgress(input: {title: \"A\", url: $url}) { libraryVersion } }";
    let url = format!("https://example.org/{}", Uuid::now_v7());
    let asked = Instant::now();
    let answer = http
        .post(format!("{base}/graphql"))
        .bearer_auth(token)
        .json(&json!({"query": query, "variables": {"url": url}}))
        .send();
    let answer: Value = answer.await.unwrap().json().await.unwrap();
    let answered = Instant::now();
    let version = answer["data"]["createStoryWithProgress"]["libraryVersion"].as_i64();
    Change {
        reader,
        version: version.unwrap_or_else(|| panic!("{answer}")),
        asked,
        answered,
    }
}

fn report(kind: Kind, lose: u8, changes: &[Change], received: &[Arc<Mutex<Received>>]) {
    let (mut from_request, mut from_answer) = (Vec::new(), Vec::new());
    for change in changes {
        let received = received[change.reader].lock().unwrap();
        let event = received
            .iter()
            .find(|(version, _)| *version >= change.version);
        let (_, at) =
            event.unwrap_or_else(|| panic!("version {} was never received", change.version));
        from_request.push(*at - change.asked);
        from_answer.push(at.saturating_duration_since(change.answered));
    }
    from_request.sort();
    from_answer.sort();
    let at = |times: &[Duration], hundredths: usize| {
        let time = times[(times.len() * hundredths / 100).min(times.len() - 1)];
        format!("{:.1} ms", time.as_secs_f64() * 1000.0)
    };
    println!(
        "| {kind:?} | {lose} % | {} | {} | {} | {} | {} | {} |",
        changes.len(),
        at(&from_request, 50),
        at(&from_request, 99),
        at(&from_request, 100),
        at(&from_answer, 50),
        at(&from_answer, 99),
    );
}
