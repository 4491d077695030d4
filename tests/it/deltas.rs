//! What changed since a version.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use library_sync::library::Retention;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};

use crate::test_app::{Db, TestApp, TestDatabase, TestProcess, on_each_database, program, token};

const CHANGES: &str = "query ($since: Int!, $epoch: ID, $first: Int! = 500, $after: String) { libraryChanges(since: $since, epoch: $epoch, first: $first, after: $after) { version epoch reset hasMore endCursor changes { __typename ... on Tag { id stamp } ... on Fandom { id stamp } ... on Story { id stamp tags { id } } ... on Progress { id stamp storyId } ... on Tombstone { id stamp kind } } } }";

fn stamps(page: &Value) -> Vec<(String, i64)> {
    let of = |change: &Value| {
        (
            change["__typename"].as_str().unwrap().to_owned(),
            change["stamp"].as_i64().unwrap(),
        )
    };
    page["changes"].as_array().unwrap().iter().map(of).collect()
}

fn named(expected: &[(&str, i64)]) -> Vec<(String, i64)> {
    expected
        .iter()
        .map(|(kind, stamp)| ((*kind).to_owned(), *stamp))
        .collect()
}

on_each_database! {
    async fn rows_stamped_after_and_tombstones_come_in_stamp_order_what_is_referred_to_first(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let tag = ann.create_tag("t").await["tag"]["id"].take();
        let a = ann.create_story(json!({"title": "A", "url": "https://example.org/a", "tagIds": [tag]})).await["progress"].take();
        let b = ann.add("B").await["progress"].take();
        ann.update_progress(json!({"id": a["id"], "currentChapter": 2})).await;
        ann.delete_progress(&b["id"]).await;
        let all = ann.ask(CHANGES, json!({"since": 0})).await["libraryChanges"].take();
        assert_eq!(stamps(&all), named(&[("Tag", 2), ("Story", 3), ("Progress", 5)]), "who has nothing needs no tombstones");
        assert_eq!((&all["version"], &all["hasMore"], &all["reset"]), (&json!(6), &json!(false), &json!(false)));
        assert_eq!(all["changes"][1]["tags"], json!([{"id": tag}]));
        let since = ann.ask(CHANGES, json!({"since": 4, "epoch": all["epoch"]})).await["libraryChanges"].take();
        assert_eq!(stamps(&since), named(&[("Progress", 5), ("Tombstone", 6), ("Tombstone", 6)]));
        let nothing = ann.ask(CHANGES, json!({"since": 6})).await["libraryChanges"].take();
        assert_eq!((stamps(&nothing), &nothing["version"]), (vec![], &json!(6)));
    }

    async fn a_copy_that_cannot_be_brought_up_to_date_is_told_to_start_afresh(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        for title in ["A", "B"] {
            let made = ann.add(title).await["progress"]["id"].take();
            ann.delete_progress(&made).await;
        }
        let now = ann.ask(CHANGES, json!({"since": 2})).await["libraryChanges"].take();
        assert_eq!(now["reset"], false);
        let reset = async |variables: Value| {
            let page = ann.ask(CHANGES, variables).await["libraryChanges"].take();
            assert!(page["reset"] == false || page["changes"] == json!([]));
            page["reset"] == true
        };
        assert!(reset(json!({"since": 6})).await, "above the head");
        assert!(reset(json!({"since": 2, "epoch": "1"})).await, "another epoch");
        let (history, receipts) = (Duration::ZERO, Duration::from_hours(1));
        app.library.purge(Retention { history, receipts }).await.unwrap();
        assert!(reset(json!({"since": 4})).await, "below the floor");
        assert!(!reset(json!({"since": 5, "epoch": now["epoch"]})).await);
        assert!(!reset(json!({"since": 0})).await);
        assert_eq!(ann.version().await, 5, "purging is no change");
    }

    async fn a_new_epoch_starts_every_copy_afresh_and_streams_learn_of_it(db: Db) {
        let app = TestApp::start_with(db, &["--heartbeat", "200ms"]).await;
        let ann = app.user("ann");
        ann.add("A").await;
        let before = ann.ask(CHANGES, json!({"since": 0})).await["libraryChanges"].take();
        let (code, out) = {
            let run = program().args(["epoch", "new", "--user", "ann", "--database-url", &app.db.url]).output().unwrap();
            (run.status.code(), String::from_utf8(run.stdout).unwrap())
        };
        assert_eq!((code, out.as_str()), (Some(0), "1 users begin a new epoch\n"));
        let after = ann.ask(CHANGES, json!({"since": 2, "epoch": before["epoch"]})).await["libraryChanges"].take();
        assert_eq!(after["reset"], true);
        let number = |page: &Value| page["epoch"].as_str().unwrap().parse::<i64>().unwrap();
        assert!(number(&after) > number(&before));
        assert_eq!(ann.add("B").await["libraryVersion"], 3);
        let unknown = program().args(["epoch", "new", "--user", "nobody", "--database-url", &app.db.url]).output().unwrap();
        assert_eq!(unknown.status.code(), Some(1));
    }

    async fn arguments_that_make_no_sense_are_refused(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        for wrong in [
            json!({"since": -1}), json!({"since": 0, "first": 0}), json!({"since": 0, "first": 1001}),
            json!({"since": 0, "after": "x"}), json!({"since": 0, "epoch": "x"}),
        ] {
            assert_eq!(ann.refused(CHANGES, wrong.clone()).await, "BAD_USER_INPUT", "{wrong}");
        }
    }

    async fn a_walk_of_twenty_thousand_entries_equals_the_library(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        assert_eq!(ann.version().await, 1);
        fill(&app.db, db, 20_000).await;
        let mut rows = BTreeMap::new();
        let (mut after, mut pages) = (Value::Null, 0);
        loop {
            // Somebody writes meanwhile.
            if pages % 10 == 0 {
                ann.add("meanwhile").await;
            }
            let page = ann.ask(CHANGES, json!({"since": 0, "first": 1000, "after": after})).await["libraryChanges"].take();
            for change in page["changes"].as_array().unwrap() {
                let key = (change["__typename"].to_string(), change["id"].to_string());
                rows.insert(key, change["stamp"].as_i64().unwrap());
            }
            pages += 1;
            after = page["endCursor"].clone();
            if page["hasMore"] == false {
                break;
            }
        }
        for (kind, table) in [("\"Story\"", "topaz_story"), ("\"Progress\"", "topaz_progress")] {
            let walked = rows.iter().filter(|(key, _)| key.0 == kind);
            let (count, sum) = walked.fold((0, 0), |(count, sum), (_, stamp)| (count + 1, sum + stamp));
            let stored: i64 = app.db.scalar(&format!("SELECT count(*) FROM {table}")).await;
            let stored_sum: i64 = app.db.scalar(&format!("SELECT CAST(sum(stamp) AS bigint) FROM {table}")).await;
            assert_eq!((count, sum), (stored, stored_sum), "{kind}");
        }
    }

    async fn what_changed_since_is_found_by_index_however_large_the_library(db: Db) {
        let database = TestDatabase::new(db).await;
        let log = tempfile::NamedTempFile::new().unwrap();
        let server = TestProcess::serve_logging(
            &database.url,
            &["--log", "library_sync::library::database=trace", "--log-format", "json"],
            Stdio::from(log.reopen().unwrap()),
        )
        .await;
        server.send("ann", "{ libraryVersion }", json!({})).await.unwrap();
        fill(&database, db, 20_000).await;
        let before = std::fs::read_to_string(log.path()).unwrap().len();
        let page = server.send("ann", CHANGES, json!({"since": 20_000})).await.unwrap();
        assert_eq!(page["data"]["libraryChanges"]["changes"].as_array().unwrap().len(), 2);
        let text = std::fs::read_to_string(log.path()).unwrap();
        let ran = text[before..].lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let lists: Vec<_> = ran
            .filter_map(|line| line["db.statement"].as_str().map(str::to_owned))
            .filter(|sql| sql.starts_with("SELECT") && sql.contains("stamp"))
            .collect();
        assert!(lists.len() >= 5, "tags, fandoms, stories, progresses, tombstones: {lists:?}");
        for sql in lists {
            let plan = plan(&database, db, &sql).await;
            match db {
                Db::Sqlite => assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE FOR ORDER BY") || sql.contains("JOIN"), "{sql}\n{plan}"),
                Db::Postgres => assert!(!plan.contains("Seq Scan on topaz_story\n") && !plan.contains("Seq Scan on topaz_progress"), "{sql}\n{plan}"),
            }
            if sql.contains("ORDER BY") && !sql.contains("JOIN") && (sql.contains("topaz_story") || sql.contains("topaz_progress")) {
                assert!(plan.contains("stamp>") || plan.contains("stamp >"), "bounded by the stamp: {sql}\n{plan}");
            }
        }
    }

    async fn the_version_is_its_own_validator(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let get = |etag: Option<String>| {
            let mut request = app.http.get(app.url("/api/library-version")).bearer_auth(token("ann"));
            if let Some(etag) = etag {
                request = request.header("if-none-match", etag);
            }
            async move { request.send().await.unwrap() }
        };
        let first = get(None).await;
        let etag = first.headers()["etag"].to_str().unwrap().to_owned();
        let body: Value = first.json().await.unwrap();
        assert_eq!(body["version"], 1);
        assert_eq!(etag, format!("\"{}.1\"", body["epoch"].as_str().unwrap()));
        assert_eq!(get(Some(etag.clone())).await.status(), 304);
        ann.add("A").await;
        let moved = get(Some(etag)).await;
        assert_eq!(moved.status(), 200);
        assert_eq!(moved.json::<Value>().await.unwrap()["version"], 2);
        assert_eq!(app.http.get(app.url("/api/library-version")).send().await.unwrap().status(), 401);
    }
}

