//! History limits: the rows that a change reads under the write lock, and the bytes that one user may keep.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    database::schema_upgrade::migrate,
    support::test_app::{TestApp, TestUser, on_each_database},
};

/// How many changes a device has made of one field.
const CHANGES: i64 = 20_000;

/// An entry of ann's library, and the head at which every device fetched it.
struct Seen {
    story: Value,
    progress: Value,
    base: Value,
}

impl Seen {
    async fn new(ann: &TestUser<'_>) -> Self {
        let input = json!({"title": "A", "url": "https://example.org/a", "notes": "first"});
        let mut made = ann.create_story(input).await;
        Self {
            story: made["progress"]["story"]["id"].take(),
            progress: made["progress"]["id"].take(),
            base: made["libraryHead"].take(),
        }
    }
}

/// Inserts the history of `CHANGES` changes of a field by one device. Only the
/// oldest and the newest hold valid values, so that reading another fails.
async fn insert_changes(app: &TestApp, table: &str, field: &str, oldest: &str, device: &str) {
    let kind = if table == "topaz_story" {
        "Story"
    } else {
        "Progress"
    };
    let sql = format!(
        "WITH RECURSIVE steps(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM steps WHERE n < {CHANGES})
         INSERT INTO topaz_write (user_id, epoch, version, kinds, device_id, written_at)
           SELECT subject, library_epoch, library_version + n, '{kind}', '{device}', library_epoch + n FROM steps, topaz_user;
         WITH RECURSIVE steps(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM steps WHERE n < {CHANGES})
         INSERT INTO topaz_field_change (user_id, kind, id, stamp, field, was, changed_at, other_stamp)
           SELECT user_id, '{kind}', {table}.id, library_version + n, '{field}',
             CASE WHEN n = 1 THEN '{oldest}' WHEN n > {CHANGES} - 256 THEN '[]' ELSE 'not to be read' END, library_epoch + n,
             coalesce((SELECT max(stamp) FROM topaz_field_change c WHERE c.field = '{field}'), 0)
           FROM steps, topaz_user, {table};
         UPDATE {table} SET stamp = {CHANGES} + (SELECT library_version FROM topaz_user);
         UPDATE topaz_user SET library_version = library_version + {CHANGES}"
    );
    app.db.execute(&sql).await;
}

async fn update(
    ann: &TestUser<'_>,
    seen: &Seen,
    device: &str,
    change: Value,
    policy: &str,
) -> Value {
    let mut input = json!({"base": seen.base, "onConflict": policy, "device": {"id": device}});
    input
        .as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    let conflict = "conflict { fields { field base theirs device { id } } }";
    if change.get("tagIds").is_some() {
        input["id"] = seen.story.clone();
        let (mutation, input_type) = ("updateStoryWithRelations", "UpdateStoryWithRelationsInput");
        let fields = format!("story {{ tags {{ id }} }} {conflict}");
        return ann.mutate(mutation, input_type, input, &fields).await;
    }
    input["id"] = seen.progress.clone();
    let fields = format!("progress {{ notes }} {conflict}");
    ann.mutate("updateProgress", "UpdateProgressInput", input, &fields)
        .await
}

