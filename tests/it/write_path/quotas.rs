//! Quotas per user: stories, bytes and receipts.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::test_app::{TestApp, TestUser, on_each_database};

/// The stored size of a library, and its size when counted.
const STORED_SIZE: &str = "SELECT library_stories || ' ' || library_tags || ' ' || library_fandoms || ' ' || library_bytes FROM topaz_user WHERE subject = 'ann'";
const COUNTED_SIZE: &str = "SELECT (SELECT count(*) FROM topaz_story WHERE user_id = 'ann') || ' ' || (SELECT count(*) FROM topaz_tag WHERE user_id = 'ann') || ' ' || (SELECT count(*) FROM topaz_fandom WHERE user_id = 'ann') || ' ' || (
    (SELECT coalesce(sum(octet_length(title || author || url || coalesce(description, '') || coalesce(summary, ''))), 0) FROM topaz_story WHERE user_id = 'ann')
    + (SELECT coalesce(sum(octet_length(notes)), 0) FROM topaz_progress WHERE user_id = 'ann')
    + (SELECT coalesce(sum(octet_length(name)), 0) FROM topaz_tag WHERE user_id = 'ann') + (SELECT coalesce(sum(octet_length(name)), 0) FROM topaz_fandom WHERE user_id = 'ann')
    + 32 * ((SELECT count(*) FROM topaz_story_tag WHERE user_id = 'ann') + (SELECT count(*) FROM topaz_story_fandom WHERE user_id = 'ann')))";

fn story(title: &str, more: Value) -> Value {
    let mut story =
        json!({"title": title, "url": format!("https://example.org/{}", Uuid::now_v7())});
    story
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    story
}

async fn import(user: &TestUser<'_>, input: Value) -> Value {
    user.mutate(
        "importLibrary",
        "ImportLibraryInput",
        input,
        "importedCount duplicateCount invalidCount outcomes { status storyId progressId message }",
    )
    .await
}

/// Asserts that a change was refused because of the library's size, and changed nothing.
fn assert_full(response: &Value, field: &str, version: i64) {
    let refusal = (
        &response["refusal"]["code"],
        &response["refusal"]["field"],
        &response["libraryVersion"],
    );
    assert_eq!(
        refusal,
        (&json!("LIMIT_REACHED"), &json!(field), &json!(version)),
        "{response}"
    );
}

async fn assert_size_exact(app: &TestApp) -> String {
    let kept: String = app.db.scalar(STORED_SIZE).await;
    assert_eq!(kept, app.db.scalar::<String>(COUNTED_SIZE).await);
    kept
}

