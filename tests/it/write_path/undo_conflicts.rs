//! Rows that `undo` and `restoreLibrary` do not bring back, and their conflicts.

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
    halves.iter_mut().for_each(|half| half.sort());
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
