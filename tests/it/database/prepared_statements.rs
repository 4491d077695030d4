//! PostgreSQL's plans of prepared statements, in a database without statistics, as that of a new server.

use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use serde_json::json;

use crate::support::{
    servers::Server,
    test_app::{TestApp, TestDatabase},
};

const SETTINGS: [&str; 4] = [
    "shared_preload_libraries=pg_stat_statements",
    "pg_stat_statements.track_planning=on",
    "autovacuum=off",
    "fsync=off",
];

/// Starts PostgreSQL, and a server with one connection to it. Returns a connection to the statistics too.
async fn start() -> (Server, TestApp, DatabaseConnection) {
    let postgres = Server::postgres_with(&SETTINGS).await;
    let database = TestDatabase::at(postgres.url());
    let app = TestApp::start_on(database.shared(), &["--database-connections", "1"]).await;
    let db = database.connect().await;
    let setup = "CREATE EXTENSION pg_stat_statements";
    db.execute_unprepared(setup).await.unwrap();
    (postgres, app, db)
}

/// A number of `pg_stat_statements`.
async fn number(db: &DatabaseConnection, select: &str) -> i64 {
    let select = Statement::from_string(db.get_database_backend(), select);
    let row = db.query_one_raw(select).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

#[tokio::test]
async fn the_change_of_a_progress_is_planned_once_for_all_values() {
    let (_postgres, app, db) = start().await;
    let ann = app.user("ann");
    let id = ann.add("A").await["progress"]["id"].take();
    for chapter in 1..=40 {
        ann.update_progress(json!({"id": id, "currentChapter": chapter}))
            .await;
        let again = json!({"id": id, "rating": f64::from(chapter) / 10.0, "idempotencyKey": format!("{chapter}")});
        ann.update_progress(again).await;
    }
    let of_change = "FROM pg_stat_statements WHERE query LIKE '%bumped AS%'";
    let calls = number(&db, &format!("SELECT sum(calls)::bigint {of_change}")).await;
    let plans = number(&db, &format!("SELECT sum(plans)::bigint {of_change}")).await;
    assert_eq!(calls, 80);
    // Five for given values and one for any, of each of two texts.
    assert!(plans <= 12, "{plans}");
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_list_of_ids_is_read_once_not_once_a_row() {
    let (_postgres, app, db) = start().await;
    let ann = app.user("ann");
    let page = "query ($after: String) { libraryChanges(since: 0, first: 1000, after: $after) {
        endCursor changes { ... on Story { tags { name } } ... on Progress { story { title } } } } }";
    let entry = |n| json!({"title": format!("Story {n}"), "url": format!("https://example.org/{n}"), "tags": ["read"]});
    let import = async |count: usize| {
        let entries: Vec<_> = (0..count).map(entry).collect();
        let input = json!({"entries": entries});
        ann.mutate(
            "importLibrary",
            "ImportLibraryInput",
            input,
            "importedCount",
        )
        .await;
    };
    // PostgreSQL keeps the plans that it makes for empty tables.
    for _ in 0..8 {
        import(1).await;
        ann.ask(page, json!({"after": null})).await;
    }
    import(5_000).await;
    let mut after = json!(null);
    for _ in 0..10 {
        let mut read = ann.ask(page, json!({"after": after})).await;
        let delta = read["libraryChanges"].take();
        assert_eq!(delta["changes"].as_array().unwrap().len(), 1_000);
        after = delta["endCursor"].clone();
    }
    let longest = "SELECT round(max(max_exec_time))::bigint FROM pg_stat_statements WHERE query LIKE 'SELECT%uuid[]%'";
    let millis = number(&db, longest).await;
    assert!(millis < 400, "{millis} ms");
    db.close().await.unwrap();
}
