//! What one event costs a real node and its PostgreSQL: statements and CPU time, measured by doing it many times.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use super::simulation::Event;
use crate::{
    http::{Connection, get, graphql, graphql_with, rate},
    node::{Node, children, cpu_time, memory_each, parent, token},
    support::servers::Server,
};

/// Users of the node that is measured.
const USERS: usize = 200;
/// Streams of each of them while deliveries are measured.
const STREAMS: usize = 4;
/// Requests at the same time.
const CONNECTIONS: usize = 8;
const LASTS: Duration = Duration::from_secs(4);

/// The cost of one event, on average.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    pub statements: f64,
    /// CPU time of the node in µs.
    pub node: f64,
    /// CPU time of PostgreSQL in µs.
    pub database: f64,
}

/// What was measured.
pub struct Costs {
    /// In the order of [`super::counts::COLUMNS`].
    pub events: Vec<(Event, Cost)>,
    /// Of one heartbeat of one stream, with its share of the recheck of heads.
    pub heartbeat: Cost,
    /// Of a node for nothing, in each second.
    pub idle: Cost,
    /// Memory of an idle stream in KiB.
    pub stream: f64,
}

impl Costs {
    pub fn of(&self, event: Event) -> Cost {
        let found = self.events.iter().find(|(of, _)| *of == event);
        found.map(|(_, cost)| *cost).unwrap_or_default()
    }
}

/// A node, with the PostgreSQL that it uses.
pub struct Pair {
    pub node: Node,
    // Dropped after the node.
    _postgres: Server,
    postmaster: u32,
}

impl Pair {
    pub async fn start(program: &Path, connections: usize, more: &[&str]) -> Self {
        let postgres = Server::postgres().await;
        let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
        let own: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        Self {
            node: Node::start_with(program, &postgres.url(), connections, more).await,
            _postgres: postgres,
            postmaster: parent(own.unsigned_abs()).unwrap(),
        }
    }

    /// The CPU time of all processes of PostgreSQL.
    fn database(&self) -> Duration {
        let children = children(self.postmaster);
        children.into_iter().map(cpu_time).sum::<Duration>() + cpu_time(self.postmaster)
    }
}

/// A state of a pair, to be compared with a later one.
pub struct Reading {
    statements: u64,
    node: Duration,
    database: Duration,
    at: Instant,
}

impl Reading {
    pub async fn of(pair: &Pair) -> Self {
        Self {
            statements: pair.node.statements().await,
            node: pair.node.cpu_time(),
            database: pair.database(),
            at: Instant::now(),
        }
    }

    /// The cost of each of `count` events since, without what an idle node costs.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub async fn each(&self, pair: &Pair, count: usize, idle: Cost) -> Cost {
        let now = Self::of(pair).await;
        let (lasted, count) = ((now.at - self.at).as_secs_f64(), count as f64);
        let each = |total: f64, idle: f64| (total - idle * lasted) / count;
        let micros =
            |now: Duration, before: Duration| now.saturating_sub(before).as_secs_f64() * 1e6;
        Cost {
            statements: each((now.statements - self.statements) as f64, idle.statements),
            node: each(micros(now.node, self.node), idle.node),
            database: each(micros(now.database, self.database), idle.database),
        }
    }
}

/// The progress of each user of a node: what its devices change.
pub struct Libraries {
    pub tokens: Vec<String>,
    pub progresses: Vec<String>,
}

impl Libraries {
    /// Makes a library of one story for each of `users`.
    pub async fn make(node: &Node, users: usize) -> Self {
        let tokens: Vec<_> = (0..users).map(token).collect();
        let create = "mutation { createStoryWithProgress(input: {title: \"A story\", url: \"https://example.org/1\"}) { progress { id } } }";
        let mut progresses = Vec::new();
        let mut connection = Connection::open(node.port).await;
        for token in &tokens {
            let body = connection.ask(&graphql(create, token)).await;
            let body: Value = serde_json::from_str(&body).unwrap();
            let id = &body["data"]["createStoryWithProgress"]["progress"]["id"];
            progresses.push(id.as_str().unwrap_or_else(|| panic!("{body}")).to_owned());
        }
        Self { tokens, progresses }
    }

    /// The request that reads a chapter.
    pub fn change(&self, user: usize, chapter: usize) -> String {
        let query = "mutation ($id: ID!, $chapter: Int!) { \
                     updateProgress(input: {id: $id, currentChapter: $chapter, rewind: true}) { libraryVersion } }";
        let variables = json!({"id": self.progresses[user], "chapter": chapter});
        graphql_with(query, &variables, &self.tokens[user])
    }

    /// The request for what changed since a version.
    pub fn delta(&self, user: usize, since: u64) -> String {
        let query = "query ($since: Int!) { libraryChanges(since: $since) { version epoch reset hasMore endCursor \
                     changes { __typename ... on Progress { id currentChapter readingStatus rating notes } \
                     ... on Story { id title } ... on Tombstone { rowId kind } } } }";
        graphql_with(query, &json!({"since": since}), &self.tokens[user])
    }

