//! Version checks of as many users as connections.

use std::sync::Arc;

use crate::{
    Args,
    http::{get, graphql, rate},
    node::{Node, token},
    pgbench,
    support::servers::Server,
};

pub async fn measure(args: &Args, connections: usize) {
    let postgres = Server::postgres().await;
    let tokens: Arc<Vec<_>> = Arc::new((0..connections).map(token).collect());
    let gets: Arc<Vec<_>> = Arc::new(
        tokens
            .iter()
            .map(|token| get("/api/library-version", token))
            .collect(),
    );
    let posts: Arc<Vec<_>> = Arc::new(
        tokens
            .iter()
            .map(|token| graphql("{ libraryVersion }", token))
            .collect(),
    );
    println!(
        "| program | round | GET/s | POST/s | pgbench/s | GET ratio | POST ratio | statements per check |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let script = format!(
        "\\set n random(0, {})\nSELECT subject, library_version, library_epoch, library_floor \
         FROM topaz_user WHERE subject = 'user-' || :n;\n",
        connections - 1
    );
    for round in 1..=args.rounds {
        for (number, program) in args.programs() {
            let node = Node::start(program, &postgres.url(), connections).await;
            let (port, duration) = (node.port, args.duration());
            // The first requests of a node open its connections.
            let warm = Arc::clone(&gets);
            rate(port, connections, duration / 5, move |at, _| {
                warm[at].clone()
            })
            .await;
            let before = node.statements().await;
            let (gets, posts) = (Arc::clone(&gets), Arc::clone(&posts));
            let got = rate(port, connections, duration, move |at, _| gets[at].clone()).await;
            let posted = rate(port, connections, duration, move |at, _| posts[at].clone()).await;
            let statements = node.statements().await - before;
            drop(node);
            let alone = pgbench::rate(&postgres, &script, connections, args.seconds);
            #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
            let each = statements as f64 / ((got + posted) * duration.as_secs_f64());
            println!(
                "| {number} | {round} | {got:.0} | {posted:.0} | {alone:.0} | {:.2} | {:.2} | {each:.2} |",
                got / alone,
                posted / alone,
            );
        }
    }
}
