//! The version moves if and only if the change commits, by one, in order.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::support::test_app::{Db, TestApp, on_each_database, soon, token};

on_each_database! {
    async fn a_library_never_changed_is_at_version_1(db: Db) {
        let app = TestApp::start(db).await;
        assert_eq!(app.user("ann").version().await, 1);
    }

    async fn each_change_moves_the_version_by_one_however_many_rows_it_touches(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let tag = ann.create_tag("slow burn").await;
        assert_eq!(tag["libraryVersion"], 2);
        let tag_id = &tag["tag"]["id"];
        let input = json!({"title": "A", "url": "https://example.org/a", "tagIds": [tag_id]});
        let entry = ann.create_story(input).await;
        assert_eq!(entry["libraryVersion"], 3);
        let progress_id = &entry["progress"]["id"];
        let progress = ann.update_progress(json!({"id": progress_id, "currentChapter": 4})).await;
        assert_eq!(progress["libraryVersion"], 4);
        assert_eq!(ann.delete_progress(progress_id).await["libraryVersion"], 5);
        assert_eq!(ann.version().await, 5);
    }

    async fn every_row_a_change_touches_carries_its_version(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let entry = ann.add("A").await["progress"].take();
        assert_eq!((&entry["stamp"], &entry["story"]["stamp"]), (&json!(2), &json!(2)));
        let progress = ann.update_progress(json!({"id": entry["id"], "readingStatus": "READING"})).await;
        assert_eq!(progress["progress"]["stamp"], 3);
        let story = ann.update_story(json!({"id": entry["story"]["id"], "title": "B"})).await;
        assert_eq!(story["story"]["stamp"], 4);
    }

    async fn a_row_that_is_removed_leaves_a_tombstone_with_the_version(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let entry = ann.add("A").await["progress"].take();
        ann.delete_progress(&entry["id"]).await;
        for kind in ["Story", "Progress"] {
            let sql = format!("SELECT stamp FROM topaz_tombstone WHERE kind = '{kind}'");
            assert_eq!(app.db.scalar::<i32>(&sql).await, 3, "{kind}");
        }
    }

    async fn a_tombstone_keeps_the_row_as_it_was_until_it_is_purged(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let tag = ann.create_tag("slow burn").await["tag"]["id"].take();
        let fandom = ann.mutate("createFandom", "CreateLabelInput", json!({"name": "f"}), "fandom { id }").await["fandom"]["id"].take();
        let input = json!({
            "title": "A", "url": "https://example.org/a", "summary": "s", "wordCount": 7, "tagIds": [tag], "fandomIds": [fandom],
            "currentChapter": 4, "rating": 4.5, "notes": "n", "readingStatus": "READING",
        });
        let entry = ann.create_story(input).await["progress"].take();
        ann.delete_progress(&entry["id"]).await;
        ann.mutate("deleteTag", "DeleteLabelInput", json!({"id": tag}), "deletedTagId").await;
        let held = async |kind: &str| {
            let sql = format!("SELECT held FROM topaz_tombstone WHERE kind = '{kind}'");
            serde_json::from_str::<Value>(&app.db.scalar::<String>(&sql).await).unwrap()
        };
        let story = held("Story").await;
        assert_eq!((&story["tagIds"], &story["fandomIds"]), (&json!([tag]), &json!([fandom])));
        let (row, content) = (&story["story"], &story["story"]["content"]);
        assert_eq!((&row["id"], &row["stamp"]), (&entry["story"]["id"], &json!(4)));
        assert_eq!((&content["title"], &content["summary"], &content["wordCount"]), (&json!("A"), &json!("s"), &json!(7)));
        let progress = held("Progress").await;
        assert_eq!((&progress["id"], &progress["story_id"]), (&entry["id"], &entry["story"]["id"]));
        let state = json!({"status": "READING", "currentChapter": 4, "rating": 4.5, "notes": "n"});
        assert_eq!(progress["state"], state);
        assert_eq!(held("Tag").await["name"], "slow burn");
        let changes = ann.ask("{ libraryChanges(since: 4) { changes { ... on Tombstone { kind stamp } } } }", json!({})).await;
        assert_eq!(changes["libraryChanges"]["changes"].as_array().unwrap().len(), 3);
        let (history, receipts) = (Duration::ZERO, Duration::ZERO);
        // Rows of the current millisecond would be kept.
        tokio::time::sleep(Duration::from_millis(2)).await;
        app.library.purge(library_sync::library::Retention { history, receipts }).await.unwrap();
        assert_eq!(app.db.scalar::<i64>("SELECT count(*) FROM topaz_tombstone").await, 0);
    }

    async fn a_row_recreated_with_its_id_leaves_no_tombstone(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let entry = ann.add("A").await["progress"].take();
        ann.delete_progress(&entry["id"]).await;
        let again = json!({
            "title": "A", "url": "https://example.org/a", "storyId": entry["story"]["id"], "progressId": entry["id"],
        });
        assert_eq!(ann.create_story(again).await["refusal"], Value::Null);
        assert_eq!(app.db.scalar::<i64>("SELECT count(*) FROM topaz_tombstone").await, 0);
    }

    async fn a_change_that_changes_nothing_leaves_the_head_alone(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let tag = ann.create_tag("fluff").await["tag"].take();
        let input = json!({"title": "A", "url": "https://example.org/a", "tagIds": [tag["id"]], "rating": 4.5});
        let entry = ann.create_story(input).await["progress"].take();
        let same_story = json!({"id": entry["story"]["id"], "title": " A ", "tagIds": [tag["id"]]});
        assert_eq!(ann.update_story(same_story).await["libraryVersion"], 3);
        let same_progress = json!({"id": entry["id"], "rating": 4.5, "notes": null});
        assert_eq!(ann.update_progress(same_progress).await["libraryVersion"], 3);
        assert_eq!(ann.update_progress(json!({"id": entry["id"]})).await["libraryVersion"], 3);
        assert_eq!(ann.version().await, 3);
    }

    async fn a_refused_change_leaves_the_head_and_the_rows_alone(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let entry = ann.create_story(json!({"title": "A", "url": "https://example.org/a"})).await;
        let twice = ann.create_story(json!({"title": "B", "url": "https://example.org/a"})).await;
        assert_eq!(twice["refusal"]["code"], "ALREADY_EXISTS");
        assert_eq!(twice["refusal"]["existingId"], entry["progress"]["story"]["id"]);
        assert_eq!((&twice["progress"], &twice["libraryVersion"]), (&Value::Null, &json!(2)));
        ann.create_tag("Fluff").await;
        let tag = ann.create_tag("fLUFF").await;
        assert_eq!((&tag["refusal"]["code"], &tag["libraryVersion"]), (&json!("ALREADY_EXISTS"), &json!(3)));
        assert_eq!(app.db.scalar::<i64>("SELECT count(*) FROM topaz_story").await, 1);
        assert_eq!(app.db.scalar::<i64>("SELECT count(*) FROM topaz_tag").await, 1);
    }

    async fn fifty_writers_of_one_user_make_fifty_versions_without_gap_or_repeat(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let titles: Vec<_> = (0..50).map(|n| format!("story {n}")).collect();
        let payloads = join_all(titles.iter().map(|title| ann.add(title))).await;
        let versions: BTreeSet<_> = payloads.iter().map(|it| it["libraryVersion"].as_i64().unwrap()).collect();
        assert_eq!(versions, (2..=51).collect());
        for payload in &payloads {
            assert_eq!(payload["progress"]["stamp"], payload["libraryVersion"]);
            assert_eq!(payload["progress"]["story"]["stamp"], payload["libraryVersion"]);
        }
        assert_eq!(ann.version().await, 51);
    }

    async fn fifty_writers_of_different_users_each_make_their_own_version(db: Db) {
        let app = TestApp::start(db).await;
        let users: Vec<_> = (0..50).map(|n| app.user(&format!("user {n}"))).collect();
        let payloads = join_all(users.iter().map(|user| user.add("the same title"))).await;
        assert!(payloads.iter().all(|payload| payload["libraryVersion"] == 2), "{payloads:?}");
    }

    async fn a_client_that_disconnects_never_separates_commit_from_push(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let mut watch = ann.watch().await;
        assert_eq!(watch.until(1).await, [1]);
        let address = app.base.strip_prefix("http://").unwrap();
        for n in 0..40_u64 {
            let query = json!({"query": format!("mutation {{ createTag(input: {{name: \"tag {n}\"}}) {{ libraryVersion }} }}")});
            let body = query.to_string();
            let request = format!(
                "POST /graphql HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                token("ann"), body.len(),
            );
            let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
            socket.write_all(request.as_bytes()).await.unwrap();
            // Each disconnects at another moment: before the transaction begins, while it runs, after its end.
            tokio::time::sleep(Duration::from_micros(n * 750)).await;
            drop(socket);
        }
        // Some may still run, but the invariant holds at every moment. Read in one statement.
        let agree = "SELECT CASE WHEN library_version = 1 + (SELECT count(*) FROM topaz_tag) THEN 1 ELSE 0 END FROM topaz_user";
        assert_eq!(app.db.scalar::<i32>(agree).await, 1, "each committed change moved the version");
        // Committed changes were pushed: no later write could have pushed them.
        let pushed = async {
            let mut received = 1;
            while received < app.db.scalar::<i32>("SELECT library_version FROM topaz_user").await {
                received = i32::try_from(watch.next().await.unwrap()["version"].as_i64().unwrap()).unwrap();
            }
            received
        };
        let received = soon("the last commit is pushed, long before the heartbeat", pushed).await;
        assert!(received > 1, "some of them were made");
        // No connection was returned to the pool inside a transaction.
        ann.add("after").await;
    }
}

