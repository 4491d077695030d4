//! The table of conflicts, row by row, through GraphQL.

use serde_json::{Value, json};

use crate::test_app::{TestApp, TestUser, on_each_database};

/// A story with a progress, and a device that has seen both as they are now.
struct Shared<'a> {
    ann: TestUser<'a>,
    story: Value,
    progress: Value,
    base: i64,
}

impl<'a> Shared<'a> {
    async fn new(app: &'a TestApp, input: Value) -> Self {
        let ann = app.user("ann");
        let mut all = json!({"title": "A", "url": "https://example.org/a", "description": "d", "currentChapter": 3});
        all.as_object_mut()
            .unwrap()
            .extend(input.as_object().unwrap().clone());
        let made = ann.create_story(all).await;
        let (progress, story) = (
            made["progress"]["id"].clone(),
            made["progress"]["story"]["id"].clone(),
        );
        Self {
            ann,
            story,
            progress,
            base: made["libraryVersion"].as_i64().unwrap(),
        }
    }

    /// Another device's change, made in the meantime.
    async fn theirs(&self, change: Value) {
        let answer = self.update(change, json!({})).await;
        assert_eq!(answer["refusal"], Value::Null);
    }

    /// Our change, made against what we had seen.
    async fn ours(&self, change: Value, on_conflict: &str) -> Value {
        self.update(
            change,
            json!({"base": self.base, "onConflict": on_conflict}),
        )
        .await
    }

    async fn update(&self, change: Value, against: Value) -> Value {
        let mut input = change;
        input
            .as_object_mut()
            .unwrap()
            .extend(against.as_object().unwrap().clone());
        let conflict = "conflict { resolution fields { field base yours theirs } }";
        if input.get("currentChapter").is_some()
            || input.get("notes").is_some()
            || input.get("rating").is_some()
        {
            input["id"] = self.progress.clone();
            let fields = format!("progress {{ currentChapter notes rating }} {conflict}");
            self.ann
                .mutate("updateProgress", "UpdateProgressInput", input, &fields)
                .await
        } else {
            input["storyId"] = self.story.clone();
            let fields =
                format!("story {{ title description tags {{ id }} fandoms {{ id }} }} {conflict}");
            self.ann
                .mutate(
                    "updateStoryWithRelations",
                    "UpdateStoryWithRelationsInput",
                    input,
                    &fields,
                )
                .await
        }
    }
}

fn clash(resolution: &str, field: &str, [base, yours, theirs]: [Value; 3]) -> Value {
    let fields = [json!({"field": field, "base": base, "yours": yours, "theirs": theirs})];
    json!({"resolution": resolution, "fields": fields})
}

