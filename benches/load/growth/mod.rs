//! How the cost of each operation grows with a library, among many users with small libraries.
//!
//! The node has two connections, and users with small libraries send every operation first: PostgreSQL may then choose
//! plans that suit them only. An operation that does not grow takes the same time in each column.

mod libraries;
mod operations;
mod table;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use self::{
    operations::{Operation, WALK, operations},
    table::Table,
};
use crate::{
    Args,
    http::{Connection, post},
    mutations::{Database, Store},
    node::{Node, token},
};

/// The most time that one request may take.
const DEADLINE: Duration = Duration::from_mins(2);

/// Users with small libraries that send each operation before it is timed. PostgreSQL may choose a plan for all users
/// after five on a connection.
const WARMING: usize = 16;

/// The sizes of libraries.
#[derive(clap::Args)]
pub struct Growth {
    /// Users with a library of one story.
    #[arg(long, default_value_t = 1_000_000)]
    users: usize,
    /// Stories of each large library.
    #[arg(long, value_delimiter = ',', default_value = "1250,20000,200000")]
    stories: Vec<usize>,
    /// The database.
    #[arg(long, value_enum, default_value_t)]
    database: Database,
}

/// A library, and who asks for it.
pub struct Reader {
    /// The number of its user.
    pub user: usize,
    /// The number of its stories.
    pub stories: usize,
    token: String,
    connection: Connection,
}

pub async fn measure(args: &Args, growth: &Growth) {
    let store = Store::start(growth.database, &["max_wal_size=8GB"]).await;
    let url = &store.url();
    // Creates the tables.
    drop(start(&args.programs[0], url).await);
    let began = Instant::now();
    libraries::fill(url, growth).await;
    println!("filled in {:.0} s", began.elapsed().as_secs_f64());
    for (number, program) in args.programs() {
        let node = start(program, url).await;
        let large = growth.stories.len();
        for user in large..large + WARMING.min(growth.users) {
            let mut small = Reader::open(&node, user, 1).await;
            for operation in operations(&mut small, number).await {
                small.time(&operation).await;
            }
            small.walk().await;
        }
        let mut table = Table::default();
        for (user, stories) in growth.stories.iter().enumerate() {
            let mut reader = Reader::open(&node, user, *stories).await;
            for operation in operations(&mut reader, number).await {
                table.add(operation.name, reader.time(&operation).await);
            }
            table.add("initial sync, all pages of changes", reader.walk().await);
        }
        println!("program {number}, {} users, milliseconds", growth.users);
        table.print(&growth.stories);
    }
}

async fn start(program: &Path, url: &str) -> Node {
    let more = ["--database-connections", "2", "--statement-timeout", "100s"];
    Node::start_with(program, url, 1, &more).await
}

impl Reader {
    async fn open(node: &Node, user: usize, stories: usize) -> Self {
        Self {
            user,
            stories,
            token: token(user),
            connection: Connection::open(node.port).await,
        }
    }

    /// Sends a request, and returns its `data`.
    pub async fn ask(&mut self, body: &Value) -> Value {
        let request = post(body, &self.token);
        let answer = tokio::time::timeout(DEADLINE, self.connection.ask(&request)).await;
        let answer = answer.unwrap_or_else(|_| panic!("no answer within {DEADLINE:?}: {body}"));
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"].take()
    }

    /// Returns the median time of an operation.
    async fn time(&mut self, operation: &Operation) -> Duration {
        let mut times = Vec::new();
        for body in &operation.bodies {
            let began = Instant::now();
            self.ask(body).await;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        times[times.len() / 2]
    }

    /// Reads all changes, page by page. Returns the time of all pages.
    async fn walk(&mut self) -> Duration {
        let began = Instant::now();
        let mut after = Value::Null;
        loop {
            let body = serde_json::json!({"query": WALK, "variables": {"after": after}});
            let page = self.ask(&body).await["libraryChanges"].take();
            if page["hasMore"] == false {
                return began.elapsed();
            }
            after = page["endCursor"].clone();
        }
    }
}
