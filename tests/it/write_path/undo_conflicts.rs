//! Rows that `undo` and `restoreLibrary` do not bring back, and their conflicts.

use library_sync::library::Retention;
use serde_json::{Value, json};
use uuid::Uuid;

use super::undo::{assert_same, entry, now, restore, tag, undo};
use crate::support::test_app::{TestApp, TestUser, on_each_database};

/// The conflicts of a payload: row, field, `yours` and `theirs`.
fn conflicts(payload: &Value) -> Value {
    let fields = payload["conflict"]["fields"]
        .as_array()
        .into_iter()
        .flatten();
    fields
        .map(|field| json!([field["id"], field["field"], field["yours"], field["theirs"]]))
        .collect()
}

/// Fails unless each story has one progress, by the rows that a full sync returns.
async fn assert_whole_entries(ann: &TestUser<'_>, what: &str) {
    let query = "{ libraryChanges(since: 0) { changes { __typename ... on Story { id } ... on Progress { storyId } } } }";
    let response = ann.ask(query, json!({})).await;
    let rows = response["libraryChanges"]["changes"].as_array().unwrap();
    let mut halves = [("Story", "id"), ("Progress", "storyId")].map(|(kind, story)| {
        let of_kind = rows.iter().filter(|row| row["__typename"] == kind);
        of_kind
            .map(|row| row[story].to_string())
            .collect::<Vec<_>>()
    });
    for half in &mut halves {
        half.sort();
    }
    assert_eq!(halves[0], halves[1], "{what}");
}

on_each_database! {
    async fn an_undo_does_not_bring_back_the_progress_of_an_entry_that_was_deleted_since(db: Db) {
        let app = TestApp::start(db).await;
        for is_restore in [false, true] {
            let ann = app.user(&format!("ann-{is_restore}"));
            let made = entry(&ann, "a", &[]).await["progress"].take();
            let id = &made["id"];
            let (first, _) = now(&ann).await;
            ann.update_progress(json!({"id": id, "notes": "slow start"})).await;
            if is_restore {
                assert_eq!(restore(&ann, json!({"to": first})).await["changedRowCount"], 1);
            }
            let (changed, snapshot) = now(&ann).await;
            ann.delete_progress(id).await;
            let undone = undo(&ann, json!({"version": changed, "onConflict": "OVERWRITE"})).await;
            assert_eq!(undone["changedRowCount"], 0, "{undone}");
            assert!(now(&ann).await.1.is_empty());

            assert_eq!(undo(&ann, json!({"version": changed + 1})).await["refusal"], Value::Null);
            assert_same(&now(&ann).await.1, &snapshot, "the deletion is undone");
            let undone = undo(&ann, json!({"version": changed, "onConflict": "OVERWRITE"})).await;
            assert_eq!(undone["changedRowCount"], 1, "{undone}");
        }
    }

    async fn an_undo_leaves_whole_entries_when_one_id_of_a_deleted_entry_was_used_again(db: Db) {
        let app = TestApp::start_with(db, &["--max-user-rate", "0", "--max-address-rate", "0"]).await;
        for reused in ["progressId", "storyId"] {
            for version in 2..=6 {
                for policy in ["REJECT", "MERGE", "OVERWRITE"] {
                    let what = format!("undo({version}, {policy}) after {reused} was used again");
                    let ann = app.user(&format!("{reused}-{version}-{policy}"));
                    let made = entry(&ann, "a", &[]).await["progress"].take();
                    let ids = json!({"progressId": made["id"], "storyId": made["story"]["id"]});
                    ann.update_progress(json!({"id": made["id"], "notes": "slow start"})).await;
                    ann.update_story(json!({"id": made["story"]["id"], "author": "b"})).await;
                    ann.delete_progress(&made["id"]).await;
                    let again = json!({"title": "b", "url": "https://example.org/b", reused: ids[reused]});
                    assert_eq!(ann.create_story(again).await["refusal"], Value::Null);
                    undo(&ann, json!({"version": version, "onConflict": policy})).await;
                    assert_whole_entries(&ann, &what).await;
                }
            }
        }
    }

    async fn an_undo_keeps_an_entry_whose_earlier_progress_belongs_to_another_story_now(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let made = entry(&ann, "a", &[]).await["progress"].take();
        let (first, _) = now(&ann).await;
        ann.delete_progress(&made["id"]).await;
        let other = Uuid::now_v7();
        let again = json!({"title": "b", "url": "https://example.org/b", "storyId": made["story"]["id"], "progressId": other});
        assert_eq!(ann.create_story(again).await["refusal"], Value::Null);
        // Replaces the other progress by the first one.
        assert_eq!(restore(&ann, json!({"to": first})).await["refusal"], Value::Null);
        let restored = ann.version().await;
        let elsewhere = json!({"title": "c", "url": "https://example.org/c", "progressId": other});
        assert_eq!(ann.create_story(elsewhere).await["refusal"], Value::Null);
        for policy in ["MERGE", "OVERWRITE"] {
            let undone = undo(&ann, json!({"version": restored, "onConflict": policy})).await;
            assert_eq!(undone["changedRowCount"], 0, "{policy}: {undone}");
            assert!(!conflicts(&undone).as_array().unwrap().is_empty(), "{policy}: {undone}");
            assert_whole_entries(&ann, policy).await;
            let (_, rows) = now(&ann).await;
            let mut stories: Vec<_> = rows.values().map(|row| row["storyId"].clone()).collect();
            stories.retain(|story| *story == made["story"]["id"]);
            assert_eq!((rows.len(), stories.len()), (2, 1), "{policy}: {rows:?}");
        }
    }
}

