//! Idle streams: how fast they open, the memory of each, and what heartbeats cost. Yardstick: the subscribers of nchan.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    Args,
    event_stream::open_all,
    http::{Connection, per_second},
    nchan::{self, Nchan},
    node::{Node, memory_each, token},
    support::{deadline::soon, servers::Server},
    transport::Transport,
};

/// The size of the load.
#[derive(clap::Args)]
pub struct Streams {
    /// Streams.
    #[arg(long, default_value_t = 2_000)]
    count: usize,
    /// The transport of the streams.
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,
    /// Also measures memory and CPU time after this time, in seconds.
    #[arg(long, default_value_t = 0)]
    idle: u64,
    /// The interval of heartbeats during that time, in seconds.
    #[arg(long, default_value_t = 5)]
    heartbeat: u64,
}

/// Streams that were opened.
struct Opened {
    rate: f64,
    statements: u64,
    streams: Vec<Connection>,
}

/// What idle streams cost.
struct Idle {
    /// KiB each when they were open, and later.
    fresh: f64,
    later: f64,
    /// CPU time, in % of a core.
    core: f64,
}

pub async fn measure(args: &Args, load: &Streams) {
    let count = load.count;
    let tokens: Arc<Vec<_>> = Arc::new((0..count).map(token).collect());
    println!(
        "| program | round | streams | new users: opened/s | statements | known users: opened/s | statements | KiB each | \
         after {} s | % of a core | nchan: KiB each | ratio |",
        load.idle
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for round in 1..=args.rounds {
        for (number, program) in args.programs() {
            let postgres = Server::postgres().await;
            let node = Node::start(program, &postgres.url(), count).await;
            let new = load.timed(&node, &tokens).await;
            drop(new.streams);
            drop(node);
            let heartbeat = format!("{}s", load.heartbeat);
            let more = ["--heartbeat", &heartbeat];
            let node = Node::start_with(program, &postgres.url(), count, &more).await;
            let (known, idle) = load.idle(&node, &tokens).await;
            // The subscribers of nchan need the files of these streams.
            drop(known.streams);
            let nchan = load.nchan().await.map_or(" | ".to_owned(), |nchan| {
                format!("{nchan:.2} | {:.2}", idle.later / nchan)
            });
            println!(
                "| {number} | {round} | {count} | {:.0} | {} | {:.0} | {} | {:.2} | {:.2} | {:.2} | {nchan} |",
                new.rate,
                new.statements,
                known.rate,
                known.statements,
                idle.fresh,
                idle.later,
                idle.core
            );
        }
    }
}

impl Streams {
    /// Opens streams of known users, and leaves them idle.
    async fn idle(&self, node: &Node, tokens: &Arc<Vec<String>>) -> (Opened, Idle) {
        // The first requests of a node open its connections.
        drop(self.open(node, tokens, 1).await);
        let before = node.memory();
        let known = self.timed(node, tokens).await;
        let each = || memory_each(node.memory(), before, self.count);
        let (fresh, cpu, began) = (each(), node.cpu_time(), Instant::now());
        sleep(Duration::from_secs(self.idle)).await;
        let cpu = node.cpu_time().saturating_sub(cpu);
        let core = 100.0 * cpu.as_secs_f64() / began.elapsed().as_secs_f64().max(1.0);
        let later = each();
        (known, Idle { fresh, later, core })
    }

    /// The memory of a subscriber of nchan in KiB, unless it is not installed or the transport is another one.
    async fn nchan(&self) -> Option<f64> {
        if self.transport != Transport::Events || nchan::missing().is_some() {
            return None;
        }
        let (_nchan, _subscribers, each) = Nchan::with_subscribers(self.count).await;
        Some(each)
    }

    async fn timed(&self, node: &Node, tokens: &Arc<Vec<String>>) -> Opened {
        drop(self.open(node, tokens, 1).await);
        let before = node.statements().await;
        let began = Instant::now();
        let streams = self.open(node, tokens, self.count).await;
        let rate = per_second(self.count, began.elapsed());
        let statements = node.statements().await - before;
        Opened {
            rate,
            statements,
            streams,
        }
    }

    /// Opens a stream for each of the first `count` tokens, and waits for its first event.
    async fn open(&self, node: &Node, tokens: &Arc<Vec<String>>, count: usize) -> Vec<Connection> {
        let (port, transport) = (node.port, self.transport);
        open_all(count, |number| {
            let tokens = Arc::clone(tokens);
            async move {
                let stream = transport.open(port, &tokens[number]);
                soon("the first event of a stream", stream).await
            }
        })
        .await
    }
}