    /// The request for the version.
    pub fn check(&self, user: usize) -> String {
        get("/api/library-version", &self.tokens[user])
    }
}

/// Opens a stream of a user, and waits for its first event.
pub async fn open(port: u16, token: &str) -> Connection {
    let mut stream = Connection::open(port).await;
    stream
        .send(&get("/api/library-version-events", token))
        .await;
    stream.until("\"type\":\"connected\"").await;
    stream
}

/// Measures a node.
pub async fn measure(program: &Path) -> Costs {
    let pair = Pair::start(program, USERS * STREAMS, &[]).await;
    let libraries = Arc::new(Libraries::make(&pair.node, USERS).await);

    let nothing = Cost::default();
    let before = Reading::of(&pair).await;
    tokio::time::sleep(LASTS).await;
    let idle = before.each(&pair, 1, nothing).await;
    let lasted = LASTS.as_secs_f64();
    let idle = Cost {
        statements: idle.statements / lasted,
        node: idle.node / lasted,
        database: idle.database / lasted,
    };

    let requests = Arc::clone(&libraries);
    let check = of_requests(&pair, idle, move |at, count| {
        requests.check((at + CONNECTIONS * count) % USERS)
    })
    .await;
    let requests = Arc::clone(&libraries);
    let change = of_requests(&pair, idle, move |at, count| {
        requests.change((at + CONNECTIONS * count) % USERS, count + 1)
    })
    .await;
    let requests = Arc::clone(&libraries);
    let delta = of_requests(&pair, idle, move |at, count| {
        requests.delta((at + CONNECTIONS * count) % USERS, 1)
    })
    .await;

    let before = Reading::of(&pair).await;
    let mut streams = Vec::new();
    for at in 0..USERS * STREAMS {
        streams.push(open(pair.node.port, &libraries.tokens[at % USERS]).await);
    }
    let opened = before.each(&pair, USERS * STREAMS, idle).await;
    let deliver = of_deliveries(&pair, &libraries, &mut streams, idle, change).await;
    drop(streams);
    let (heartbeat, stream) = of_heartbeats(program).await;
    Costs {
        events: vec![
            (Event::Open, opened),
            (Event::Check, check),
            (Event::Change, change),
            (Event::Deliver, deliver),
            (Event::Delta, delta),
        ],
        heartbeat,
        idle,
        stream,
    }
}

async fn of_requests(
    pair: &Pair,
    idle: Cost,
    request: impl Fn(usize, usize) -> String + Clone + Send + 'static,
) -> Cost {
    let before = Reading::of(pair).await;
    let rate = rate(pair.node.port, CONNECTIONS, LASTS, request).await;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count"
    )]
    let count = (rate * before.at.elapsed().as_secs_f64()).round() as usize;
    before.each(pair, count, idle).await
}

/// A change of each user, and its event on all of their streams.
async fn of_deliveries(
    pair: &Pair,
    libraries: &Libraries,
    streams: &mut [Connection],
    idle: Cost,
    change: Cost,
) -> Cost {
    const ROUNDS: usize = 5;
    let mut connection = Connection::open(pair.node.port).await;
    let before = Reading::of(pair).await;
    for round in 0..ROUNDS {
        for user in 0..USERS {
            let request = libraries.change(user, 1_000 + round);
            connection.ask(&request).await;
        }
        for stream in &mut *streams {
            stream.until("\"type\":\"library_version_update\"").await;
        }
    }
    let deliveries = ROUNDS * streams.len();
    let each = before.each(pair, deliveries, idle).await;
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let part = 1.0 / STREAMS as f64;
    Cost {
        statements: (each.statements - change.statements * part).max(0.0),
        node: (each.node - change.node * part).max(0.0),
        database: (each.database - change.database * part).max(0.0),
    }
}

/// Heartbeats each second instead of each 30 seconds, of streams of as many users. Returns the memory of one too, in KiB.
async fn of_heartbeats(program: &Path) -> (Cost, f64) {
    const STREAMS: usize = 1_500;
    /// Streams that are open before memory is measured.
    const BEFORE: usize = 500;
    let more = ["--heartbeat", "1s"];
    let pair = Pair::start(program, STREAMS, &more).await;
    let mut streams = Vec::new();
    let mut memory = 0;
    for user in 0..STREAMS {
        if user == BEFORE {
            memory = pair.node.memory();
        }
        streams.push(open(pair.node.port, &token(user)).await);
    }
    let stream = memory_each(pair.node.memory(), memory, STREAMS - BEFORE);
    let before = Reading::of(&pair).await;
    tokio::time::sleep(LASTS * 2).await;
    let beats = STREAMS * usize::try_from(LASTS.as_secs() * 2).unwrap();
    (before.each(&pair, beats, Cost::default()).await, stream)
}