on_each_database! {
    async fn an_undo_reports_the_rows_that_it_does_not_bring_back(db: Db) {
        let app = TestApp::start(db).await;
        for change in ["notes", "title", "tagIds"] {
            let ann = app.user(change);
            let made = entry(&ann, "a", &[]).await["progress"].take();
            let (progress, story) = (&made["id"], &made["story"]["id"]);
            let label = tag(&ann, "fluff").await;
            let row = match change {
                "notes" => progress,
                _ => story,
            };
            match change {
                "notes" => ann.update_progress(json!({"id": row, "notes": "slow start"})).await,
                "title" => ann.update_story(json!({"id": row, "title": "b"})).await,
                _ => ann.update_story(json!({"id": row, "tagIds": [label]})).await,
            };
            let changed = ann.version().await;
            ann.delete_progress(progress).await;
            for (policy, resolution) in [("REJECT", "REJECTED"), ("MERGE", "MERGED"), ("OVERWRITE", "MERGED")] {
                let undone = undo(&ann, json!({"version": changed, "onConflict": policy})).await;
                assert_eq!(undone["conflict"]["resolution"], resolution, "{change}, {policy}: {undone}");
                assert_eq!(conflicts(&undone), json!([[row, "id", row, null]]), "{change}, {policy}");
                assert_eq!(ann.version().await, changed + 1);
            }
        }
    }

    async fn an_undo_reports_the_entry_of_which_one_id_was_used_again(db: Db) {
        let app = TestApp::start(db).await;
        for reused in ["progressId", "storyId"] {
            let ann = app.user(reused);
            let made = entry(&ann, "a", &[]).await["progress"].take();
            let ids = json!({"progressId": made["id"], "storyId": made["story"]["id"]});
            ann.delete_progress(&made["id"]).await;
            let again = json!({"title": "b", "url": "https://example.org/b", reused: ids[reused]});
            assert_eq!(ann.create_story(again).await["refusal"], Value::Null);
            let (last, snapshot) = now(&ann).await;
            let is_used = |id: &str| if id == reused { ids[id].clone() } else { Value::Null };
            let conflicts_of = |version| match version {
                2 => json!([[ids[reused], "id", null, ids[reused]]]),
                _ => ["storyId", "progressId"].iter().map(|id| json!([ids[id], "id", ids[id], is_used(id)])).collect(),
            };
            for version in [2, 3] {
                let undone = undo(&ann, json!({"version": version, "onConflict": "OVERWRITE"})).await;
                assert_eq!(undone["changedRowCount"], 0, "undo({version}), {reused}: {undone}");
                assert_eq!(conflicts(&undone), conflicts_of(version), "undo({version}), {reused}");
            }
            assert_eq!(ann.version().await, last);
            assert_same(&now(&ann).await.1, &snapshot, reused);
        }
    }
}

