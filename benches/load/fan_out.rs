//! One change, and the streams of its user, all on one node. Yardstick: nchan publishes one message to as many subscribers.
//!
//! The same client reads both. A change is a mutation of GraphQL, so its time includes the commit. nchan stores nothing.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    Args,
    event_stream::{Crowd, EventStream, open_all, quantile},
    http::{Connection, get},
    mutations::create_tag,
    nchan::{self, Nchan},
    node::{Node, memory_each, token},
    support::{deadline::soon, servers::Server},
};

/// Changes of each round.
const CHANGES: usize = 11;

/// The streams of a round.
struct Streams {
    crowd: Crowd,
    count: usize,
    /// The version of all of them.
    version: i64,
}

/// Medians of the times from the request of a change.
struct Times {
    /// Until its response.
    response: Duration,
    /// Until the event of the last stream.
    last: Duration,
}

pub async fn measure(args: &Args, count: usize) {
    if let Some(missing) = nchan::missing() {
        panic!("{missing}");
    }
    let postgres = Server::postgres().await;
    println!(
        "| program | round | streams | response, ms | last event, ms | nchan: response, ms | last event, ms | ratio of last \
         events | KiB each | nchan: KiB each | ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for round in 1..=args.rounds {
        for (number, program) in args.programs() {
            let (ours, kib) = of_node(program, &postgres, count).await;
            let (theirs, their_kib) = of_nchan(count).await;
            println!(
                "| {number} | {round} | {count} | {:.1} | {:.1} | {:.1} | {:.1} | {:.2} | {kib:.2} | {their_kib:.2} | {:.2} |",
                ms(ours.response),
                ms(ours.last),
                ms(theirs.response),
                ms(theirs.last),
                ours.last.as_secs_f64() / theirs.last.as_secs_f64(),
                kib / their_kib,
            );
        }
    }
}

/// Returns the times, and the memory of a stream in KiB.
async fn of_node(program: &std::path::Path, postgres: &Server, count: usize) -> (Times, f64) {
    let most = (count + 1).to_string();
    let more = ["--max-streams-per-user", &most];
    let node = Node::start_with(program, &postgres.url(), count, &more).await;
    let token = token(0);
    let subscribe = get("/api/library-version-events", &token);
    let change = |at: i64| create_tag(&format!("{}-{at}", uuid::Uuid::new_v4()), &token);
    let mut writer = Connection::open(node.port).await;
    // The first requests open the node's connections, and count the library.
    writer.ask(&change(0)).await;
    drop(EventStream::open_at(0, node.port, &subscribe).await);
    let before = node.memory();
    let opened = open_all(count, |number| {
        let (port, subscribe) = (node.port, subscribe.clone());
        async move { EventStream::open_at(number, port, &subscribe).await }
    });
    let (streams, versions): (Vec<_>, Vec<_>) = opened.await.into_iter().unzip();
    assert!(versions.iter().all(|version| *version == versions[0]));
    let kib = memory_each(node.memory(), before, count);
    let times = Streams::new(streams, versions[0])
        .time(async |version| {
            writer.ask(&change(version)).await;
        })
        .await;
    (times, kib)
}

async fn of_nchan(count: usize) -> (Times, f64) {
    let (nchan, streams, kib) = Nchan::with_subscribers(count).await;
    let mut publisher = Connection::open(nchan.port()).await;
    let times = Streams::new(streams, 1)
        .time(async |version| Nchan::publish(&mut publisher, version).await)
        .await;
    (times, kib)
}

impl Streams {
    fn new(streams: Vec<EventStream>, version: i64) -> Self {
        Self {
            count: streams.len(),
            crowd: Crowd::follow(streams),
            version,
        }
    }

    /// Times changes, each of which makes the given version.
    async fn time(mut self, mut change: impl AsyncFnMut(i64)) -> Times {
        let (mut responses, mut lasts) = (Vec::new(), Vec::new());
        for _ in 0..CHANGES {
            self.version += 1;
            let began = Instant::now();
            change(self.version).await;
            responses.push(began.elapsed());
            lasts.push(self.last_event().await - began);
        }
        Times {
            response: quantile(&mut responses, 0.5),
            last: quantile(&mut lasts, 0.5),
        }
    }

    /// Waits until all streams have the version. Returns when the last of them received it.
    async fn last_event(&mut self) -> Instant {
        let mut has = vec![false; self.count];
        let (mut missing, mut last) = (self.count, None);
        soon("the change reaches all streams", async {
            while missing > 0 {
                let seen = self.crowd.next().await;
                if seen.version >= self.version && !has[seen.stream] {
                    (has[seen.stream], missing) = (true, missing - 1);
                    last = last.max(Some(seen.at));
                }
            }
        })
        .await;
        last.unwrap()
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
