//! A restart under many users, who all reconnect at once.
//!
//! Each user has one event stream. The server is killed, and another server on the same database changes some libraries.
//! When the first server listens again, the streams reconnect with the id of their last event.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    Args,
    event_stream::{EventStream, open_all, open_many},
    http::{ask_all, get, per_second, version},
    mutations::create_tag,
    node::{Node, token},
    support::{deadline::soon, servers::Server},
};

const PATH: &str = "/api/library-version-events";

/// One of so many users has a change.
const ONE_OF: usize = 10;

/// Streams that reconnect at the same time. Their connections fit into the usual backlog of a listener.
const RECONNECTING: usize = 512;

/// A user's stream, and what it must learn.
struct Client {
    token: String,
    /// The id of the last event.
    last_id: String,
    /// The user's version.
    version: i64,
}

pub async fn measure(args: &Args, users: usize) {
    println!(
        "| program | round | users | changed | start, s | all on the newest version after, s | streams/s | \
         statements | refused connections |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for round in 1..=args.rounds {
        for (number, program) in args.programs() {
            let postgres = Server::postgres().await;
            let mut node = Node::start(program, &postgres.url(), users).await;
            let mut clients = before(&mut node, users).await;
            let other = Node::start(program, &postgres.url(), users).await;
            change_some(&mut clients, &other).await;
            drop(other);
            let started = Instant::now();
            node.restart().await;
            let start = started.elapsed().as_secs_f64();
            let began = Instant::now();
            let statements = node.statements().await;
            let clients = Arc::new(clients);
            let streams = open_many(users, RECONNECTING, |user| {
                let (clients, port) = (Arc::clone(&clients), node.port);
                async move { clients[user].reconnect(user, port).await }
            });
            let streams = streams.await;
            let lasted = began.elapsed();
            let statements = node.statements().await - statements;
            let refused: usize = streams.iter().map(|(_, refused)| refused).sum();
            println!(
                "| {number} | {round} | {users} | {} | {start:.2} | {:.2} | {:.0} | {statements} | {refused} |",
                users.div_ceil(ONE_OF),
                lasted.as_secs_f64(),
                per_second(users, lasted),
            );
        }
    }
}

/// Opens a stream for each user, and kills the node. Returns what each stream knows.
async fn before(node: &mut Node, users: usize) -> Vec<Client> {
    let tokens: Arc<Vec<_>> = Arc::new((0..users).map(token).collect());
    let port = node.port;
    let streams = open_all(users, |user| {
        let tokens = Arc::clone(&tokens);
        async move { EventStream::open_at(user, port, &get(PATH, &tokens[user])).await }
    });
    let streams = streams.await;
    node.kill();
    let known = |(user, (stream, version)): (usize, (EventStream, i64))| Client {
        token: tokens[user].clone(),
        last_id: stream.last_id,
        version,
    };
    streams.into_iter().enumerate().map(known).collect()
}

/// Changes the library of one of [`ONE_OF`] users.
async fn change_some(clients: &mut [Client], node: &Node) {
    let count = clients.len().div_ceil(ONE_OF);
    let changed = ask_all(node.port, count, |nth| {
        create_tag("a tag", &clients[nth * ONE_OF].token)
    });
    for (nth, body) in changed.await.iter().enumerate() {
        clients[nth * ONE_OF].version = version(body);
    }
}

impl Client {
    /// Opens a stream, and waits until it has the user's version. Returns it, and how often it was refused.
    async fn reconnect(&self, number: usize, port: u16) -> (EventStream, usize) {
        let last = format!("last-event-id: {}\r\nhost:", self.last_id);
        let request = get(PATH, &self.token).replacen("host:", &last, 1);
        soon("a stream has the newest version", async {
            let mut refused = 0;
            loop {
                if let Ok(mut stream) = EventStream::open(number, port, &request).await {
                    while let Some(version) = stream.next().await {
                        if version >= self.version {
                            assert_eq!(version, self.version, "a version that nobody made");
                            return (stream, refused);
                        }
                    }
                }
                refused += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }
}