on_each_database! {
    async fn each_value_conflicts_with_a_base_that_the_server_does_not_know(db: Db) {
        let app = TestApp::start(db).await;
        for base in ["another epoch", "above the head"] {
            for (policy, resolution) in [("REJECT", "REJECTED"), ("MERGE", "MERGED"), ("OVERWRITE", "")] {
                let ann = app.user(&format!("{base}, {policy}"));
                let [x, y] = [tag(&ann, "x").await, tag(&ann, "y").await];
                let made = entry(&ann, "a", &[&x]).await["progress"].take();
                let deleted = entry(&ann, "b", &[]).await["progress"].take();
                let (first, snapshot) = now(&ann).await;
                let story = &made["story"]["id"];
                ann.update_story(json!({"id": story, "title": "c", "tagIds": [y]})).await;
                ann.delete_progress(&deleted["id"]).await;
                let created = entry(&ann, "d", &[]).await["progress"].take();
                let before = now(&ann).await;
                let head = match base {
                    "another epoch" => "1.1".to_owned(),
                    _ => ann.head_at(99).await,
                };
                let restored = restore(&ann, json!({"to": first, "base": head, "onConflict": policy})).await;
                if policy == "OVERWRITE" {
                    assert_eq!((&restored["refusal"], &restored["conflict"]), (&Value::Null, &Value::Null), "{base}");
                    assert_same(&now(&ann).await.1, &snapshot, base);
                    continue;
                }
                let refused = if policy == "REJECT" { json!("CONFLICT") } else { Value::Null };
                assert_eq!(restored["refusal"]["code"], refused, "{base}: {restored}");
                assert_eq!(restored["conflict"]["resolution"], resolution, "{base}");
                let rows = [("id", &deleted["id"]), ("id", &deleted["story"]["id"]), ("id", &created["id"]),
                    ("id", &created["story"]["id"]), ("title", story)].into_iter();
                let mut expected: Vec<_> = rows.map(|(field, id)| format!("{field} {id}")).collect();
                expected.extend((policy == "REJECT").then(|| format!("tagIds {story}")));
                let fields = restored["conflict"]["fields"].as_array().unwrap().iter();
                assert!(fields.clone().all(|field| field["base"].is_null()), "{base}: {restored}");
                let mut found: Vec<_> = fields.map(|field| format!("{} {}", field["field"].as_str().unwrap(), field["id"])).collect();
                expected.sort();
                found.sort();
                assert_eq!(found, expected, "{base}, {policy}");
                let mut after = before.1.clone();
                if policy == "MERGE" {
                    let row = after.get_mut(&format!("entry {}", made["id"].as_str().unwrap())).unwrap();
                    row.insert("tags".to_owned(), json!([x, y]));
                }
                assert_same(&now(&ann).await.1, &after, &format!("{base}, {policy}"));
            }
        }
    }
}

