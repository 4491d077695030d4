//! Deltas of one change, in large libraries, and full reloads. Yardsticks: the version query, and `psql`.

use serde_json::json;

use crate::{
    Args,
    http::{Connection, graphql, graphql_with, rate},
    node::{Node, token},
    reload::{self, Reload},
    support::servers::Server,
};

/// Users, and connections: one each.
const USERS: usize = 4;
/// Entries of one import.
const IMPORTED: usize = 5_000;

pub async fn measure(args: &Args, entries: usize) {
    let postgres = Server::postgres().await;
    let tokens: Vec<_> = (0..USERS).map(token).collect();
    fill(
        &Node::start(&args.programs[0], &postgres.url(), USERS).await,
        entries,
        &tokens,
    )
    .await;
    println!(
        "| program | round | entries | versions/s | deltas/s | ratio | statements per delta | reload, pages | ms | psql, ms \
         | ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for round in 1..=args.rounds {
        for (number, program) in args.programs() {
            let node = Node::start(program, &postgres.url(), USERS).await;
            let since = change(&node, &tokens).await;
            let delta = format!(
                "{{ libraryChanges(since: {}) {{ version epoch reset hasMore changes {{ __typename ... on Tag {{ id name stamp }} }} }} }}",
                since - 1
            );
            let requests = |query: &str| {
                let requests: Vec<_> = tokens.iter().map(|token| graphql(query, token)).collect();
                move |at: usize, _: usize| requests[at].clone()
            };
            let duration = args.duration();
            let warm = requests(&delta);
            rate(node.port, USERS, duration / 5, warm).await;
            let versions = rate(node.port, USERS, duration, requests("{ libraryVersion }")).await;
            let (deltas, each) = node.load(USERS, duration, requests(&delta)).await;
            let Reload { node, psql, pages } =
                reload::measure(node.port, &postgres, &tokens[0]).await;
            println!(
                "| {number} | {round} | {entries} | {versions:.0} | {deltas:.0} | {:.2} | {each:.2} | {pages} | {} | {} | {:.2} |",
                versions / deltas,
                node.as_millis(),
                psql.as_millis(),
                node.as_secs_f64() / psql.as_secs_f64(),
            );
        }
    }
}

/// Gives each user a library.
async fn fill(node: &Node, entries: usize, tokens: &[String]) {
    let import =
        "mutation ($input: ImportLibraryInput!) { importLibrary(input: $input) { importedCount } }";
    for token in tokens {
        let mut connection = Connection::open(node.port).await;
        let numbers: Vec<_> = (0..entries).collect();
        for part in numbers.chunks(IMPORTED) {
            let entry = |number: &usize| json!({"title": format!("Story {number}"), "url": format!("https://example.org/{number}"), "tags": ["read"]});
            let part: Vec<_> = part.iter().map(entry).collect();
            let input = json!({"input": {"entries": part}});
            let answer = connection.ask(&graphql_with(import, &input, token)).await;
            assert!(!answer.contains("\"errors\""), "{answer}");
        }
    }
}

/// Changes the library of each user. Returns the version of all of them.
async fn change(node: &Node, tokens: &[String]) -> i64 {
    let mut version = 0;
    for token in tokens {
        let mut connection = Connection::open(node.port).await;
        let name = uuid::Uuid::new_v4();
        let create =
            format!("mutation {{ createTag(input: {{name: \"{name}\"}}) {{ libraryVersion }} }}");
        let answer = connection.ask(&graphql(&create, token)).await;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        version = answer["data"]["createTag"]["libraryVersion"]
            .as_i64()
            .unwrap();
    }
    version
}