#[tokio::test]
async fn waiting_changes_of_one_user_block_no_other_user() {
    let flags = ["--database-connections", "3", "--database-wait", "2s"];
    let app = TestApp::start_with(Db::Postgres, &flags).await;
    let (ann, bob) = (app.user("ann"), app.user("bob"));
    for user in [&ann, &bob] {
        user.version().await;
    }
    let lock = app.db.connect().await;
    for sql in [
        "BEGIN",
        "SELECT 1 FROM topaz_user WHERE subject = 'ann' FOR UPDATE",
    ] {
        lock.execute_unprepared(sql).await.unwrap();
    }
    let tag = "mutation ($name: String!) { createTag(input: {name: $name}) { libraryVersion } }";
    let hers = join_all((0..20).map(|n| ann.send(tag, json!({"name": format!("tag {n}")}))));
    let his = async {
        soon("hers wait", async {
            while app.db.scalar::<i64>(WAITING).await == 0 {}
        })
        .await;
        let mut responses = Vec::new();
        for n in 0..10 {
            responses.push(bob.send(tag, json!({"name": format!("tag {n}")})).await);
        }
        lock.execute_unprepared("ROLLBACK").await.unwrap();
        responses
    };
    let (hers, his) = futures_util::join!(hers, his);
    assert!(
        his.iter().all(|response| response["errors"].is_null()),
        "{his:?}"
    );
    // Each of hers was made, or refused with a retryable error.
    let made = hers
        .iter()
        .filter(|response| response["errors"].is_null())
        .count();
    let code = |response: &Value| response["errors"][0]["extensions"]["code"].clone();
    assert!(
        hers.iter()
            .all(|response| response["errors"].is_null() || code(response) == "UNAVAILABLE"),
        "{hers:?}"
    );
    assert_eq!(usize::try_from(ann.version().await).unwrap(), 1 + made);
}

