//! The tables change under libraries that are in use: nothing is lost, whoever migrates, and however many do.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;

use crate::test_app::{Db, TestApp, TestDatabase, TestProcess, on_each_database, program};

/// Runs `library-sync migrate`, and returns what it prints.
pub fn migrate(database: &TestDatabase, arguments: &[&str]) -> String {
    let mut migrate = program();
    migrate
        .arg("migrate")
        .args(arguments)
        .args(["--database-url", &database.url]);
    let output = migrate.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Everything in our tables, by table.
async fn contents(db: Db, database: &TestDatabase) -> BTreeMap<String, String> {
    let tables = match db {
        Db::Sqlite => {
            "SELECT group_concat(name) FROM sqlite_master WHERE type = 'table' AND name LIKE 'topaz%'"
        }
        Db::Postgres => {
            "SELECT string_agg(tablename, ',') FROM pg_tables WHERE tablename LIKE 'topaz%'"
        }
    };
    let mut contents = BTreeMap::new();
    for table in database.scalar::<String>(tables).await.split(',') {
        let rows = match db {
            Db::Sqlite => {
                let columns = format!(
                    "SELECT group_concat('quote(' || name || ')', ' || ') FROM pragma_table_info('{table}')"
                );
                let row: String = database.scalar(&columns).await;
                format!(
                    "SELECT coalesce(group_concat(row, ';'), '') FROM (SELECT {row} AS row FROM {table} ORDER BY 1)"
                )
            }
            Db::Postgres => format!(
                "SELECT coalesce(string_agg(row::text, ';' ORDER BY row::text), '') FROM {table} row"
            ),
        };
        contents.insert(table.to_owned(), database.scalar(&rows).await);
    }
    contents
}

on_each_database! {
    async fn undoing_the_newest_changes_and_making_them_again_keeps_what_the_others_hold(db: Db) {
        let mut app = TestApp::start(db).await;
        let ann = app.user("ann");
        let tag = ann.create_tag("slow burn").await["tag"].take();
        let gone = ann.add("A").await["progress"].take();
        ann.delete_progress(&gone["id"]).await;
        let input = json!({"title": "B", "url": "https://example.org/b", "tagIds": [tag["id"]], "rating": 4.5});
        ann.create_story(input).await;
        assert_eq!(ann.version().await, 5);
        app.stop().await;

        let changes = migrate(&app.db, &["status"]).lines().count();
        for steps in 1..changes {
            let before = contents(db, &app.db).await;
            migrate(&app.db, &["down", "--steps", &steps.to_string()]);
            let left = contents(db, &app.db).await;
            migrate(&app.db, &["up"]);
            let after = contents(db, &app.db).await;
            assert!(!left["topaz_user"].is_empty());
            for table in left.keys() {
                assert_eq!((&left[table], &after[table]), (&before[table], &before[table]), "{table}");
            }
        }
        let app = app.restart(&[]).await;
        assert_eq!(app.user("ann").version().await, 5, "also when all but the first was undone");
        assert_eq!(app.user("ann").add("C").await["libraryVersion"], 6);
    }
}

#[tokio::test]
async fn servers_that_start_at_once_on_an_empty_database_all_come_up() {
    for _ in 0..3 {
        let database = TestDatabase::new(Db::Postgres).await;
        let servers = join_all((0..4).map(|_| TestProcess::serve(&database.url, &[]))).await;
        for (n, server) in servers.iter().enumerate() {
            let name = json!({"name": format!("tag {n}")});
            let change =
                "mutation ($name: String!) { createTag(input: {name: $name}) { libraryVersion } }";
            let answer = server.send("ann", change, name).await.unwrap();
            assert_eq!(
                answer["data"]["createTag"]["libraryVersion"],
                n + 2,
                "{answer}"
            );
        }
    }
}