on_each_database! {
    async fn a_device_with_many_changes_of_its_own_since_the_base_does_not_conflict_and_reads_few_of_them(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let seen = Seen::new(&ann).await;
        insert_changes(&app, "topaz_progress", "notes", "\"first\"", "phone").await;
        let own = update(&ann, &seen, "phone", json!({"notes": "mine"}), "REJECT").await;
        assert_eq!((&own["conflict"], &own["progress"]["notes"]), (&Value::Null, &json!("mine")));
        let other = update(&ann, &seen, "tablet", json!({"notes": "yours"}), "REJECT").await;
        let clash = json!([{"field": "notes", "base": "first", "theirs": "mine", "device": {"id": "phone"}}]);
        assert_eq!(other["conflict"]["fields"], clash);
    }

    async fn one_change_of_another_device_is_found_below_many_own_ones(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let seen = Seen::new(&ann).await;
        let tablet = json!({"id": seen.progress, "notes": "from the tablet", "device": {"id": "tablet"}});
        let at = ann.update_progress(tablet).await["libraryHead"].take();
        insert_changes(&app, "topaz_progress", "notes", "\"from the tablet\"", "phone").await;
        let rejected = update(&ann, &seen, "phone", json!({"notes": "mine"}), "REJECT").await;
        let clash = json!([{"field": "notes", "base": "first", "theirs": "first", "device": {"id": "tablet"}}]);
        // `insert_changes` does not update the row itself, so only its history is checked.
        assert_eq!(rejected["conflict"]["fields"][0]["device"], clash[0]["device"]);
        assert_eq!(rejected["conflict"]["fields"][0]["base"], "first");
        let seen = Seen { base: at, ..seen };
        let own = update(&ann, &seen, "phone", json!({"notes": "mine"}), "REJECT").await;
        assert_eq!(own["conflict"], Value::Null, "the tablet's change was seen");
    }

    async fn after_many_changes_of_a_label_set_its_base_value_is_unknown(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let tag = ann.create_tag("t").await["tag"]["id"].take();
        let seen = Seen::new(&ann).await;
        insert_changes(&app, "topaz_story", "tagIds", "[]", "phone").await;
        let rejected = update(&ann, &seen, "tablet", json!({"tagIds": [tag]}), "REJECT").await;
        let clash = json!([{"field": "tagIds", "base": null, "theirs": [], "device": {"id": "phone"}}]);
        assert_eq!(rejected["conflict"]["fields"], clash);
        let merged = update(&ann, &seen, "tablet", json!({"tagIds": [tag]}), "MERGE").await;
        assert_eq!((&merged["conflict"], &merged["story"]["tags"]), (&Value::Null, &json!([{"id": tag}])));
        let seen = Seen::new(&app.user("bob")).await;
        assert!(seen.base.is_string(), "another user's history is another");
    }

    async fn a_device_with_many_changes_of_a_set_of_labels_does_not_conflict_with_itself(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let tag = ann.create_tag("t").await["tag"]["id"].take();
        let seen = Seen::new(&ann).await;
        insert_changes(&app, "topaz_story", "tagIds", "[]", "phone").await;
        let own = update(&ann, &seen, "phone", json!({"tagIds": [tag]}), "REJECT").await;
        assert_eq!((&own["conflict"], &own["story"]["tags"]), (&Value::Null, &json!([{"id": tag}])));
    }

    async fn the_newest_change_by_another_device_is_found_in_whatever_order_they_came(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let seen = Seen::new(&ann).await;
        let mut heads = vec![seen.base.clone()];
        let order = ["phone", "tablet", "phone", "phone", "", "laptop", "laptop", "phone", "phone"];
        for (n, device) in order.iter().enumerate() {
            let mut input = json!({"id": seen.progress, "notes": n.to_string()});
            if !device.is_empty() {
                input["device"] = json!({"id": device});
            }
            heads.push(ann.update_progress(input).await["libraryHead"].take());
        }
        for asking in ["phone", "tablet", "laptop"] {
            for (seen_changes, base) in heads.iter().enumerate() {
                let since = order.iter().enumerate().skip(seen_changes);
                let other = since.rev().find(|(_, device)| **device != asking);
                let seen = Seen { story: seen.story.clone(), progress: seen.progress.clone(), base: base.clone() };
                let input = json!({"id": seen.progress, "notes": "mine", "base": seen.base, "onConflict": "MERGE", "device": {"id": asking}});
                let Some((_, device)) = other else {
                    continue;
                };
                let merged = ann.mutate("updateProgress", "UpdateProgressInput", input, "conflict { fields { base device { id } } }").await;
                let before = seen_changes.checked_sub(1).map_or_else(|| "first".to_owned(), |n| n.to_string());
                let device = if device.is_empty() { Value::Null } else { json!({"id": device}) };
                let clash = json!([{"base": before, "device": device}]);
                assert_eq!(merged["conflict"]["fields"], clash, "{asking} had seen {seen_changes}");
            }
        }
    }

    async fn an_origin_is_found_by_version_where_several_writes_were_made_in_one_millisecond(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let made = ann.create_story(json!({"title": "A", "url": "https://example.org/a", "device": {"id": "desktop"}})).await;
        let progress = made["progress"]["id"].clone();
        ann.update_progress(json!({"id": progress, "currentChapter": 80, "device": {"id": "tablet"}})).await;
        ann.update_progress(json!({"id": progress, "rating": 2.0, "device": {"id": "laptop"}})).await;
        for (table, time) in [("topaz_write", "written_at"), ("topaz_field_change", "changed_at"), ("topaz_progress", "created_at")] {
            app.db.execute(&format!("UPDATE {table} SET {time} = 1000")).await;
        }
        let conflict = "conflict { fields { field device { id } } }";
        let behind = json!({"id": progress, "currentChapter": 5, "device": {"id": "phone"}});
        let left = ann.mutate("updateProgress", "UpdateProgressInput", behind, conflict).await;
        assert_eq!(left["conflict"]["fields"], json!([{"field": "currentChapter", "device": {"id": "tablet"}}]));
        // By the history, any of the three may have created the row.
        let other_epoch = json!({"id": progress, "notes": "n", "base": "1.1", "device": {"id": "phone"}});
        let left = ann.mutate("updateProgress", "UpdateProgressInput", other_epoch, conflict).await;
        assert_eq!(left["conflict"]["fields"], json!([{"field": "notes", "device": null}]));
    }

    async fn a_users_history_is_limited_in_bytes_and_the_oldest_is_purged(db: Db) {
        let app = TestApp::start_with(db, &["--max-history-bytes", "20000"]).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let theirs = Seen::new(&bob).await;
        update(&bob, &theirs, "phone", json!({"notes": "kept"}), "REJECT").await;
        let seen = Seen::new(&ann).await;
        let text = "x".repeat(300);
        for n in 0..40 {
            let gone = ann.add("B").await;
            assert_eq!(ann.delete_progress(&gone["progress"]["id"]).await["refusal"], Value::Null);
            let changed = ann.update_progress(json!({"id": seen.progress, "notes": format!("{n} {text}")})).await;
            assert_eq!(changed["refusal"], Value::Null, "{n}");
        }
        let tag = ann.create_tag("t").await["tag"]["id"].take();
        ann.update_story(json!({"id": seen.story, "tagIds": [tag]})).await;
        let delete = json!({"id": tag});
        assert_eq!(ann.mutate("deleteTag", "DeleteLabelInput", delete, "deletedTagId").await["refusal"], Value::Null);
        let size = "SELECT CAST(
            (SELECT count(*) * 200 FROM topaz_write WHERE user_id = 'ann')
            + (SELECT sum(200 + octet_length(was)) FROM topaz_field_change WHERE user_id = 'ann')
            + (SELECT sum(200 + octet_length(held)) FROM topaz_tombstone WHERE user_id = 'ann')
            + (SELECT sum(200 + octet_length(carriers)) FROM topaz_label_removal WHERE user_id = 'ann') AS bigint)";
        let size: i64 = app.db.scalar(size).await;
        assert!((15_000..=22_000).contains(&size), "{size}");
        let floor: i32 = app.db.scalar("SELECT library_floor FROM topaz_user WHERE subject = 'ann'").await;
        assert!((50..120).contains(&floor), "{floor}");
        let below = format!(
            "SELECT (SELECT count(*) FROM topaz_write WHERE user_id = 'ann' AND version <= {floor})
               + (SELECT count(*) FROM topaz_field_change WHERE user_id = 'ann' AND stamp <= {floor})
               + (SELECT count(*) FROM topaz_tombstone WHERE user_id = 'ann' AND stamp <= {floor})"
        );
        assert_eq!(app.db.scalar::<i64>(&below).await, 0, "all up to the floor is purged");
        for (since, reset) in [(floor - 1, true), (floor, false)] {
            let changes = ann.ask("query ($since: Int!) { libraryChanges(since: $since) { reset } }", json!({"since": since})).await;
            assert_eq!(changes["libraryChanges"]["reset"], reset, "since {since}");
        }
        let rejected = update(&ann, &seen, "phone", json!({"notes": "mine"}), "REJECT").await;
        assert_eq!(rejected["conflict"]["fields"][0]["base"], Value::Null, "the former note is purged");
        assert_eq!(app.db.scalar::<i32>("SELECT library_floor FROM topaz_user WHERE subject = 'bob'").await, 0);
        assert_eq!(app.db.scalar::<i64>("SELECT count(*) FROM topaz_field_change WHERE user_id = 'bob'").await, 1);
    }

    async fn a_new_epoch_begins_with_no_history_and_the_older_one_is_purged_first(db: Db) {
        let app = TestApp::start_with(db, &["--max-history-bytes", "20000"]).await;
        let ann = app.user("ann");
        let seen = Seen::new(&ann).await;
        let text = "x".repeat(300);
        let change = async |n: u32| ann.update_progress(json!({"id": seen.progress, "notes": format!("{n} {text}")})).await;
        for n in 0..20 {
            change(n).await;
        }
        let user = library_sync::version::UserId::new("ann").unwrap();
        app.library.begin_epoch(Some(&user)).await.unwrap();
        let began: i32 = app.db.scalar("SELECT library_floor FROM topaz_user").await;
        for n in 0..20 {
            change(n).await;
        }
        let kept = format!("SELECT count(*) FROM topaz_field_change WHERE stamp > {began}");
        assert_eq!(app.db.scalar::<i64>(&kept).await, 20);
        let floor: i32 = app.db.scalar("SELECT library_floor FROM topaz_user").await;
        let older: i64 = app.db.scalar(&format!("SELECT count(*) FROM topaz_field_change WHERE stamp <= {began}")).await;
        assert!(floor == began && older < 20, "{floor} {older}");
    }

    async fn one_story_is_searched_in_one_part_of_a_label_removal(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let entry = |n: u32| json!({"title": "A", "url": format!("https://example.org/{n}"), "tags": ["t"]});
        let input = json!({"entries": (0..1_000).map(entry).collect::<Vec<_>>()});
        let imported = ann.mutate("importLibrary", "ImportLibraryInput", input, "outcomes { storyId }").await;
        let input = json!({"entries": (1_000..1_300).map(entry).collect::<Vec<_>>()});
        let later = ann.mutate("importLibrary", "ImportLibraryInput", input, "outcomes { storyId }").await;
        let base = later["libraryHead"].clone();
        let tag = ann.ask("{ tags { id } }", json!({})).await["tags"][0]["id"].take();
        ann.mutate("deleteTag", "DeleteLabelInput", json!({"id": tag}), "deletedTagId").await;
        assert_eq!(app.db.scalar::<i64>("SELECT count(*) FROM topaz_label_removal").await, 2);
        let other = ann.create_tag("u").await["tag"]["id"].take();
        for story in [&imported["outcomes"][0]["storyId"], &imported["outcomes"][999]["storyId"], &later["outcomes"][299]["storyId"]] {
            let input = json!({"id": story, "tagIds": [other], "base": base, "onConflict": "REJECT"});
            let rejected = ann.mutate("updateStoryWithRelations", "UpdateStoryWithRelationsInput", input, "conflict { fields { field base } }").await;
            assert_eq!(rejected["conflict"]["fields"], json!([{"field": "tagIds", "base": [tag]}]));
        }
        // The result is the same without the other part.
        let story = later["outcomes"][299]["storyId"].as_str().unwrap();
        let story: Uuid = story.parse().unwrap();
        let literal = match db {
            crate::support::test_app::Db::Sqlite => format!("x'{}'", story.simple()),
            crate::support::test_app::Db::Postgres => format!("'{story}'"),
        };
        app.db.execute(&format!("UPDATE topaz_label_removal SET carriers = '' WHERE last_story < {literal} OR first_story > {literal}")).await;
        let input = json!({"id": story, "tagIds": [other], "base": base, "onConflict": "REJECT"});
        let rejected = ann.mutate("updateStoryWithRelations", "UpdateStoryWithRelationsInput", input, "conflict { fields { base } }").await;
        assert_eq!(rejected["conflict"]["fields"], json!([{"base": [tag]}]));
    }

    async fn history_recorded_before_a_migration_is_still_found(db: Db) {
        let mut app = TestApp::start(db).await;
        let ann = app.user("ann");
        let seen = Seen::new(&ann).await;
        for (n, device) in ["phone", "tablet", "tablet", "phone", "phone"].iter().enumerate() {
            ann.update_progress(json!({"id": seen.progress, "notes": n.to_string(), "device": {"id": device}})).await;
        }
        let links = "SELECT CAST(sum(stamp * 100 + other_stamp) AS bigint) FROM topaz_field_change";
        let before: i64 = app.db.scalar(links).await;
        assert_eq!(before, (3 + 4 + 5 + 6 + 7) * 100 + 3 + 3 + 5 + 5);
        app.stop().await;
        let below = "m20261126_000020_field_change_order";
        while !migrate(&app.db, &["status"]).lines().any(|line| line.contains(below) && line.contains("pending")) {
            migrate(&app.db, &["down", "--steps", "1"]);
        }
        migrate(&app.db, &["up"]);
        assert_eq!(app.db.scalar::<i64>(links).await, before);
        let app = app.restart(&[]).await;
        let own = update(&app.user("ann"), &seen, "phone", json!({"notes": "mine"}), "REJECT").await;
        assert_eq!(own["conflict"]["fields"][0]["device"]["id"], "tablet");
    }
}