#[tokio::test]
async fn a_change_waits_for_earlier_changes_at_most_the_connection_timeout() {
    let app = TestApp::start_with(Db::Postgres, &["--database-wait", "300ms"]).await;
    let ann = app.user("ann");
    ann.version().await;
    let lock = app.db.connect().await;
    for sql in [
        "BEGIN",
        "SELECT 1 FROM topaz_user WHERE subject = 'ann' FOR UPDATE",
    ] {
        lock.execute_unprepared(sql).await.unwrap();
    }
    let tag = "mutation ($name: String!) { createTag(input: {name: $name}) { libraryVersion } }";
    let send = |name| ann.send(tag, json!({"name": name}));
    let first = send("a");
    let second = async {
        soon("the first waits for the row", async {
            while app.db.scalar::<i64>(WAITING).await == 0 {}
        })
        .await;
        let second = send("b").await;
        lock.execute_unprepared("ROLLBACK").await.unwrap();
        second
    };
    let (first, second) = futures_util::join!(first, second);
    assert_eq!(first["data"]["createTag"]["libraryVersion"], 2, "{first}");
    assert_eq!(
        second["errors"][0]["extensions"]["code"], "UNAVAILABLE",
        "{second}"
    );
}

/// The number of statements that wait for a row lock.
const WAITING: &str = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database()";

#[tokio::test]
async fn a_sqlite_lock_of_another_process_is_waited_for_only_once() {
    let app = TestApp::start_with(Db::Sqlite, &["--statement-timeout", "1s"]).await;
    let ann = app.user("ann");
    ann.version().await;
    let lock = app.db.connect().await;
    lock.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
    let began = std::time::Instant::now();
    let tag = "mutation { createTag(input: {name: \"a\"}) { libraryVersion } }";
    assert_eq!(ann.refused(tag, json!({})).await, "UNAVAILABLE");
    let waited = began.elapsed();
    assert!(
        waited >= Duration::from_secs(1) && waited < Duration::from_secs(3),
        "{waited:?}"
    );
}

#[tokio::test]
async fn a_primary_that_became_a_standby_is_unavailable() {
    let app = TestApp::start(Db::Postgres).await;
    let ann = app.user("ann");
    ann.version().await;
    let connection = app.db.connect().await;
    let name = app.db.url.rsplit('/').next().unwrap();
    for sql in [
        format!("ALTER DATABASE {name} SET default_transaction_read_only = on"),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()".to_owned(),
    ] {
        connection.execute_unprepared(&sql).await.unwrap();
    }
    let tag = "mutation { createTag(input: {name: \"a\"}) { libraryVersion } }";
    assert_eq!(ann.refused(tag, json!({})).await, "UNAVAILABLE");
    assert_eq!(ann.version().await, 1, "reads continue");
}