/// Gives the user `ann`, who has nothing, this many entries, each with a stamp of its own.
async fn fill(database: &TestDatabase, db: Db, entries: u32) {
    let connection = database.connect().await;
    let (series, id) = match db {
        Db::Sqlite => (
            format!(
                "WITH RECURSIVE n(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n <= {entries})"
            ),
            "randomblob(16)",
        ),
        Db::Postgres => (
            format!("WITH n(n) AS (SELECT generate_series(2, {entries} + 1))"),
            "gen_random_uuid()",
        ),
    };
    let statements = [
        format!(
            "INSERT INTO topaz_story (user_id, id, stamp, title, author, url, source, status, is_nsfw, title_key, author_key, search_key, created_at, updated_at)
             {series} SELECT 'ann', {id}, n, 'title', 'author', 'https://example.org/' || n, 'Other', 'Ongoing', false, 'title', 'author', 'title', 0, 0 FROM n"
        ),
        "INSERT INTO topaz_progress (user_id, id, stamp, story_id, status, search_key, created_at, updated_at)
         SELECT user_id, id, stamp, id, 'NotStarted', '', 0, 0 FROM topaz_story".to_owned(),
        format!("UPDATE topaz_user SET library_version = {entries} + 1"),
        "ANALYZE".to_owned(),
    ];
    for sql in statements {
        connection.execute_unprepared(&sql).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// The database's plan for a statement, whatever its values.
async fn plan(database: &TestDatabase, db: Db, sql: &str) -> String {
    let connection = database.connect().await;
    let explain = match db {
        Db::Sqlite => format!("EXPLAIN QUERY PLAN {sql}"),
        Db::Postgres => {
            connection
                .execute_unprepared("SET plan_cache_mode = force_generic_plan")
                .await
                .unwrap();
            connection
                .execute_unprepared(&format!("PREPARE q AS {sql}"))
                .await
                .unwrap();
            let values = (1..100)
                .take_while(|n| sql.contains(&format!("${n}")))
                .map(|_| "NULL")
                .collect::<Vec<_>>();
            format!("EXPLAIN EXECUTE q({})", values.join(", "))
        }
    };
    let column = match db {
        Db::Sqlite => 3,
        Db::Postgres => 0,
    };
    let statement = Statement::from_string(connection.get_database_backend(), explain);
    let rows = connection.query_all_raw(statement).await.unwrap();
    rows.iter()
        .map(|row| row.try_get_by_index::<String>(column).unwrap() + "\n")
        .collect()
}
