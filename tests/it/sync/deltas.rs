//! Deltas: the changes since a version.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
    time::Duration,
};

use library_sync::library::Retention;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    support::programs::Finish as _,
    support::test_app::{
        Db, TestApp, TestDatabase, TestProcess, TestUser, on_each_database, program, token,
    },
    sync::library_events::Events,
};

const CHANGES: &str = "query ($since: Int!, $epoch: ID, $first: Int! = 500, $after: String) { libraryChanges(since: $since, epoch: $epoch, first: $first, after: $after) { version epoch reset hasMore endCursor changes { __typename ... on Tag { id stamp } ... on Fandom { id stamp } ... on Story { id stamp tags { id } } ... on Progress { id stamp storyId } ... on Tombstone { rowId stamp kind } } } }";

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

/// Pages through a whole library. Returns the numbers of rows and pages. Panics if a page has more text than `most`.
async fn walk(user: &TestUser<'_>, most: usize) -> (usize, u32) {
    let query = "query ($after: String) { libraryChanges(since: 0, first: 1000, after: $after) { hasMore endCursor changes { __typename ... on Story { id description } ... on Progress { id notes story { id } } ... on Tag { id } } } }";
    let (mut after, mut found, mut pages) = (Value::Null, BTreeSet::new(), 0);
    loop {
        let page = user.ask(query, json!({"after": after})).await["libraryChanges"].take();
        pages += 1;
        let changes = page["changes"].as_array().unwrap();
        let text = |change: &Value, field: &str| change[field].as_str().map_or(0, str::len);
        let texts = changes
            .iter()
            .map(|change| text(change, "description") + text(change, "notes"));
        assert!(texts.sum::<usize>() <= most, "{page}");
        let id = |change: &Value| change["id"].as_str().unwrap().to_owned();
        found.extend(changes.iter().map(id));
        after = page["endCursor"].clone();
        if page["hasMore"] == false {
            return (found.len(), pages);
        }
    }
}

