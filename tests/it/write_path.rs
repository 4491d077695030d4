//! The version moves if and only if the change commits, by one, in order.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::test_app::{TestApp, on_each_database, token};

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
        let progress = ann.update_progress(json!({"id": entry["id"], "status": "READING"})).await;
        assert_eq!(progress["progress"]["stamp"], 3);
        let story = ann.update_story(json!({"storyId": entry["story"]["id"], "title": "B"})).await;
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

    async fn a_row_made_again_under_its_id_leaves_no_tombstone(db: Db) {
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
        let same_story = json!({"storyId": entry["story"]["id"], "title": " A ", "tagIds": [tag["id"]]});
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

    async fn a_client_that_hangs_up_never_parts_the_commit_from_the_push(db: Db) {
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
            // From not at all to long enough for the transaction to be under way.
            for _ in 0..n * 50 {
                tokio::task::yield_now().await;
            }
            drop(socket);
        }
        // Some of them may still be under way; what holds, holds at every moment. Read in one statement.
        let agree = "SELECT CASE WHEN library_version = 1 + (SELECT count(*) FROM topaz_tag) + (SELECT count(*) FROM topaz_story) THEN 1 ELSE 0 END FROM topaz_user";
        assert_eq!(app.db.scalar::<i32>(agree).await, 1, "each committed change moved the version");
        // The connections are sound: none was given back inside a transaction.
        let after = ann.add("after").await["libraryVersion"].as_i64().unwrap();
        assert_eq!(app.db.scalar::<i32>(agree).await, 1);
        // And what was committed was pushed.
        while watch.next().await.expect("the stream goes on")["version"].as_i64().unwrap() < after {}
    }
}
