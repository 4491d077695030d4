//! Migrations on databases in use: they lose no data, also with concurrent and with older servers.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde_json::{Value, json};

use sea_orm::ConnectionTrait as _;

use crate::support::programs::Finish as _;
use crate::support::test_app::{
    Db, TestApp, TestDatabase, TestProcess, on_each_database, program, soon,
};

/// Runs `library-sync migrate`, and returns what it prints.
pub fn migrate(database: &TestDatabase, arguments: &[&str]) -> String {
    let mut migrate = program();
    migrate
        .arg("migrate")
        .args(arguments)
        .args(["--database-url", &database.url]);
    let output = migrate.finish();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

/// A row of a table: its columns, by name.
type Row = BTreeMap<String, Value>;

/// The rows of our tables, by table.
async fn contents(db: Db, database: &TestDatabase) -> BTreeMap<String, Vec<Row>> {
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
                    "SELECT group_concat(quote(name) || ', quote(' || name || ')') FROM pragma_table_info('{table}')"
                );
                let row: String = database.scalar(&columns).await;
                format!("SELECT json_group_array(json_object({row})) FROM {table}")
            }
            Db::Postgres => {
                format!("SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]')::text FROM {table} r")
            }
        };
        let rows: String = database.scalar(&rows).await;
        contents.insert(table.to_owned(), serde_json::from_str(&rows).unwrap());
    }
    contents
}

/// The rows, limited to the columns of another version of their table.
fn in_columns_of(like: &[Row], rows: &[Row]) -> BTreeSet<String> {
    let columns = like.first().into_iter().flat_map(Row::keys);
    let columns: BTreeSet<_> = columns.collect();
    let held = rows.iter().map(|row| {
        let held = row.iter().filter(|(column, _)| columns.contains(column));
        format!("{:?}", held.collect::<Vec<_>>())
    });
    held.collect()
}

on_each_database! {
    async fn migrating_down_and_up_keeps_the_data_of_the_other_migrations(db: Db) {
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
            for (table, left) in &left {
                // A column that a migration adds is removed with it.
                let [before, left, after] = [&before[table], left, &after[table]].map(|rows| in_columns_of(left, rows));
                assert_eq!((&left, &after), (&before, &before), "{table}");
            }
        }
        let app = app.restart(&[]).await;
        assert_eq!(app.user("ann").version().await, 5, "also after all migrations but the first were undone");
        assert_eq!(app.user("ann").add("C").await["libraryVersion"], 6);
    }
}

on_each_database! {
    async fn a_database_with_a_newer_migration_is_still_served(db: Db) {
        let mut app = TestApp::start(db).await;
        app.user("ann").add("A").await;
        let from_the_future = "INSERT INTO seaql_migrations VALUES ('m20990101_000001_later', 1)";
        app.db.execute(from_the_future).await;
        // The older server continues, and can restart.
        assert_eq!(app.user("ann").add("B").await["libraryVersion"], 3);
        app.stop().await;
        let app = app.restart(&[]).await;
        assert_eq!(app.user("ann").add("C").await["libraryVersion"], 4);
        let status = migrate(&app.db, &["status"]);
        assert!(!status.contains("pending"), "{status}");
    }
}

/// Rewrites the rows of a table at version 4 like an older server, which knows only these columns.
async fn write_as_an_older_server(db: &TestDatabase, table: &str, columns: &str) {
    for sql in [
        format!(
            "INSERT INTO {table} (stamp, {columns}) SELECT -4, {columns} FROM {table} WHERE stamp = 4"
        ),
        format!("DELETE FROM {table} WHERE stamp = 4"),
        format!("UPDATE {table} SET stamp = 4 WHERE stamp = -4"),
    ] {
        db.execute(&sql).await;
    }
}

on_each_database! {
    async fn a_change_by_an_older_server_hides_no_conflict(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let (id, base) = (ann.add("A").await["progress"]["id"].take(), ann.head().await);
        let note = |text: &str, device: &str| json!({"id": id, "notes": text, "device": {"id": device}});
        ann.update_progress(note("of the tablet", "tablet")).await;
        ann.update_progress(note("of the phone", "phone")).await;
        let columns = "user_id, kind, id, field, was, changed_at";
        write_as_an_older_server(&app.db, "topaz_field_change", columns).await;
        for text in ["late", "later"] {
            let mut late = note(text, "phone");
            late["base"] = json!(base);
            let response = ann.update_progress(late).await;
            assert_eq!(response["refusal"]["code"], "CONFLICT", "{response}");
            // A later write of a newer server hides no conflict either.
            ann.update_progress(note("of the phone again", "phone")).await;
        }
    }
}