on_each_database! {
    async fn a_delta_has_rows_and_tombstones_in_stamp_order_with_referenced_rows_first(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let tag = ann.create_tag("t").await["tag"]["id"].take();
        let a = ann.create_story(json!({"title": "A", "url": "https://example.org/a", "tagIds": [tag]})).await["progress"].take();
        let b = ann.add("B").await["progress"].take();
        ann.update_progress(json!({"id": a["id"], "currentChapter": 2})).await;
        ann.delete_progress(&b["id"]).await;
        let all = ann.ask(CHANGES, json!({"since": 0})).await["libraryChanges"].take();
        assert_eq!(stamps(&all), named(&[("Tag", 2), ("Story", 3), ("Progress", 5)]), "a new copy needs no tombstones");
        assert_eq!((&all["version"], &all["hasMore"], &all["reset"]), (&json!(6), &json!(false), &json!(false)));
        assert_eq!(all["changes"][1]["tags"], json!([{"id": tag}]));
        let since = ann.ask(CHANGES, json!({"since": 4, "epoch": all["epoch"]})).await["libraryChanges"].take();
        assert_eq!(stamps(&since), named(&[("Progress", 5), ("Tombstone", 6), ("Tombstone", 6)]));
        let nothing = ann.ask(CHANGES, json!({"since": 6})).await["libraryChanges"].take();
        assert_eq!((stamps(&nothing), &nothing["version"]), (vec![], &json!(6)));
    }

    async fn a_delta_tells_the_head_itself(db: Db) {
        let app = TestApp::start(db).await;
        for (name, variables, reset) in [
            ("ann", json!({"since": 0}), false),
            ("bob", json!({"since": 7}), true),
        ] {
            let user = app.user(name);
            for _ in 0..2 {
                let response = user.send(CHANGES, variables.clone()).await;
                let page = &response["data"]["libraryChanges"];
                assert_eq!((&page["reset"], &page["version"]), (&json!(reset), &json!(1)), "of a new user, and again");
                assert_eq!(response["extensions"]["libraryVersion"], 1);
            }
            user.create_tag("a").await;
            let response = user.send(CHANGES, json!({"since": 1})).await;
            assert_eq!(response["extensions"]["libraryVersion"], 2);
            let refused = user.send(CHANGES, json!({"since": -1})).await;
            assert_eq!((&refused["data"], &refused["extensions"]["libraryVersion"]), (&Value::Null, &json!(2)));
        }
    }

    async fn a_page_is_limited_by_bytes_and_all_pages_together_are_complete(db: Db) {
        let app = TestApp::start_with(db, &["--max-changes-bytes", "10000"]).await;
        let ann = app.user("ann");
        let tags = [ann.create_tag("t").await, ann.create_tag("u").await].map(|made| made["tag"]["id"].clone());
        for n in 0..6 {
            let (description, notes) = ("d".repeat(3_000), "n".repeat(2_000));
            let url = format!("https://example.org/{n}");
            ann.create_story(json!({"title": "A", "url": url, "tagIds": tags, "description": description, "notes": notes})).await;
        }
        assert_eq!(walk(&ann, 13_000).await, (14, 4));
        let app = app.restart(&["--max-changes-bytes", "1"]).await;
        assert_eq!(walk(&app.user("ann"), 3_000).await, (14, 14), "a page has one change at least");
    }

    async fn a_copy_that_cannot_be_updated_gets_a_reset(db: Db) {
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
        assert_eq!(ann.version().await, 5, "purging is not a change");
    }

    async fn rows_of_two_kinds_with_one_id_leave_two_tombstones_at_any_page_size(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let ids = [Uuid::now_v7(), Uuid::now_v7()];
        for id in ids {
            let url = format!("https://example.org/{id}");
            ann.create_story(json!({"title": "A", "url": url, "storyId": id, "progressId": id})).await;
        }
        for id in ids {
            ann.delete_progress(&json!(id)).await;
        }
        for first in [1, 2, 3, 4] {
            let (mut received, mut after) = (Vec::new(), Value::Null);
            loop {
                let page = ann.ask(CHANGES, json!({"since": 3, "first": first, "after": after})).await["libraryChanges"].take();
                received.extend(page["changes"].as_array().unwrap().iter().map(|change| json!([change["rowId"], change["kind"]])));
                after = page["endCursor"].clone();
                if page["hasMore"] == false {
                    break;
                }
            }
            let [a, b] = ids;
            assert_eq!(json!(received), json!([[a, "PROGRESS"], [a, "STORY"], [b, "PROGRESS"], [b, "STORY"]]), "first: {first}");
        }
    }

    async fn a_walk_over_imports_has_each_row_once_and_in_order_at_any_page_size(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        for import in 0..3 {
            let entry = |n| json!({"title": "A", "url": format!("https://example.org/{import}/{n}"), "tags": [format!("{import}")]});
            let entries: Vec<_> = (0..3).map(entry).collect();
            ann.mutate("importLibrary", "ImportLibraryInput", json!({"entries": entries}), "importedCount").await;
        }
        let walk = async |first: i32| {
            let (mut received, mut after) = (Vec::new(), Value::Null);
            loop {
                let page = ann.ask(CHANGES, json!({"since": 0, "first": first, "after": after})).await["libraryChanges"].take();
                received.extend(page["changes"].as_array().unwrap().clone());
                after = page["endCursor"].clone();
                if page["hasMore"] == false {
                    return received;
                }
            }
        };
        let all = walk(100).await;
        let of_import = |stamp| [("Tag", 1), ("Story", 3), ("Progress", 3)].map(|kind| vec![(kind.0, stamp); kind.1]).concat();
        assert_eq!(stamps(&json!({"changes": all})), named(&[2, 3, 4].map(of_import).concat()));
        for first in 1..=15 {
            assert_eq!(walk(first).await, all, "first: {first}");
        }
    }

    async fn a_new_epoch_resets_every_copy_and_is_sent_to_streams(db: Db) {
        let app = TestApp::start_with(db, &["--heartbeat", "200ms"]).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        bob.version().await;
        ann.add("A").await;
        let before = ann.ask(CHANGES, json!({"since": 0})).await["libraryChanges"].take();
        let mut events = [Events::open(&ann).await, Events::open(&bob).await];
        let number = |page: &Value| page["epoch"].as_str().unwrap().parse::<i64>().unwrap();
        let mut epochs = Vec::new();
        for stream in &mut events {
            epochs.push(number(&stream.next_change().await));
        }
        let begin = |whose: &[&str]| {
            let run = program().args(["epoch", "new"]).args(whose).args(["--database-url", &app.db.url]).finish();
            (run.status.code(), String::from_utf8(run.stdout).unwrap())
        };
        assert_eq!(begin(&["--user", "ann"]), (Some(0), "1 users begin a new epoch\n".to_owned()));
        let after = ann.ask(CHANGES, json!({"since": 2, "epoch": before["epoch"]})).await["libraryChanges"].take();
        assert_eq!(after["reset"], true);
        assert!(number(&after) > number(&before));
        let event = events[0].next_change().await;
        assert_eq!((number(&event), &event["version"]), (number(&after), &json!(2)));
        assert_eq!(ann.add("B").await["libraryVersion"], 3);
        assert_eq!(events[0].next_change().await["version"], 3);

        assert_eq!(begin(&[]), (Some(0), "2 users begin a new epoch\n".to_owned()));
        for (stream, (before, version)) in events.iter_mut().zip([(number(&after), 3), (epochs[1], 1)]) {
            let event = stream.next_change().await;
            assert!(number(&event) > before && event["version"] == version, "{event}");
        }
        assert_eq!(begin(&["--user", "nobody"]).0, Some(1));
    }

    async fn invalid_arguments_are_refused(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        for wrong in [
            json!({"since": -1}), json!({"since": 0, "first": 0}), json!({"since": 0, "first": 1001}),
            json!({"since": 0, "after": "x"}), json!({"since": 0, "epoch": "x"}),
        ] {
            assert_eq!(ann.refused(CHANGES, wrong.clone()).await, "BAD_USER_INPUT", "{wrong}");
        }
    }

    async fn paging_through_twenty_thousand_entries_yields_the_library(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        assert_eq!(ann.version().await, 1);
        fill(&app.db, db, 20_000).await;
        let mut walked = Stamps::new();
        let (mut after, mut pages) = (Value::Null, 0);
        loop {
            if pages % 10 == 5 {
                // Concurrent writes: to rows that were delivered before, and to rows that were not yet.
                ann.add("meanwhile").await;
                for (change, order) in [("edit", "UPDATED_AT"), ("edit", "CREATED_AT"), ("delete", "UPDATED_AT"), ("delete", "TITLE")] {
                    let direction = if pages % 20 == 5 { "ASC" } else { "DESC" };
                    let query = format!("{{ progresses(first: 1, orderBy: {{field: {order}, direction: {direction}}}) {{ edges {{ node {{ id }} }} }} }}");
                    let id = ann.ask(&query, json!({})).await["progresses"]["edges"][0]["node"]["id"].take();
                    match change {
                        "edit" => ann.update_progress(json!({"id": id, "currentChapter": pages})).await,
                        _ => ann.delete_progress(&id).await,
                    };
                }
            }
            let page = ann.ask(CHANGES, json!({"since": 0, "first": 1000, "after": after})).await["libraryChanges"].take();
            for change in page["changes"].as_array().unwrap() {
                let is_gone = change["__typename"] == "Tombstone";
                let id: Uuid = change[if is_gone { "rowId" } else { "id" }].as_str().unwrap().parse().unwrap();
                let kind = if is_gone { &change["kind"] } else { &change["__typename"] };
                let key = (kind.as_str().unwrap().to_uppercase(), id);
                if is_gone {
                    walked.remove(&key);
                } else {
                    walked.insert(key, change["stamp"].as_i64().unwrap());
                }
            }
            pages += 1;
            after = page["endCursor"].clone();
            if page["hasMore"] == false {
                break;
            }
        }
        assert!(pages >= 40);
        let stored = stamps_of(&app.db).await;
        assert_eq!(stored.len(), 2 * (20_000 + pages / 10 - 2 * (pages / 10)), "added and deleted meanwhile");
        assert!(walked == stored, "{} walked, {} stored", walked.len(), stored.len());
    }

    async fn a_delta_is_read_by_index_in_a_library_of_any_size(db: Db) {
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
        fill_the_rest(&database).await;
        let before = std::fs::read_to_string(log.path()).unwrap().len();
        // One change per page, so that pages start after each kind of change.
        let mut after = Value::Null;
        for kind in ["Tag", "Fandom", "Story", "Progress", "Tombstone", "Tag"] {
            let page = server.send("ann", CHANGES, json!({"since": 19_990, "first": 1, "after": after})).await.unwrap();
            let page = &page["data"]["libraryChanges"];
            assert_eq!(page["changes"][0]["__typename"], kind);
            after = page["endCursor"].clone();
        }
        let text = std::fs::read_to_string(log.path()).unwrap();
        let ran = text[before..].lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let selects: BTreeSet<_> = ran
            .filter_map(|line| line["db.statement"].as_str().map(str::to_owned))
            .filter(|sql| sql.starts_with("SELECT") && sql.contains("stamp"))
            .collect();
        database.execute("UPDATE topaz_user SET library_version = 10000, library_floor = 10000, library_epoch = 2").await;
        let firsts: Vec<_> = selects.iter().filter(|sql| sql.contains("newest_progress")).collect();
        // From the start, and after each kind but stories and progresses, which leave the same rows of the others.
        assert_eq!(firsts.len(), 5, "{firsts:?}");
        for sql in firsts {
            for plan in plans(&database, db, sql).await {
                for table in ["topaz_tag", "topaz_fandom", "topaz_tombstone"] {
                    let steps = steps_on(db, table, &plan);
                    assert!(is_bounded(db, table, steps), "{table}\n{sql}\n{plan}");
                }
                for table in ["topaz_story", "topaz_progress"] {
                    let step = match db {
                        Db::Sqlite => format!("SEARCH {table} USING COVERING INDEX {table}_stamp (user_id=?)"),
                        Db::Postgres => format!("Backward using {table}_stamp on {table} (actual rows=1 loops=1)"),
                    };
                    assert!(plan.contains(&step), "{sql}\n{plan}");
                }
            }
        }
        for table in ["topaz_story", "topaz_progress"] {
            let pages = selects.iter().filter(|sql| sql.contains("page_before") && sql.contains(&format!("FROM \"{table}\"")));
            let pages: Vec<_> = pages.collect();
            // From the start, after another kind and after its own kind.
            assert!(pages.len() >= 3, "{pages:?}");
            for sql in pages {
                for plan in plans(&database, db, sql).await {
                    assert!(is_bounded(db, table, &plan), "{sql}\n{plan}");
                }
            }
        }
    }

    async fn the_version_check_supports_if_none_match(db: Db) {
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
        assert!(etag.starts_with(&format!("\"{}.1-", body["epoch"].as_str().unwrap())), "{etag}");
        assert_eq!(get(Some(etag.clone())).await.status(), 304);
        ann.add("A").await;
        let moved = get(Some(etag)).await;
        assert_eq!(moved.status(), 200);
        assert_eq!(moved.json::<Value>().await.unwrap()["version"], 2);
        assert_eq!(app.http.get(app.url("/api/library-version")).send().await.unwrap().status(), 401);
    }
}

