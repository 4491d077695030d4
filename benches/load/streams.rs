//! Idle streams: how fast they open, and the memory of each.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    Args,
    event_stream::open_all,
    http::{Connection, per_second},
    node::{Node, token},
    support::servers::Server,
    transport::Transport,
};

pub async fn measure(args: &Args, count: usize, transport: Transport, idle: Duration) {
    let tokens: Arc<Vec<_>> = Arc::new((0..count).map(token).collect());
    let more: &[_] = if idle.is_zero() {
        &[]
    } else {
        &["--heartbeat", "5s"]
    };
    println!(
        "| program | round | streams | new users: opened/s | statements | known users: opened/s | statements | KiB each | \
         after {idle:?} |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for round in 1..=args.rounds {
        for (number, program) in args.programs() {
            let postgres = Server::postgres().await;
            let node = Node::start(program, &postgres.url(), count).await;
            // The first requests of a node open its connections.
            drop(open(&node, transport, &tokens, 1).await);
            let (new, new_statements, streams) = timed(&node, transport, &tokens, count).await;
            drop(streams);
            drop(node);
            let node = Node::start_with(program, &postgres.url(), count, more).await;
            drop(open(&node, transport, &tokens, 1).await);
            let before = node.memory();
            let (known, known_statements, streams) = timed(&node, transport, &tokens, count).await;
            #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
            let each = || (node.memory() - before) as f64 / count as f64;
            let fresh = each();
            tokio::time::sleep(idle).await;
            println!(
                "| {number} | {round} | {count} | {new:.0} | {new_statements} | {known:.0} | {known_statements} | {fresh:.2} \
                 | {:.2} |",
                each()
            );
            drop(streams);
        }
    }
}

/// Opens streams. Returns their rate, their statements, and the streams.
async fn timed(
    node: &Node,
    transport: Transport,
    tokens: &Arc<Vec<String>>,
    count: usize,
) -> (f64, u64, Vec<Connection>) {
    let before = node.statements().await;
    let began = Instant::now();
    let streams = open(node, transport, tokens, count).await;
    let rate = per_second(count, began.elapsed());
    (rate, node.statements().await - before, streams)
}

/// Opens a stream for each of the first `count` tokens, and waits for its first event.
async fn open(
    node: &Node,
    transport: Transport,
    tokens: &Arc<Vec<String>>,
    count: usize,
) -> Vec<Connection> {
    open_all(count, |number| {
        let (port, tokens) = (node.port, Arc::clone(tokens));
        async move { transport.open(port, &tokens[number]).await }
    })
    .await
}