on_each_database! {
    async fn an_undo_reports_a_row_that_was_created_again_as_its_id(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let made = entry(&ann, "a", &[]).await["progress"].take();
        let (progress, story) = (&made["id"], &made["story"]["id"]);
        let ids = json!({"title": "b", "author": "c", "url": "https://example.org/a", "progressId": progress, "storyId": story});
        ann.update_story(json!({"id": story, "author": "b"})).await;
        ann.delete_progress(progress).await;
        assert_eq!(ann.create_story(ids).await["refusal"], Value::Null);
        let (last, snapshot) = now(&ann).await;
        let both = json!([[story, "id", null, story], [progress, "id", null, progress]]);
        for policy in ["REJECT", "MERGE"] {
            let undone = undo(&ann, json!({"version": 2, "onConflict": policy})).await;
            assert_eq!(conflicts(&undone), both, "{policy}");
            let undone = undo(&ann, json!({"version": 3, "onConflict": policy})).await;
            assert_eq!(conflicts(&undone), json!([[story, "id", story, story]]), "{policy}");
            let input = json!({"to": 2, "base": ann.head_at(3).await, "onConflict": policy});
            let restored = restore(&ann, input).await;
            let expected = json!([[story, "id", story, story], [progress, "id", progress, progress]]);
            assert_eq!(conflicts(&restored), expected, "{policy}");
        }
        assert_eq!(now(&ann).await, (last, snapshot));
        let undone = undo(&ann, json!({"version": 2, "onConflict": "OVERWRITE"})).await;
        assert_eq!((&undone["changedRowCount"], &undone["conflict"]), (&json!(2), &Value::Null));
    }

    async fn an_undo_reports_a_label_that_was_created_again_as_its_id(db: Db) {
        let app = TestApp::start(db).await;
        for noun in ["Tag", "Fandom"] {
            let ann = app.user(noun);
            let id = Uuid::now_v7();
            let change = async |verb: &str, kind: &str, input: Value| {
                let done = ann.mutate(&format!("{verb}{noun}"), &format!("{kind}LabelInput"), input, "").await;
                assert_eq!(done["refusal"], Value::Null, "{done}");
            };
            change("create", "Create", json!({"name": "one", "id": id})).await;
            change("rename", "Rename", json!({"name": "two", "id": id})).await;
            change("delete", "Delete", json!({"id": id})).await;
            change("create", "Create", json!({"name": "three", "id": id})).await;
            for (version, yours) in [(2, Value::Null), (3, json!(id))] {
                let undone = undo(&ann, json!({"version": version})).await;
                assert_eq!(conflicts(&undone), json!([[id, "id", yours, id]]), "undo({version}) of {noun}");
            }
            let restored = restore(&ann, json!({"to": 3})).await;
            assert_eq!((&restored["changedRowCount"], &restored["refusal"]), (&json!(1), &Value::Null));
            let named = now(&ann).await.1.into_values().next().unwrap();
            assert_eq!(named["name"], "two");
        }
    }

    async fn an_undo_reports_values_as_the_fields_write_them(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let made = entry(&ann, "a", &[]).await["progress"].take();
        let (progress, story) = (&made["id"], &made["story"]["id"]);
        let labels = [tag(&ann, "x").await, tag(&ann, "y").await];
        let used = ann.version().await;
        let of_progress = |n: usize| {
            let (rating, status) = [(1.5, "READING"), (2.5, "PAUSED")][n - 1];
            json!({"id": progress, "rating": rating, "currentChapter": n, "readingStatus": status, "notes": format!("{n}")})
        };
        let of_story = |n: usize| {
            let (status, source) = [("COMPLETED", "WATTPAD"), ("HIATUS", "FANFICTION_NET")][n - 1];
            json!({"id": story, "publicationStatus": status, "source": source, "isNsfw": n == 1, "wordCount": n,
                "tagIds": labels[..n]})
        };
        for n in [1, 2] {
            assert_eq!(ann.update_progress(of_progress(n)).await["refusal"], Value::Null);
            assert_eq!(ann.update_story(of_story(n)).await["refusal"], Value::Null);
        }
        for (version, changed) in [(used + 1, of_progress(2)), (used + 2, of_story(2))] {
            let undone = undo(&ann, json!({"version": version})).await;
            let found = conflicts(&undone);
            assert!(found.as_array().unwrap().len() > 3, "{undone}");
            for field in found.as_array().unwrap() {
                assert_eq!(field[3], changed[field[1].as_str().unwrap()], "{field}");
            }
        }
        // The removal of a label would take it off a story.
        let undone = undo(&ann, json!({"version": used})).await;
        assert_eq!(conflicts(&undone), json!([[story, "tagIds", [labels[0]], labels]]));
    }
}

on_each_database! {
    async fn a_version_that_is_not_of_a_write_is_refused_with_the_reason(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        entry(&ann, "a", &[]).await;
        let deleted = entry(&ann, "b", &[]).await["progress"]["id"].take();
        let refusal = async |version: i64| {
            let refused = undo(&ann, json!({"version": version})).await;
            assert_eq!(refused["refusal"]["code"], "NOT_FOUND", "{version}: {refused}");
            assert_eq!(refused["refusal"]["field"], "version");
            refused["refusal"]["message"].as_str().unwrap().to_owned()
        };
        for version in [1, 0, -1, i64::from(i32::MIN)] {
            assert_eq!(refusal(version).await, format!("no write made version {version}: the first write makes version 2"));
        }
        for version in [4, 999, i64::from(i32::MAX)] {
            assert_eq!(refusal(version).await, format!("version {version} is above the library's version 3"));
        }
        let refused = restore(&ann, json!({"to": 999})).await;
        assert_eq!(refused["refusal"]["message"], "version 999 is above the library's version 3");
        ann.delete_progress(&deleted).await;
        let nothing = Retention { history: std::time::Duration::ZERO, receipts: std::time::Duration::ZERO };
        app.library.purge(nothing).await.unwrap();
        // The library as of version 4 is kept, but not the one before.
        assert_eq!(refusal(4).await, "the history of the write of version 4 is not kept");
        assert_eq!(refusal(3).await, "the history of the write of version 3 is not kept");
        let refused = restore(&ann, json!({"to": 3})).await;
        assert_eq!(refused["refusal"]["message"], "the history of version 3 is not kept");
    }
}