/// Gives the new user `ann` this many entries, each with its own stamp.
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

/// Gives `ann` a tag, a fandom and a tombstone per story, with its stamp.
async fn fill_the_rest(database: &TestDatabase) {
    let connection = database.connect().await;
    for table in ["topaz_tag", "topaz_fandom"] {
        let sql = format!(
            "INSERT INTO {table} (user_id, id, stamp, name, name_key, created_at, updated_at)
             SELECT user_id, id, stamp, url, url, 0, 0 FROM topaz_story"
        );
        connection.execute_unprepared(&sql).await.unwrap();
    }
    for sql in [
        "INSERT INTO topaz_tombstone (user_id, kind, id, stamp, removed_at)
         SELECT user_id, 'Tag', id, stamp, 0 FROM topaz_story",
        "ANALYZE",
    ] {
        connection.execute_unprepared(sql).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// The stamps of all stories and progresses, by kind and id.
type Stamps = BTreeMap<(String, Uuid), i64>;

async fn stamps_of(database: &TestDatabase) -> Stamps {
    let connection = database.connect().await;
    let mut stamps = Stamps::new();
    for (kind, table) in [("STORY", "topaz_story"), ("PROGRESS", "topaz_progress")] {
        let sql = format!("SELECT id, stamp FROM {table}");
        let statement = Statement::from_string(connection.get_database_backend(), sql);
        for row in connection.query_all_raw(statement).await.unwrap() {
            let key = (kind.to_owned(), row.try_get_by_index(0).unwrap());
            let stamp: i32 = row.try_get_by_index(1).unwrap();
            stamps.insert(key, stamp.into());
        }
    }
    connection.close().await.unwrap();
    stamps
}

/// The query plans of a statement: one on SQLite; on PostgreSQL the custom plan for a page in the middle of the
/// library and the generic plan, both executed, with the number of rows read.
async fn plans(database: &TestDatabase, db: Db, sql: &str) -> Vec<String> {
    let connection = database.connect().await;
    if db == Db::Sqlite {
        let text = rows(&connection, &format!("EXPLAIN QUERY PLAN {sql}"), 3).await;
        return vec![text];
    }
    let prepare = format!("PREPARE q AS {sql}");
    connection.execute_unprepared(&prepare).await.unwrap();
    let types = "SELECT unnest(parameter_types)::text FROM pg_prepared_statements WHERE name = 'q'";
    let types = rows(&connection, types, 0).await;
    let values: Vec<_> = types
        .lines()
        .map(|of| match of {
            "text" => "'ann'",
            "integer" => "10000",
            "uuid" => "'80000000-0000-0000-0000-000000000000'",
            "bigint" => "2",
            other => panic!("{other}: {sql}"),
        })
        .collect();
    let run = format!(
        "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE q({})",
        values.join(", ")
    );
    let mut plans = Vec::new();
    for mode in ["force_custom_plan", "force_generic_plan"] {
        let set = format!("SET plan_cache_mode = {mode}");
        connection.execute_unprepared(&set).await.unwrap();
        plans.push(rows(&connection, &run, 0).await);
    }
    connection.close().await.unwrap();
    plans
}

/// One column of the result of `sql`, one line per row.
async fn rows(connection: &DatabaseConnection, sql: &str, column: usize) -> String {
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(statement).await.unwrap();
    rows.iter()
        .map(|row| row.try_get_by_index::<String>(column).unwrap() + "\n")
        .collect()
}

/// Whether a plan seeks to a stamp in the index, and reads from there in order.
fn is_bounded(db: Db, table: &str, plan: &str) -> bool {
    let index = format!("{table}_stamp");
    match db {
        Db::Sqlite => {
            let search = format!("SEARCH {table} USING INDEX {index} (user_id=? AND ");
            let to_stamp = plan.split_once(&search).is_some_and(|(_, bounds)| {
                bounds.starts_with("stamp>") || bounds.starts_with("(stamp,id)>")
            });
            // A page limited by bytes sorts the rows within its limit.
            let is_page = plan.contains("sized");
            let sorted = plan.replace("FOR LAST TERM OF ORDER BY", "");
            to_stamp && (is_page || !sorted.contains("TEMP B-TREE FOR"))
        }
        Db::Postgres => {
            let is_condition = |line: &&str| line.contains("Index Cond:") && line.contains("stamp");
            // At most two rows of the index are discarded, for the order of equal ids and the limit.
            let read = |line: &str| {
                let (_, rest) = line.split_once("Rows Removed by Filter: ")?;
                rest.trim().parse::<u32>().ok()
            };
            plan.contains(&format!("using {index} on {table}"))
                && plan.lines().filter(is_condition).count() == 1
                && plan.lines().filter_map(read).all(|rows| rows <= 2)
                && !plan.contains(&format!("Seq Scan on {table} "))
                && most_rows(plan) <= 4
        }
    }
}

/// The largest row count of a node of a PostgreSQL plan.
fn most_rows(plan: &str) -> u32 {
    let given = |line: &str| {
        let (_, rest) = line.split_once("(actual rows=")?;
        rest.split([' ', '.']).next()?.parse().ok()
    };
    plan.lines().filter_map(given).max().unwrap_or(u32::MAX)
}

/// The steps of a plan that read a table by stamps: on PostgreSQL one node, with its conditions.
fn steps_on<'p>(db: Db, table: &str, plan: &'p str) -> &'p str {
    let node = format!("using {table}_stamp on {table} ");
    match plan.find(&node).filter(|_| db == Db::Postgres) {
        Some(at) => plan[at..].split("->").next().unwrap(),
        None => plan,
    }
}