on_each_database! {
    async fn different_fields_of_one_story_do_not_conflict(db: Db) {
        for policy in ["REJECT", "MERGE", "OVERWRITE"] {
            let app = TestApp::start(db).await;
            let shared = Shared::new(&app, json!({})).await;
            shared.theirs(json!({"title": "B"})).await;
            let ours = shared.ours(json!({"description": "e"}), policy).await;
            assert_eq!((&ours["conflict"], &ours["refusal"]), (&Value::Null, &Value::Null), "{policy}");
            assert_eq!((&ours["story"]["title"], &ours["story"]["description"]), (&json!("B"), &json!("e")));
        }
    }

    async fn the_same_value_from_two_devices_is_no_conflict_and_no_change(db: Db) {
        for policy in ["REJECT", "MERGE", "OVERWRITE"] {
            let app = TestApp::start(db).await;
            let shared = Shared::new(&app, json!({})).await;
            shared.theirs(json!({"title": "B"})).await;
            let ours = shared.ours(json!({"title": "B"}), policy).await;
            assert_eq!((&ours["conflict"], &ours["libraryVersion"]), (&Value::Null, &json!(3)), "{policy}");
        }
    }

    async fn a_clash_that_is_rejected_changes_nothing_and_lists_base_yours_and_theirs(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        shared.theirs(json!({"title": "B"})).await;
        shared.theirs(json!({"title": "C"})).await;
        let ours = shared.ours(json!({"title": "D", "description": "e"}), "REJECT").await;
        assert_eq!(ours["conflict"], clash("REJECTED", "title", [json!("A"), json!("D"), json!("C")]));
        assert_eq!((&ours["refusal"]["code"], &ours["libraryVersion"]), (&json!("CONFLICT"), &json!(4)));
        let read = shared.ann.ask("query ($id: ID!) { story(id: $id) { title description } }", json!({"id": shared.story})).await;
        assert_eq!(read["story"], json!({"title": "C", "description": "d"}));
    }

    async fn a_base_alone_rejects_and_none_overwrites(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        shared.theirs(json!({"title": "B"})).await;
        let with_base = shared.update(json!({"title": "C"}), json!({"base": shared.base})).await;
        assert_eq!(with_base["refusal"]["code"], "CONFLICT");
        let without = shared.update(json!({"title": "C"}), json!({})).await;
        assert_eq!((&without["conflict"], &without["story"]["title"]), (&Value::Null, &json!("C")));
    }

    async fn a_clash_that_is_overwritten_is_ours(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        shared.theirs(json!({"title": "B"})).await;
        let ours = shared.ours(json!({"title": "C"}), "OVERWRITE").await;
        assert_eq!((&ours["conflict"], &ours["story"]["title"]), (&Value::Null, &json!("C")));
    }

    async fn a_merge_changes_what_does_not_clash_and_tells_what_it_left(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        shared.theirs(json!({"title": "B"})).await;
        let ours = shared.ours(json!({"title": "C", "description": "e"}), "MERGE").await;
        assert_eq!(ours["conflict"], clash("MERGED", "title", [json!("A"), json!("C"), json!("B")]));
        assert_eq!((&ours["story"]["title"], &ours["story"]["description"]), (&json!("B"), &json!("e")));
        assert_eq!((&ours["refusal"], &ours["libraryVersion"]), (&Value::Null, &json!(4)));
        let again = shared.ours(json!({"title": "C", "description": "e"}), "MERGE").await;
        assert_eq!(again["libraryVersion"], 4, "merged again, it changes nothing more");
    }

    async fn sets_of_labels_merge_as_additions_and_removals(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        for (mutation, label, labels, ids) in [("createTag", "tag", "tags", "tagIds"), ("createFandom", "fandom", "fandoms", "fandomIds")] {
            let mut made = Vec::new();
            for name in ["a", "b", "c", "d"] {
                let fields = format!("{label} {{ id }}");
                made.push(ann.mutate(mutation, "CreateLabelInput", json!({"name": name}), &fields).await[label]["id"].take());
            }
            let [a, b, c, d] = &made[..] else { unreachable!() };
            let url = format!("https://example.org/{ids}");
            let shared = Shared::new(&app, json!({"url": url, ids: [a, b]})).await;
            shared.theirs(json!({ids: [a, b, d]})).await;
            let rejected = shared.ours(json!({ids: [b, c]}), "REJECT").await;
            let sorted = |set: &[&Value]| {
                let mut set: Vec<_> = set.iter().map(|id| id.as_str().unwrap()).collect();
                set.sort_unstable();
                json!(set)
            };
            assert_eq!(rejected["conflict"], clash("REJECTED", ids, [sorted(&[a, b]), sorted(&[b, c]), sorted(&[a, b, d])]));
            assert_eq!(rejected["story"], Value::Null);
            let merged = shared.ours(json!({ids: [b, c]}), "MERGE").await;
            assert_eq!(merged["conflict"], Value::Null);
            assert_eq!(merged["story"][labels], json!([{"id": b}, {"id": c}, {"id": d}]));
            let same = shared.ours(json!({ids: [b, c, d]}), "REJECT").await;
            assert_eq!((&same["conflict"], &same["libraryVersion"]), (&Value::Null, &merged["libraryVersion"]), "the same set is no clash");
            let overwritten = shared.ours(json!({ids: [a]}), "OVERWRITE").await;
            assert_eq!((&overwritten["conflict"], &overwritten["story"][labels]), (&Value::Null, &json!([{"id": a}])));
        }
    }

    async fn a_field_that_nobody_else_changed_is_yours_whatever_the_policy(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let fandom = ann.mutate("createFandom", "CreateLabelInput", json!({"name": "f"}), "fandom { id }").await["fandom"]["id"].take();
        let tag = ann.create_tag("t").await["tag"]["id"].take();
        for policy in ["REJECT", "MERGE", "OVERWRITE"] {
            let url = format!("https://example.org/{policy}");
            let shared = Shared::new(&app, json!({"url": url, "tagIds": [tag], "fandomIds": [fandom], "currentChapter": 9})).await;
            shared.theirs(json!({"title": "B"})).await;
            shared.theirs(json!({"notes": "theirs"})).await;
            let story = shared.ours(json!({"tagIds": [], "fandomIds": []}), policy).await;
            assert_eq!((&story["conflict"], &story["story"]["tags"], &story["story"]["fandoms"]), (&Value::Null, &json!([]), &json!([])), "{policy}");
            // Back, and without `rewind`: there is nothing to be further than.
            let progress = shared.ours(json!({"currentChapter": 2}), policy).await;
            assert_eq!((&progress["conflict"], &progress["progress"]["currentChapter"]), (&Value::Null, &json!(2)), "{policy}");
            assert_eq!(progress["progress"]["notes"], "theirs");
        }
    }

    async fn a_chapter_that_is_overwritten_is_ours_even_if_it_is_behind(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        shared.theirs(json!({"currentChapter": 9})).await;
        let same = shared.ours(json!({"currentChapter": 9}), "REJECT").await;
        assert_eq!((&same["conflict"], &same["libraryVersion"]), (&Value::Null, &json!(3)), "the same chapter is no clash");
        let rejected = shared.ours(json!({"currentChapter": 12}), "REJECT").await;
        assert_eq!(rejected["conflict"], clash("REJECTED", "currentChapter", [json!(3), json!(12), json!(9)]), "even if it is further");
        let rejected = shared.ours(json!({"currentChapter": 5, "rewind": true}), "REJECT").await;
        assert_eq!(rejected["refusal"]["code"], "CONFLICT", "to rewind is to merge");
        let ours = shared.ours(json!({"currentChapter": 5}), "OVERWRITE").await;
        assert_eq!((&ours["conflict"], &ours["progress"]["currentChapter"], &ours["libraryVersion"]), (&Value::Null, &json!(5), &json!(4)));
    }

    async fn a_merge_keeps_the_furthest_chapter_unless_it_rewinds(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        shared.theirs(json!({"currentChapter": 9})).await;
        let behind = shared.ours(json!({"currentChapter": 5}), "MERGE").await;
        assert_eq!(behind["progress"]["currentChapter"], 9);
        assert_eq!(behind["conflict"], clash("MERGED", "currentChapter", [json!(3), json!(5), json!(9)]));
        let ahead = shared.ours(json!({"currentChapter": 12}), "MERGE").await;
        assert_eq!((&ahead["progress"]["currentChapter"], &ahead["conflict"]), (&json!(12), &Value::Null));
        let rewound = shared.ours(json!({"currentChapter": 1, "rewind": true}), "MERGE").await;
        assert_eq!((&rewound["progress"]["currentChapter"], &rewound["conflict"]), (&json!(1), &Value::Null));
        let rejected = shared.ours(json!({"currentChapter": 4}), "REJECT").await;
        assert_eq!(rejected["refusal"]["code"], "CONFLICT");
    }

    async fn a_field_that_clashes_with_a_cleared_one_says_null(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({"notes": "n", "rating": 4.5})).await;
        shared.theirs(json!({"notes": null, "rating": 2.0})).await;
        let ours = shared.ours(json!({"notes": "m", "rating": 5.0}), "MERGE").await;
        let fields = ours["conflict"]["fields"].as_array().unwrap();
        assert!(fields.contains(&json!({"field": "notes", "base": "n", "yours": "m", "theirs": null})), "{fields:?}");
        assert!(fields.contains(&json!({"field": "rating", "base": 4.5, "yours": 5.0, "theirs": 2.0})), "{fields:?}");
    }

    async fn where_the_history_is_purged_every_field_may_clash(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        shared.theirs(json!({"title": "B"})).await;
        let (history, receipts) = (std::time::Duration::ZERO, std::time::Duration::ZERO);
        app.library.purge(library_sync::library::Retention { history, receipts }).await.unwrap();
        let ours = shared.ours(json!({"title": "C"}), "REJECT").await;
        assert_eq!(ours["conflict"], clash("REJECTED", "title", [Value::Null, json!("C"), json!("B")]));
    }

    async fn a_base_above_the_head_may_clash_with_anything(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared { base: 99, ..Shared::new(&app, json!({})).await };
        let same = shared.ours(json!({"title": "A"}), "REJECT").await;
        assert_eq!((&same["conflict"], &same["libraryVersion"]), (&Value::Null, &json!(2)));
        let ours = shared.ours(json!({"title": "C"}), "REJECT").await;
        assert_eq!(ours["conflict"], clash("REJECTED", "title", [Value::Null, json!("C"), json!("A")]));
        let merged = shared.ours(json!({"currentChapter": 9}), "MERGE").await;
        assert_eq!((&merged["conflict"], &merged["progress"]["currentChapter"]), (&Value::Null, &json!(9)));
    }

    async fn a_row_made_again_where_one_was_removed_clashes_with_whoever_knew_the_first(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        let Shared { ann, story, progress, .. } = &shared;
        ann.delete_progress(progress).await;
        let again = json!({"storyId": story, "progressId": progress, "title": "Z", "url": "https://example.org/z"});
        assert_eq!(ann.create_story(again).await["refusal"], Value::Null);
        let title = shared.ours(json!({"title": "C"}), "REJECT").await;
        assert_eq!(title["conflict"], clash("REJECTED", "title", [Value::Null, json!("C"), json!("Z")]));
        let chapter = shared.ours(json!({"currentChapter": 7}), "REJECT").await;
        assert_eq!(chapter["conflict"], clash("REJECTED", "currentChapter", [Value::Null, json!(7), json!(0)]));

        let tag = json!({"id": uuid::Uuid::now_v7(), "name": "a"});
        let create = || ann.mutate("createTag", "CreateLabelInput", tag.clone(), "tag { id }");
        let base = create().await["libraryVersion"].take();
        ann.mutate("deleteTag", "DeleteLabelInput", json!({"id": tag["id"]}), "deletedId").await;
        create().await;
        let rename = json!({"id": tag["id"], "name": "b", "base": base});
        let renamed = ann.mutate("renameTag", "RenameLabelInput", rename, "tag { id }").await;
        assert_eq!(renamed["refusal"]["code"], "CONFLICT");
    }

    async fn a_merge_that_makes_too_many_labels_is_refused_for_good(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        let entry = |n: u32| json!({
            "title": "A", "url": format!("https://example.org/{n}"),
            "tags": (n * 60..(n + 1) * 60).map(|n| format!("tag {n}")).collect::<Vec<_>>(),
        });
        let entries = json!({"entries": [entry(0), entry(1)]});
        shared.ann.mutate("importLibrary", "ImportLibraryInput", entries, "imported").await;
        let tags = shared.ann.ask("{ tags { id } }", json!({})).await["tags"].take();
        let ids: Vec<_> = tags.as_array().unwrap().iter().map(|tag| &tag["id"]).collect();
        let (hers, mine) = ids.split_at(60);
        shared.theirs(json!({"tagIds": hers})).await;
        let merge = || shared.ours(json!({"tagIds": mine, "idempotencyKey": "k"}), "MERGE");
        let refused = merge().await;
        assert_eq!((&refused["refusal"]["code"], &refused["refusal"]["field"]), (&json!("LIMIT_REACHED"), &json!("tagIds")));
        shared.theirs(json!({"tagIds": []})).await;
        assert_eq!(merge().await, refused, "so that an outbox goes on");
        let too_many = json!({"input": {"storyId": shared.story, "tagIds": ids}});
        let update = "mutation ($input: UpdateStoryWithRelationsInput!) { updateStoryWithRelations(input: $input) { libraryVersion } }";
        assert_eq!(shared.ann.refused(update, too_many).await, "BAD_USER_INPUT");
    }

    async fn a_base_is_needed_to_find_clashes(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        let update = "mutation ($input: UpdateStoryWithRelationsInput!) { updateStoryWithRelations(input: $input) { libraryVersion } }";
        for against in [json!({"onConflict": "MERGE"}), json!({"onConflict": "REJECT"})] {
            let mut input = json!({"storyId": shared.story, "title": "B"});
            input.as_object_mut().unwrap().extend(against.as_object().unwrap().clone());
            assert_eq!(shared.ann.refused(update, json!({"input": input})).await, "BAD_USER_INPUT", "{against}");
        }
        assert_eq!(shared.ann.version().await, 2);
    }
}