on_each_database! {
    async fn the_story_limit_covers_creation_and_import(db: Db) {
        let app = TestApp::start_with(db, &["--max-stories", "3"]).await;
        let ann = app.user("ann");
        let first = ann.add("A").await["progress"]["id"].take();
        assert_eq!(import(&ann, json!({"entries": [story("B", json!({})), story("C", json!({}))]})).await["importedCount"], 2);
        assert_full(&ann.add("D").await, "url", 3);
        assert_full(&import(&ann, json!({"entries": [story("D", json!({"tags": ["t"]}))]})).await, "entries", 3);
        assert_eq!(app.db.scalar::<i64>("SELECT count(*) FROM topaz_tag").await, 0, "rows created before the refusal are rolled back");
        assert_eq!(app.user("bob").add("A").await["refusal"], Value::Null, "each library has its own");
        ann.update_progress(json!({"id": first, "notes": "what is there can be changed"})).await;
        ann.delete_progress(&first).await;
        let made = futures_util::future::join_all((0..4).map(|_| ann.add("E"))).await;
        assert_eq!(made.iter().filter(|response| response["refusal"].is_null()).count(), 1, "{made:?}");
        assert_eq!(assert_size_exact(&app).await.split(' ').next(), Some("3"));
    }

    async fn a_library_is_limited_in_bytes(db: Db) {
        let app = TestApp::start_with(db, &["--max-library-bytes", "1000"]).await;
        let ann = app.user("ann");
        let made = ann.create_story(story("A", json!({"description": "é".repeat(300)}))).await["progress"].take();
        assert_eq!(made["readingStatus"], "NOT_STARTED");
        assert_full(&ann.update_progress(json!({"id": made["id"], "notes": "n".repeat(400)})).await, "input", 2);
        assert_full(&ann.create_story(story("B", json!({"description": "d".repeat(400)}))).await, "input", 2);
        let names: Vec<_> = (0..12).map(|n| n.to_string()).collect();
        assert_full(&import(&ann, json!({"entries": [story("B", json!({"tags": names}))]})).await, "entries", 2);
        let shorter = ann.update_story(json!({"id": made["story"]["id"], "description": "d"})).await;
        assert_eq!(shorter["libraryVersion"], 3);
        assert_eq!(ann.update_progress(json!({"id": made["id"], "notes": "n".repeat(400)})).await["libraryVersion"], 4);
        assert_size_exact(&app).await;

        // Over a limit that was lowered, a library can be read and made smaller.
        let app = app.restart(&["--max-library-bytes", "100"]).await;
        let ann = app.user("ann");
        assert_full(&ann.update_progress(json!({"id": made["id"], "notes": "n".repeat(401)})).await, "input", 4);
        assert_eq!(ann.update_progress(json!({"id": made["id"], "notes": "n".repeat(399), "currentChapter": 2})).await["libraryVersion"], 5);
        assert_eq!(ann.update_progress(json!({"id": made["id"], "currentChapter": 3})).await["libraryVersion"], 6);
    }

    async fn the_stored_size_of_a_library_is_exact_after_every_change(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let label = async |mutation: &str, input: Value| {
            let kind = if mutation.starts_with("create") { "CreateLabelInput" } else if mutation.starts_with("rename") { "RenameLabelInput" } else { "DeleteLabelInput" };
            let fields = if mutation.starts_with("delete") { "refusal { code }" } else if mutation.ends_with("Tag") { "tag { id }" } else { "fandom { id }" };
            ann.mutate(mutation, kind, input, fields).await
        };
        let tag = label("createTag", json!({"name": "größer"})).await["tag"]["id"].take();
        let fandom = label("createFandom", json!({"name": "f"})).await["fandom"]["id"].take();
        assert_size_exact(&app).await;
        let both = json!({"tagIds": [tag], "fandomIds": [fandom], "description": "naïve", "summary": "s", "notes": "n"});
        let made = ann.create_story(story("Ā", both)).await["progress"].take();
        let other = ann.create_story(story("B", json!({"tagIds": [tag]}))).await["progress"].take();
        assert_size_exact(&app).await;
        import(&ann, json!({"entries": [story("C", json!({"tags": ["größer", "new"], "notes": "n"})), story("D", json!({"fandoms": ["F"]})), json!({"title": "", "url": "u"})]})).await;
        assert_size_exact(&app).await;
        ann.update_story(json!({"id": made["story"]["id"], "title": "A longer title", "summary": null, "tagIds": [], "fandomIds": [fandom]})).await;
        ann.update_progress(json!({"id": made["id"], "notes": null})).await;
        ann.update_progress(json!({"id": other["id"], "notes": "noted", "currentChapter": 4})).await;
        assert_size_exact(&app).await;
        label("renameTag", json!({"id": tag, "name": "t"})).await;
        label("deleteTag", json!({"id": tag})).await;
        label("deleteFandom", json!({"id": fandom})).await;
        assert_size_exact(&app).await;
        for progress in [&made, &other] {
            ann.delete_progress(&progress["id"]).await;
        }
        assert_eq!(assert_size_exact(&app).await.split(' ').next(), Some("2"));
        // A replayed change and one that changes nothing keep it exact.
        for _ in 0..2 {
            import(&ann, json!({"entries": [story("E", json!({}))], "idempotencyKey": "k"})).await;
        }
        assert_size_exact(&app).await;

        // Rows of another program are counted with the next change.
        for sql in [
            "INSERT INTO topaz_tag (user_id, id, stamp, name, name_key, created_at, updated_at)
             SELECT user_id, id, 99, 'not ours', 'not ours', 0, 0 FROM topaz_story WHERE title = 'C'",
            "UPDATE topaz_user SET library_version = library_version + 1",
        ] {
            app.db.execute(sql).await;
        }
        ann.add("F").await;
        assert_size_exact(&app).await;
    }

    async fn the_receipt_of_an_import_that_added_nothing_is_short_and_replays_the_same(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let entries: Vec<_> = (0..500).map(|n| json!({"title": "A", "url": format!("https://example.org/{n}")})).collect();
        let mut sent = Vec::new();
        for key in ["first", "again"] {
            let input = json!({"entries": entries, "idempotencyKey": key});
            let made = import(&ann, input.clone()).await;
            assert_eq!(made["outcomes"].as_array().unwrap().len(), 500);
            assert_eq!(import(&ann, input).await, made, "{key}");
            sent.push(made);
        }
        assert_eq!((&sent[1]["importedCount"], &sent[1]["duplicateCount"]), (&json!(0), &json!(500)));
        assert_eq!(sent[0]["outcomes"][499]["storyId"], sent[1]["outcomes"][499]["storyId"]);
        let longest: i64 = app.db.scalar("SELECT CAST(max(length(answer)) AS bigint) FROM topaz_receipt").await;
        assert!(longest < 300, "{longest}");
    }

    async fn a_users_receipts_are_limited_in_bytes_and_the_oldest_are_purged(db: Db) {
        let app = TestApp::start_with(db, &["--max-receipt-bytes", "20000"]).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let create = async |user: &TestUser<'_>, n: u32| {
            let input = json!({"name": format!("tag {n}"), "idempotencyKey": format!("key {n}")});
            user.mutate("createTag", "CreateLabelInput", input, "tag { id }").await
        };
        let theirs = create(&bob, 0).await;
        let mut made = Vec::new();
        for n in 0..60 {
            made.push(create(&ann, n).await);
        }
        let kept: i64 = app.db.scalar("SELECT CAST(sum(256 + length(answer)) AS bigint) FROM topaz_receipt WHERE user_id = 'ann'").await;
        assert!((15_000..=20_500).contains(&kept), "{kept}");
        assert_eq!(create(&ann, 59).await, made[59]);
        assert_eq!(create(&ann, 30).await, made[30]);
        assert_eq!(create(&ann, 0).await["refusal"]["code"], "ALREADY_EXISTS", "forgotten");
        assert_eq!(create(&bob, 0).await, theirs, "another user's stay");
    }
}