on_each_database! {
    async fn a_label_removed_by_an_older_server_is_known_to_be_removed(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let tag = ann.create_tag("slow burn").await["tag"]["id"].take();
        let input = json!({"title": "A", "url": "https://example.org/a", "tagIds": [tag]});
        let story = ann.create_story(input).await["progress"]["story"]["id"].take();
        let base = ann.head().await;
        let delete = "mutation ($id: ID!) { deleteTag(input: {id: $id}) { libraryVersion } }";
        assert_eq!(ann.ask(delete, json!({"id": tag})).await["deleteTag"]["libraryVersion"], 4);
        let columns = "user_id, kind, id, removed_at, carriers";
        write_as_an_older_server(&app.db, "topaz_label_removal", columns).await;
        let merge = json!({"id": story, "title": "B", "tagIds": [tag], "base": base, "onConflict": "MERGE"});
        let response = ann.update_story(merge).await;
        assert_eq!(response["story"]["tags"], json!([]), "{response}");
        assert_eq!(response["story"]["title"], "B");
    }
}

#[tokio::test]
async fn a_database_with_a_different_migration_history_is_refused() {
    let database = TestDatabase::new(Db::Sqlite).await;
    migrate(&database, &["up"]);
    migrate(&database, &["down", "--steps", "1"]);
    let from_the_future = "INSERT INTO seaql_migrations VALUES ('m20990101_000001_later', 1)";
    database.execute(from_the_future).await;
    let mut up = program();
    up.args(["migrate", "up", "--database-url", &database.url]);
    let error = String::from_utf8(up.finish().stderr).unwrap();
    assert!(error.contains("m20990101_000001_later"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_waits_for_table_locks_without_blocking_other_clients() {
    let mut app = TestApp::start(Db::Postgres).await;
    app.user("ann").add("A").await;
    app.stop().await;
    migrate(&app.db, &["down", "--steps", "99"]);
    // The lock of a long query of an older app.
    let reader = app.db.connect().await;
    for sql in [
        "CREATE TABLE topaz_user (id text PRIMARY KEY)",
        "INSERT INTO topaz_user VALUES ('ann')",
        "BEGIN",
        "SELECT * FROM topaz_user",
    ] {
        reader.execute_unprepared(sql).await.unwrap();
    }
    let url = app.db.url.clone();
    let starting = tokio::spawn(async move { TestProcess::serve(&url, &[]).await });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
        AND application_name = 'library-sync migration'";
    soon("the migration waits", async {
        while app.db.scalar::<i64>(waiting).await == 0 {}
    })
    .await;
    // Its lock timeout lets other clients use the table.
    for _ in 0..3 {
        let another = "INSERT INTO topaz_user VALUES (gen_random_uuid()::text)";
        app.db.execute(another).await;
    }
    reader.execute_unprepared("COMMIT").await.unwrap();
    let server = soon("the server starts", starting).await.unwrap();
    let response = server
        .send("ann", "{ libraryVersion }", json!({}))
        .await
        .unwrap();
    assert_eq!(response["data"]["libraryVersion"], 1, "{response}");
}

#[tokio::test]
async fn servers_that_start_at_once_on_an_empty_database_all_become_ready() {
    for _ in 0..3 {
        let database = TestDatabase::new(Db::Postgres).await;
        let servers = join_all((0..4).map(|_| TestProcess::serve(&database.url, &[]))).await;
        for (n, server) in servers.iter().enumerate() {
            let name = json!({"name": format!("tag {n}")});
            let change =
                "mutation ($name: String!) { createTag(input: {name: $name}) { libraryVersion } }";
            let response = server.send("ann", change, name).await.unwrap();
            assert_eq!(
                response["data"]["createTag"]["libraryVersion"],
                n + 2,
                "{response}"
            );
        }
    }
}
