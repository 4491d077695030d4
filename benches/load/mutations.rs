//! Mutations of different users: each creates a tag, or reads a chapter.
//!
//! On PostgreSQL, `pgbench` sends the same statements, also one transaction after another on as many connections, each
//! with its own user. For `updateProgress` it also sends the change alone, which is one statement.

use std::sync::Arc;

use clap::ValueEnum;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    Args,
    http::{ask_all, graphql, graphql_with},
    node::{Node, token},
    pgbench,
    support::servers::Server,
};

/// The users of each connection, in turn. A user may have only so many tags, and PostgreSQL scans a table of few users
/// whole, with all earlier versions of their rows.
const USERS: usize = 100;

const CREATE_TAG: &str = include_str!("pgbench/create-tag.sql");
const PROGRESS_READ: &str = include_str!("pgbench/update-progress-read.sql");
const PROGRESS_CHANGE: &str = include_str!("pgbench/update-progress.sql");
/// The id of a client's progress, in a script: that of [`progress`].
const PROGRESS: &str = "('00000000-0000-7000-8000-' || lpad(:client_id::text, 12, '0'))::uuid";

/// The kind of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Database {
    #[default]
    Postgres,
    Sqlite,
}

/// The mutation to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Kind {
    /// `createTag`.
    #[default]
    CreateTag,
    /// `updateProgress`.
    UpdateProgress,
}

/// What a node stores its libraries in.
pub enum Store {
    Postgres(Server),
    Sqlite(TempDir),
}

impl Store {
    /// Starts PostgreSQL with these settings, each `name=value`, or makes a folder for a file.
    pub async fn start(database: Database, settings: &[&str]) -> Self {
        match database {
            Database::Postgres => Self::Postgres(Server::postgres_with(settings).await),
            Database::Sqlite => Self::Sqlite(TempDir::with_prefix("library-sync-load-").unwrap()),
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::Postgres(server) => server.url(),
            Self::Sqlite(folder) => {
                format!(
                    "sqlite://{}?mode=rwc",
                    folder.path().join("library.db").display()
                )
            }
        }
    }
}

pub async fn measure(args: &Args, database: Database, kind: Kind, connections: usize) {
    let store = Store::start(database, &[]).await;
    let tokens: Arc<Vec<_>> = Arc::new((0..connections * USERS).map(token).collect());
    println!(
        "| program | round | mutations/s | statements per mutation | pgbench, same statements/s | ratio | pgbench, change \
         alone/s | ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for round in 1..=args.rounds {
        for (number, program) in args.programs() {
            let node = Node::start(program, &store.url(), connections).await;
            let run = format!("{number}-{round}");
            let first = (round, number) == (1, 1);
            fill(&node, kind, first, &run, &tokens).await;
            let requests = {
                let tokens = Arc::clone(&tokens);
                move |at: usize, count: usize| {
                    // Users are numbered like the clients of `pgbench` first.
                    let user = at + connections * (count % USERS);
                    let nth = (round as usize * 10 + number) * 1_000_000 + count;
                    kind.request(user, &format!("{run}-{at}-{nth}"), nth, &tokens[user])
                }
            };
            let (made, each) = node.load(connections, args.duration(), requests).await;
            drop(node);
            let alone = match &store {
                Store::Postgres(server) => kind.alone(server, connections, args.seconds()),
                Store::Sqlite(_) => [None; 2],
            };
            let [same, change] = alone.map(|alone| {
                alone.map_or(" | ".to_owned(), |alone| {
                    format!("{alone:.0} | {:.2}", made / alone)
                })
            });
            println!("| {number} | {round} | {made:.0} | {each:.2} | {same} | {change} |");
        }
    }
}

/// Gives each user a row to change, and counts their library, which the first change after it did otherwise.
async fn fill(node: &Node, kind: Kind, first: bool, run: &str, tokens: &[String]) {
    ask_all(node.port, tokens.len(), |user| match kind {
        Kind::CreateTag => create_tag(&format!("{run}-first"), &tokens[user]),
        Kind::UpdateProgress if first => add_progress(user, &tokens[user]),
        Kind::UpdateProgress => graphql("{ libraryVersion }", &tokens[user]),
    })
    .await;
}

/// The request that creates a tag.
pub fn create_tag(name: &str, token: &str) -> String {
    let query = "mutation ($name: String!) { createTag(input: {name: $name}) { libraryVersion } }";
    graphql_with(query, &json!({"name": name}), token)
}

/// The request that adds the progress of a user to the library.
pub fn add_progress(user: usize, token: &str) -> String {
    let query = "mutation ($id: ID!) { createStoryWithProgress(input: {title: \"A story\", \
                 url: \"https://example.org/1\", progressId: $id}) { libraryVersion } }";
    graphql_with(query, &json!({"id": progress(user)}), token)
}

/// The request that reads a chapter of this progress.
pub fn read_chapter(user: usize, chapter: usize, token: &str) -> String {
    let query = "mutation ($id: ID!, $chapter: Int!) { \
                 updateProgress(input: {id: $id, currentChapter: $chapter}) { libraryVersion } }";
    let variables = json!({"id": progress(user), "chapter": chapter});
    graphql_with(query, &variables, token)
}

impl Kind {
    fn request(self, user: usize, name: &str, chapter: usize, token: &str) -> String {
        match self {
            Self::CreateTag => create_tag(name, token),
            Self::UpdateProgress => read_chapter(user, chapter, token),
        }
    }

    /// What PostgreSQL does alone in a second: of the server's statements, and of the statement that makes the change, if
    /// there is a single one.
    fn alone(self, postgres: &Server, connections: usize, seconds: u64) -> [Option<f64>; 2] {
        let rate = |script: &str| Some(pgbench::rate(postgres, script, connections, seconds));
        match self {
            Self::CreateTag => [rate(CREATE_TAG), None],
            Self::UpdateProgress => {
                let change = PROGRESS_CHANGE.replace("{progress}", PROGRESS);
                let read = PROGRESS_READ.replace("{progress}", PROGRESS);
                [rate(&format!("{read}{change}")), rate(&change)]
            }
        }
    }
}

/// The id of a user's progress.
fn progress(user: usize) -> String {
    format!("00000000-0000-7000-8000-{user:012}")
}
