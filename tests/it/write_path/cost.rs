//! What a change and its delta cost: their statements, beside BEGIN and COMMIT. Each statement is a round trip to the database.

use serde_json::json;

use crate::support::{
    statements::Statements,
    test_app::{Db, TestApp},
};

/// How often each change is made.
const TIMES: u64 = 20;

/// The statements that the server itself may send meanwhile.
const OWN: u64 = 10;

/// Makes changes, reads them, and compares their statements with what they must cost.
async fn changes_cost_no_more_than_they_must(db: Db) {
    let statements = Statements::default();
    let _counted = metrics::set_default_local_recorder(&statements);
    let app = TestApp::start(db).await;
    let ann = app.user("ann");
    let entry = ann.add("A").await;
    let mut before = statements.count();
    let mut cost = || {
        let cost = statements.count() - before;
        before += cost;
        cost
    };
    cost();
    for number in 0..TIMES {
        ann.create_tag(&number.to_string()).await;
    }
    // The bump, the label, the log with the library's size. On SQLite also the head.
    let created = cost();
    for chapter in 0..TIMES {
        let input = json!({"id": entry["progress"]["id"], "currentChapter": chapter + 1});
        ann.update_progress(input).await;
    }
    // The head, the bump, the progress, its history, its change, the log. On the fast path: all that the change depends
    // on, the change.
    let updated = cost();
    let changes = "query ($since: Int!) { libraryChanges(since: $since) { changes { ... on Progress { id } } } }";
    let version = ann.version().await;
    cost();
    for _ in 0..TIMES {
        ann.ask(changes, json!({"since": version - 1})).await;
    }
    // The first statement, with the head, and the progress.
    let read = cost();
    assert!(read <= 2 * TIMES + OWN, "{read} for {TIMES} deltas");
    let (label, most) = match db {
        Db::Sqlite => (4, 6),
        Db::Postgres => (3, 2),
    };
    assert!(
        created <= label * TIMES + OWN,
        "{created} for {TIMES} labels"
    );
    assert!(
        updated <= most * TIMES + OWN,
        "{updated} for {TIMES} changes"
    );
}

#[tokio::test]
async fn changes_cost_no_more_statements_than_they_must_on_sqlite() {
    changes_cost_no_more_than_they_must(Db::Sqlite).await;
}

#[tokio::test]
async fn changes_cost_no_more_statements_than_they_must_on_postgres() {
    changes_cost_no_more_than_they_must(Db::Postgres).await;
}
