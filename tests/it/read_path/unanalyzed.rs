//! The plans of a walk over a library of which PostgreSQL has no statistics, as after the first import into a new database.

use serde_json::{Value, json};

use crate::support::test_app::{Db, TestApp, TestDatabase, soon};

/// The stories of the library. Each has a progress and the same tag.
const STORIES: usize = 4_000;

const CHANGES: &str = "query ($after: String) { libraryChanges(since: 0, first: 250, after: $after) { \
     hasMore endCursor changes { __typename ... on Story { id tags { name } } } } }";

/// Index entries that were read for a table.
const READ: &str =
    "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE relname = 'topaz_";

/// PostgreSQL counts the reads of a session when it ends.
const OTHER_SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity \
     WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_of_a_library_without_statistics_reads_each_row_about_once() {
    let database = TestDatabase::new(Db::Postgres).await;
    let tables = ["story", "progress", "story_tag"];
    let app = TestApp::start_on(database.shared(), &[]).await;
    for table in tables {
        let sql = format!("ALTER TABLE topaz_{table} SET (autovacuum_enabled = off)");
        database.execute(&sql).await;
    }
    let entry =
        |n| json!({"title": "t", "url": format!("https://example.org/{n}"), "tags": ["read"]});
    let entries: Vec<_> = (0..STORIES).map(entry).collect();
    // While a walk is at the progresses of one import, it does not read the stories of the next one.
    for import in entries.chunks(STORIES / 2) {
        app.user("ann")
            .mutate(
                "importLibrary",
                "ImportLibraryInput",
                json!({"entries": import}),
                "importedCount",
            )
            .await;
    }
    let read = async |mut app: TestApp| {
        app.stop().await;
        soon("the end of its sessions", async {
            while database.scalar::<i64>(OTHER_SESSIONS).await > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let mut read = Vec::new();
        for table in tables {
            read.push(database.scalar::<i64>(&format!("{READ}{table}'")).await);
        }
        read
    };
    let before = read(app).await;
    let app = TestApp::start_on(database.shared(), &[]).await;
    let mut after = Value::Null;
    let mut stories = 0;
    loop {
        let page = app.user("ann").ask(CHANGES, json!({"after": after})).await;
        let page = &page["libraryChanges"];
        let changes = page["changes"].as_array().unwrap();
        stories += changes
            .iter()
            .filter(|change| change["tags"][0]["name"] == "read")
            .count();
        if page["hasMore"] == false {
            break;
        }
        after = page["endCursor"].clone();
    }
    assert_eq!(stories, STORIES);
    let after = read(app).await;
    for ((table, before), after) in tables.iter().zip(before).zip(after) {
        let most = i64::try_from(STORIES + STORIES / 4).unwrap();
        assert!(
            after - before <= most,
            "{} entries of {table}",
            after - before
        );
    }
}
