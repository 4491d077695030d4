//! How long a change takes from one node to a client of another: two servers on PostgreSQL, a broker, a steady rate of
//! changes sent to the one, and a stream for each reader open at the other.
//!
//! `cargo bench --bench commit_to_event -- --help` tells what can be set. It starts all servers itself, as
//! `scripts/test` does; that script installs them.
//!
//! The commit itself cannot be seen from outside, so it is put between two bounds: the request that asked for the
//! change (before it) and the answer (after it). A change counts as told by the first event of its version *or a later
//! one*, which is all that a device needs.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a load program that fails says so by stopping"
)]
#![expect(
    clippy::needless_pass_by_value,
    clippy::assigning_clones,
    reason = "the modules of the tests are written for reading"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "the modules of the tests look behind the server, and read their own settings"
)]

#[path = "../tests/it/support"]
#[expect(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "the tests use the rest"
)]
mod support {
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

/// How long writing goes on after what is measured, so that no change is the last of its reader.
const COOL_DOWN: Duration = Duration::from_secs(10);

/// Measures how long a change takes from one node to a client of another.
#[derive(Parser)]
struct Args {
    /// What carries the notices.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "postgres,redis,redis-cluster,nats"
    )]
    brokers: Vec<Kind>,
    /// How many of a hundred notices each node drops.
    #[arg(long, value_delimiter = ',', default_value = "0,50")]
    lose: Vec<u8>,
    /// Changes a second, over all readers.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Readers, each with one stream.
    #[arg(long, default_value_t = 100)]
    readers: usize,
    /// How long to measure, in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// What `cargo bench` passes.
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

/// A change that was answered.
struct Change {
    reader: usize,
    version: i64,
    asked: Instant,
    answered: Instant,
}

/// The versions that a reader was told of, oldest first, and when.
type Told = Vec<(i64, Instant)>;

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

    let told: Vec<Arc<Mutex<Told>>> = (0..args.readers).map(|_| Arc::default()).collect();
    let mut followers = JoinSet::new();
    for (reader, told) in told.iter().enumerate() {
        followers.spawn(follow(there.base.clone(), reader, Arc::clone(told)));
    }
    while told.iter().any(|told| told.lock().unwrap().is_empty()) {
        sleep(Duration::from_millis(20)).await;
    }
    let changes = write(args, &here.base).await;
    followers.shutdown().await;
    // The servers before what they stand on, which they would complain of.
    drop((here, there));
    drop((one, shards));
    report(kind, lose, &changes, &told);
}

async fn follow(base: String, reader: usize, told: Arc<Mutex<Told>>) {
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
                told.lock().unwrap().push((version, now));
            }
            text = rest.to_owned();
        }
    }
}

/// Sends changes at the rate that is asked for, however long each takes; returns those of the time that is measured.
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
    let mut under_way = JoinSet::new();
    let mut changes = Vec::new();
    for number in 0.. {
        ticks.tick().await;
        let elapsed = began.elapsed();
        if elapsed > measured + COOL_DOWN {
            break;
        }
        let (http, base, tokens) = (http.clone(), base.to_owned(), Arc::clone(&tokens));
        under_way.spawn(async move {
            let reader = number % tokens.len();
            let change = change(&http, &base, reader, &tokens[reader]).await;
            (elapsed < measured).then_some(change)
        });
        while let Some(done) = under_way.try_join_next() {
            changes.extend(done.unwrap());
        }
    }
    changes.extend(under_way.join_all().await.into_iter().flatten());
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

fn report(kind: Kind, lose: u8, changes: &[Change], told: &[Arc<Mutex<Told>>]) {
    let (mut from_request, mut from_answer) = (Vec::new(), Vec::new());
    for change in changes {
        let told = told[change.reader].lock().unwrap();
        let event = told.iter().find(|(version, _)| *version >= change.version);
        let (_, at) = event.unwrap_or_else(|| panic!("version {} was never told", change.version));
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
