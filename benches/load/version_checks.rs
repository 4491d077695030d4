//! Version checks of as many users as connections.

use std::sync::Arc;

use crate::{
    Args,
    http::{get, graphql, rate},
    node::{Node, token},
    pgbench,
    support::servers::Server,
    yardsticks::{Yardstick, install_yoga},
};

/// Requests of each connection.
type Requests = Arc<Vec<String>>;

/// What the server is compared with, in requests or transactions per second.
struct Alone {
    pgbench: f64,
    route: f64,
    yoga: Option<f64>,
}

pub async fn measure(args: &Args, connections: usize, yoga: bool) {
    if yoga {
        install_yoga();
    }
    let postgres = Server::postgres().await;
    let requests = |request: fn(usize) -> String| (0..connections).map(request).collect();
    let gets: Requests = Arc::new(requests(|user| get("/api/library-version", &token(user))));
    let posts: Requests = Arc::new(requests(|user| graphql("{ libraryVersion }", &token(user))));
    println!(
        "| program | round | GET/s | POST/s | statements per check | pgbench/s | ratio of GET | ratio of POST | static \
         route/s | ratio of GET | graphql-yoga/s | ratio of POST |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for round in 1..=args.rounds {
        for (number, program) in args.programs() {
            let node = Node::start(program, &postgres.url(), connections).await;
            // The first requests of a node open its connections.
            rate(node.port, connections, args.duration() / 5, each(&gets)).await;
            let duration = args.duration();
            let (got, statements) = node.load(connections, duration, each(&gets)).await;
            let (posted, more) = node.load(connections, duration, each(&posts)).await;
            drop(node);
            let statements = (statements * got + more * posted) / (got + posted);
            let alone = Alone::measure(args, &postgres, &posts, yoga).await;
            let Alone { pgbench, route, .. } = alone;
            let yoga = alone.yoga.map_or(" | ".to_owned(), |yoga| {
                format!("{yoga:.0} | {:.1}", posted / yoga)
            });
            println!(
                "| {number} | {round} | {got:.0} | {posted:.0} | {statements:.2} | {pgbench:.0} | {:.2} | {:.2} \
                 | {route:.0} | {:.2} | {yoga} |",
                got / pgbench,
                posted / pgbench,
                got / route,
            );
        }
    }
}

impl Alone {
    async fn measure(args: &Args, postgres: &Server, posts: &Requests, yoga: bool) -> Self {
        let (connections, duration) = (posts.len(), args.duration());
        let script = format!(
            "\\set n random(0, {})\nSELECT subject, library_version, library_epoch, library_floor \
             FROM topaz_user WHERE subject = 'user-' || :n;\n",
            connections - 1
        );
        let pgbench = pgbench::rate(postgres, &script, connections, args.seconds());
        let route = {
            let server = Yardstick::static_route().await;
            let request = get("/", &token(0));
            rate(server.port, connections, duration, move |_, _| {
                request.clone()
            })
            .await
        };
        let yoga = if yoga {
            let server = Yardstick::yoga(&postgres.url()).await;
            // The first requests compile the program.
            rate(server.port, connections, duration / 5, each(posts)).await;
            Some(rate(server.port, connections, duration, each(posts)).await)
        } else {
            None
        };
        Self {
            pgbench,
            route,
            yoga,
        }
    }
}

/// The requests of each connection, for [`rate`].
fn each(requests: &Requests) -> impl Fn(usize, usize) -> String + Clone + Send + 'static + use<> {
    let requests = Arc::clone(requests);
    move |at, _| requests[at].clone()
}
