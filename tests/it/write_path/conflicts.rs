//! The conflict rules, case by case, through GraphQL.

use serde_json::{Value, json};

use crate::support::test_app::{TestApp, TestUser, on_each_database};

/// A story with a progress, and a device whose copy of both is current.
struct Shared<'a> {
    ann: TestUser<'a>,
    story: Value,
    progress: Value,
    base: Value,
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
            base: made["libraryHead"].clone(),
        }
    }

    /// Another device's change, made in the meantime.
    async fn theirs(&self, change: Value) {
        let response = self.update(change, json!({})).await;
        assert_eq!(response["refusal"], Value::Null);
    }

    /// Our change, based on our copy.
    async fn ours(&self, change: Value, on_conflict: &str) -> Value {
        self.update(
            change,
            json!({"base": self.base, "onConflict": on_conflict}),
        )
        .await
    }

    async fn update(&self, change: Value, against: Value) -> Value {
        self.send(
            change,
            against,
            "conflict { resolution fields { field base yours theirs } }",
        )
        .await
    }

    /// Like [`Self::update`] on a device, with the origin of the conflicting changes in the payload.
    async fn on(&self, device: &str, change: Value, mut against: Value) -> Value {
        against["device"] = json!({"id": device, "name": format!("my {device}")});
        self.send(
            change,
            against,
            "conflict { resolution fields { field theirs device { id name } at } }",
        )
        .await
    }

    async fn send(&self, change: Value, against: Value, conflict: &str) -> Value {
        let mut input = change;
        input
            .as_object_mut()
            .unwrap()
            .extend(against.as_object().unwrap().clone());
        if input.get("currentChapter").is_some()
            || input.get("notes").is_some()
            || input.get("rating").is_some()
            || input.get("readingStatus").is_some()
        {
            input["id"] = self.progress.clone();
            let fields =
                format!("progress {{ currentChapter readingStatus notes rating }} {conflict}");
            self.ann
                .mutate("updateProgress", "UpdateProgressInput", input, &fields)
                .await
        } else {
            input["id"] = self.story.clone();
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

fn conflict(resolution: &str, field: &str, [base, yours, theirs]: [Value; 3]) -> Value {
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

    async fn a_rejected_conflict_changes_nothing_and_lists_base_yours_and_theirs(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        shared.theirs(json!({"title": "B"})).await;
        shared.theirs(json!({"title": "C"})).await;
        let ours = shared.ours(json!({"title": "D", "description": "e"}), "REJECT").await;
        assert_eq!(ours["conflict"], conflict("REJECTED", "title", [json!("A"), json!("D"), json!("C")]));
        assert_eq!((&ours["refusal"]["code"], &ours["libraryVersion"]), (&json!("CONFLICT"), &json!(4)));
        let read = shared.ann.ask("query ($id: ID!) { story(id: $id) { title description } }", json!({"id": shared.story})).await;
        assert_eq!(read["story"], json!({"title": "C", "description": "d"}));
    }

    async fn a_change_with_a_base_rejects_by_default_and_one_without_overwrites(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        shared.theirs(json!({"title": "B"})).await;
        let with_base = shared.update(json!({"title": "C"}), json!({"base": shared.base})).await;
        assert_eq!(with_base["refusal"]["code"], "CONFLICT");
        let without = shared.update(json!({"title": "C"}), json!({})).await;
        assert_eq!((&without["conflict"], &without["story"]["title"]), (&Value::Null, &json!("C")));
    }

    async fn an_overwritten_conflict_stores_our_value(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        shared.theirs(json!({"title": "B"})).await;
        let ours = shared.ours(json!({"title": "C"}), "OVERWRITE").await;
        assert_eq!((&ours["conflict"], &ours["story"]["title"]), (&Value::Null, &json!("C")));
    }

    async fn a_merge_changes_the_other_fields_and_reports_the_conflicts(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        shared.theirs(json!({"title": "B"})).await;
        let ours = shared.ours(json!({"title": "C", "description": "e"}), "MERGE").await;
        assert_eq!(ours["conflict"], conflict("MERGED", "title", [json!("A"), json!("C"), json!("B")]));
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
            assert_eq!(rejected["conflict"], conflict("REJECTED", ids, [sorted(&[a, b]), sorted(&[b, c]), sorted(&[a, b, d])]));
            assert_eq!(rejected["story"], Value::Null);
            let merged = shared.ours(json!({ids: [b, c]}), "MERGE").await;
            assert_eq!(merged["conflict"], Value::Null);
            assert_eq!(merged["story"][labels], json!([{"id": b}, {"id": c}, {"id": d}]));
            let same = shared.ours(json!({ids: [b, c, d]}), "REJECT").await;
            assert_eq!((&same["conflict"], &same["libraryVersion"]), (&Value::Null, &merged["libraryVersion"]), "the same set is no conflict");
            let overwritten = shared.ours(json!({ids: [a]}), "OVERWRITE").await;
            assert_eq!((&overwritten["conflict"], &overwritten["story"][labels]), (&Value::Null, &json!([{"id": a}])));
        }
    }

    async fn a_field_that_nobody_else_changed_is_written_under_every_policy(db: Db) {
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
            // Lower, without `rewind`: nobody else changed the chapter.
            let progress = shared.ours(json!({"currentChapter": 2}), policy).await;
            assert_eq!((&progress["conflict"], &progress["progress"]["currentChapter"]), (&Value::Null, &json!(2)), "{policy}");
            assert_eq!(progress["progress"]["notes"], "theirs");
        }
    }

    async fn an_overwritten_chapter_is_ours_even_if_it_is_lower(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        shared.theirs(json!({"currentChapter": 9})).await;
        let same = shared.ours(json!({"currentChapter": 9}), "REJECT").await;
        assert_eq!((&same["conflict"], &same["libraryVersion"]), (&Value::Null, &json!(3)), "the same chapter is no conflict");
        let rejected = shared.ours(json!({"currentChapter": 12}), "REJECT").await;
        assert_eq!(rejected["conflict"], conflict("REJECTED", "currentChapter", [json!(3), json!(12), json!(9)]), "even if it is further");
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
        assert_eq!(behind["conflict"], conflict("MERGED", "currentChapter", [json!(3), json!(5), json!(9)]));
        let ahead = shared.ours(json!({"currentChapter": 12}), "MERGE").await;
        assert_eq!((&ahead["progress"]["currentChapter"], &ahead["conflict"]), (&json!(12), &Value::Null));
        let rewound = shared.ours(json!({"currentChapter": 1, "rewind": true}), "MERGE").await;
        assert_eq!((&rewound["progress"]["currentChapter"], &rewound["conflict"]), (&json!(1), &Value::Null));
        let rejected = shared.ours(json!({"currentChapter": 4}), "REJECT").await;
        assert_eq!(rejected["refusal"]["code"], "CONFLICT");
    }

    async fn a_conflict_with_a_cleared_field_reports_null(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({"notes": "n", "rating": 4.5})).await;
        shared.theirs(json!({"notes": null, "rating": 2.0})).await;
        let ours = shared.ours(json!({"notes": "m", "rating": 5.0}), "MERGE").await;
        let fields = ours["conflict"]["fields"].as_array().unwrap();
        assert!(fields.contains(&json!({"field": "notes", "base": "n", "yours": "m", "theirs": null})), "{fields:?}");
        assert!(fields.contains(&json!({"field": "rating", "base": 4.5, "yours": 5.0, "theirs": 2.0})), "{fields:?}");
    }

    async fn a_base_below_the_floor_may_conflict_on_every_field(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        shared.theirs(json!({"title": "B"})).await;
        let (history, receipts) = (std::time::Duration::ZERO, std::time::Duration::ZERO);
        app.library.purge(library_sync::library::Retention { history, receipts }).await.unwrap();
        let ours = shared.ours(json!({"title": "C"}), "REJECT").await;
        assert_eq!(ours["conflict"], conflict("REJECTED", "title", [Value::Null, json!("C"), json!("B")]));
    }

    async fn a_base_above_the_head_may_conflict_on_every_field(db: Db) {
        let app = TestApp::start(db).await;
        let mut shared = Shared::new(&app, json!({})).await;
        shared.base = json!(shared.ann.head_at(99).await);
        let same = shared.ours(json!({"title": "A"}), "REJECT").await;
        assert_eq!((&same["conflict"], &same["libraryVersion"]), (&Value::Null, &json!(2)));
        let ours = shared.ours(json!({"title": "C"}), "REJECT").await;
        assert_eq!(ours["conflict"], conflict("REJECTED", "title", [Value::Null, json!("C"), json!("A")]));
        let merged = shared.ours(json!({"currentChapter": 9}), "MERGE").await;
        assert_eq!((&merged["conflict"], &merged["progress"]["currentChapter"]), (&Value::Null, &json!(9)));
    }

    async fn a_recreated_row_conflicts_with_bases_before_its_removal(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        let Shared { ann, story, progress, .. } = &shared;
        ann.delete_progress(progress).await;
        let again = json!({"storyId": story, "progressId": progress, "title": "Z", "url": "https://example.org/z"});
        assert_eq!(ann.create_story(again).await["refusal"], Value::Null);
        let title = shared.ours(json!({"title": "C"}), "REJECT").await;
        assert_eq!(title["conflict"], conflict("REJECTED", "title", [Value::Null, json!("C"), json!("Z")]));
        let chapter = shared.ours(json!({"currentChapter": 7}), "REJECT").await;
        assert_eq!(chapter["conflict"], conflict("REJECTED", "currentChapter", [Value::Null, json!(7), json!(0)]));

        let tag = json!({"id": uuid::Uuid::now_v7(), "name": "a"});
        let create = || ann.mutate("createTag", "CreateLabelInput", tag.clone(), "tag { id }");
        let base = create().await["libraryHead"].take();
        ann.mutate("deleteTag", "DeleteLabelInput", json!({"id": tag["id"]}), "deletedTagId").await;
        create().await;
        let rename = json!({"id": tag["id"], "name": "b", "base": base});
        let renamed = ann.mutate("renameTag", "RenameLabelInput", rename, "tag { id }").await;
        assert_eq!(renamed["refusal"]["code"], "CONFLICT");
    }

    async fn a_merge_over_the_label_limit_is_refused_permanently(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        let entry = |n: u32| json!({
            "title": "A", "url": format!("https://example.org/{n}"),
            "tags": (n * 60..(n + 1) * 60).map(|n| format!("tag {n}")).collect::<Vec<_>>(),
        });
        let entries = json!({"entries": [entry(0), entry(1)]});
        shared.ann.mutate("importLibrary", "ImportLibraryInput", entries, "importedCount").await;
        let tags = shared.ann.ask("{ tags { id } }", json!({})).await["tags"].take();
        let ids: Vec<_> = tags.as_array().unwrap().iter().map(|tag| &tag["id"]).collect();
        let (hers, mine) = ids.split_at(60);
        shared.theirs(json!({"tagIds": hers})).await;
        let merge = || shared.ours(json!({"tagIds": mine, "idempotencyKey": "k"}), "MERGE");
        let refused = merge().await;
        assert_eq!((&refused["refusal"]["code"], &refused["refusal"]["field"]), (&json!("LIMIT_REACHED"), &json!("tagIds")));
        shared.theirs(json!({"tagIds": []})).await;
        assert_eq!(merge().await, refused, "so that an outbox continues");
        let too_many = json!({"input": {"id": shared.story, "tagIds": ids}});
        let update = "mutation ($input: UpdateStoryWithRelationsInput!) { updateStoryWithRelations(input: $input) { libraryVersion } }";
        assert_eq!(shared.ann.refused(update, too_many).await, "BAD_USER_INPUT");
    }

    async fn an_entry_is_deleted_only_if_no_other_device_changed_it_since_the_base(db: Db) {
        let app = TestApp::start(db).await;
        let fields = "deletedProgressId refusal { code } conflict { resolution fields { field theirs device { id } } }";
        let delete = async |shared: &Shared<'_>, base: &Value| {
            let input = json!({"id": shared.progress, "base": base, "device": {"id": "tablet"}});
            shared.ann.mutate("deleteProgress", "DeleteProgressInput", input, fields).await
        };
        let shared = Shared::new(&app, json!({})).await;
        for (change, field, theirs) in [
            (json!({"notes": "n"}), "notes", "n"),
            (json!({"readingStatus": "READING"}), "readingStatus", "READING"),
            (json!({"description": "e"}), "description", "e"),
            (json!({"publicationStatus": "COMPLETED"}), "publicationStatus", "COMPLETED"),
        ] {
            let base = json!(shared.ann.head().await);
            shared.on("phone", change, json!({})).await;
            let refused = delete(&shared, &base).await;
            assert_eq!(refused["refusal"]["code"], "CONFLICT");
            assert_eq!(refused["deletedProgressId"], Value::Null);
            let by = json!({"field": field, "theirs": theirs, "device": {"id": "phone"}});
            assert_eq!(refused["conflict"], json!({"resolution": "REJECTED", "fields": [by]}));
        }
        // The device's own changes do not conflict, and a current base has seen all.
        let base = json!(shared.ann.head().await);
        shared.on("tablet", json!({"notes": "mine"}), json!({})).await;
        assert_eq!(delete(&shared, &base).await["deletedProgressId"], shared.progress);
    }

    async fn a_conflict_policy_requires_a_base(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        let update = "mutation ($input: UpdateStoryWithRelationsInput!) { updateStoryWithRelations(input: $input) { libraryVersion } }";
        for against in [json!({"onConflict": "MERGE"}), json!({"onConflict": "REJECT"})] {
            let mut input = json!({"id": shared.story, "title": "B"});
            input.as_object_mut().unwrap().extend(against.as_object().unwrap().clone());
            assert_eq!(shared.ann.refused(update, json!({"input": input})).await, "BAD_USER_INPUT", "{against}");
        }
        assert_eq!(shared.ann.version().await, 2);
    }

    async fn a_device_never_conflicts_with_itself(db: Db) {
        for policy in ["REJECT", "MERGE"] {
            let app = TestApp::start(db).await;
            let shared = Shared::new(&app, json!({})).await;
            let ours = |change| shared.on("phone", change, json!({"base": shared.base, "onConflict": policy}));
            for (field, values) in [("notes", ["one", "two"]), ("title", ["B", "C"])] {
                for value in values {
                    let made = ours(json!({field: value})).await;
                    assert_eq!((&made["conflict"], &made["refusal"]), (&Value::Null, &Value::Null), "{policy} {field}");
                    let row = if field == "notes" { &made["progress"] } else { &made["story"] };
                    assert_eq!(row[field], value, "the newer of its own wins");
                }
            }
            // It may also lower its own chapter.
            for chapter in [12, 10] {
                assert_eq!(ours(json!({"currentChapter": chapter})).await["progress"]["currentChapter"], chapter);
            }
        }
    }

    async fn a_change_of_another_device_conflicts_even_if_the_own_device_changed_it_too(db: Db) {
        for other in [Some("tablet"), None] {
            let app = TestApp::start(db).await;
            let shared = Shared::new(&app, json!({})).await;
            let against = || json!({"base": shared.base, "onConflict": "MERGE"});
            shared.on("phone", json!({"notes": "one"}), against()).await;
            match other {
                Some(other) => drop(shared.on(other, json!({"notes": "theirs"}), json!({})).await),
                None => shared.theirs(json!({"notes": "theirs"})).await,
            }
            shared.on("phone", json!({"notes": "two"}), json!({})).await;
            let ours = shared.on("phone", json!({"notes": "three"}), against()).await;
            assert_eq!(ours["progress"]["notes"], "two", "{other:?}");
            let device = other.map(|id| json!({"id": id, "name": format!("my {id}")}));
            assert_eq!(ours["conflict"]["fields"][0]["device"], json!(device));
        }
    }

    async fn a_device_renames_a_label_twice_from_one_base(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let made = ann.create_tag("one").await;
        let rename = |name: &str| {
            let input = json!({"id": made["tag"]["id"], "name": name, "base": made["libraryHead"], "device": {"id": "phone"}});
            ann.mutate("renameTag", "RenameLabelInput", input, "tag { name }")
        };
        rename("two").await;
        assert_eq!(rename("three").await["tag"]["name"], "three");
    }

    async fn a_device_that_is_behind_never_lowers_progress(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        let far = json!({"currentChapter": 80, "readingStatus": "COMPLETED"});
        shared.on("tablet", far, json!({})).await;
        let behind = json!({"currentChapter": 70, "readingStatus": "READING"});
        for device in ["phone", "desk"] {
            let left = shared.on(device, behind.clone(), json!({})).await;
            assert_eq!((&left["progress"]["currentChapter"], &left["progress"]["readingStatus"]), (&json!(80), &json!("COMPLETED")));
            assert_eq!((&left["libraryVersion"], &left["refusal"]), (&json!(3), &Value::Null));
            assert_eq!(left["conflict"]["resolution"], "MERGED");
            let fields = left["conflict"]["fields"].as_array().unwrap();
            assert_eq!(fields.iter().map(|field| &field["field"]).collect::<Vec<_>>(), ["currentChapter", "readingStatus"]);
            for field in fields {
                assert_eq!(field["device"], json!({"id": "tablet", "name": "my tablet"}));
                assert!(field["at"].is_string(), "{field}");
            }
        }
        // Also without a device, and the other fields are written.
        let left = shared.update(json!({"currentChapter": 70, "notes": "n"}), json!({})).await;
        assert_eq!((&left["progress"]["currentChapter"], &left["progress"]["notes"]), (&json!(80), &json!("n")));
        assert_eq!(left["conflict"]["fields"][0], json!({"field": "currentChapter", "base": null, "yours": 70, "theirs": 80}));
    }

    async fn a_chapter_is_lowered_by_rewind_or_a_current_base_or_its_own_device(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        let mut chapter = 80;
        shared.on("tablet", json!({"currentChapter": chapter}), json!({})).await;
        let head = shared.ann.head().await;
        for (device, against) in [
            ("phone", json!({"base": head})),
            ("desk", json!({"rewind": true})),
            ("phone", json!({"onConflict": "OVERWRITE"})),
            ("phone", json!({})), // it set the chapter itself
        ] {
            chapter -= 10;
            let set = shared.on(device, json!({"currentChapter": chapter}), against.clone()).await;
            assert_eq!((&set["progress"]["currentChapter"], &set["conflict"]), (&json!(chapter), &Value::Null), "{against}");
        }
    }

    async fn replays_duplicates_and_imports_never_lower_a_chapter(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        let early = json!({"id": shared.progress, "currentChapter": 5, "idempotencyKey": "k", "device": {"id": "phone"}});
        let first = shared.ann.update_progress(early.clone()).await;
        shared.on("tablet", json!({"currentChapter": 80}), json!({})).await;
        assert_eq!(shared.ann.update_progress(early.clone()).await, first, "a replay");
        let (history, receipts) = (std::time::Duration::from_hours(1), std::time::Duration::ZERO);
        app.library.purge(library_sync::library::Retention { history, receipts }).await.unwrap();
        assert_eq!(shared.ann.update_progress(early).await["progress"]["currentChapter"], 80, "a replay after its receipt");
        let entry = json!({"title": "A", "url": "https://example.org/a", "currentChapter": 1});
        let again = shared.ann.create_story(entry.clone()).await;
        assert_eq!(again["refusal"]["code"], "ALREADY_EXISTS");
        let imported = shared.ann.mutate("importLibrary", "ImportLibraryInput", json!({"entries": [entry]}), "duplicateCount").await;
        assert_eq!(imported["duplicateCount"], 1);
        let read = shared.ann.ask("query ($id: ID!) { progress(id: $id) { currentChapter } }", json!({"id": shared.progress})).await;
        assert_eq!(read["progress"]["currentChapter"], 80);
    }

    async fn a_conflict_names_the_device_and_the_time_as_far_as_they_are_known(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let input = json!({"title": "A", "url": "https://example.org/a", "currentChapter": 80, "device": {"id": "tablet"}});
        let made = ann.create_story(input).await;
        let behind = async || {
            let input = json!({"id": made["progress"]["id"], "currentChapter": 7, "device": {"id": "phone"}});
            let fields = "progress { createdAt updatedAt } conflict { fields { device { id } at } }";
            let left = ann.mutate("updateProgress", "UpdateProgressInput", input, fields).await;
            (left["conflict"]["fields"][0].clone(), left["progress"].clone())
        };
        let (field, progress) = behind().await;
        assert_eq!((&field["device"]["id"], &field["at"]), (&json!("tablet"), &progress["createdAt"]), "it made the row");
        ann.update_progress(json!({"id": made["progress"]["id"], "notes": "n"})).await;
        let (field, progress) = behind().await;
        assert_eq!((&field["device"]["id"], &field["at"]), (&json!("tablet"), &progress["createdAt"]));
        let (history, receipts) = (std::time::Duration::ZERO, std::time::Duration::ZERO);
        app.library.purge(library_sync::library::Retention { history, receipts }).await.unwrap();
        let (field, progress) = behind().await;
        assert_eq!((&field["device"], &field["at"]), (&Value::Null, &progress["updatedAt"]), "the history is purged");
    }

    async fn a_base_of_another_epoch_conflicts_wherever_the_numbering_stands(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        shared.on("tablet", json!({"currentChapter": 40}), json!({})).await;
        let ann = library_sync::version::UserId::new("ann").unwrap();
        app.library.begin_epoch(Some(&ann)).await.unwrap();
        let old = shared.ann.head_at(0).await;
        for passed in [false, true] {
            if passed {
                for rating in [1.0, 2.0, 3.0] {
                    shared.theirs(json!({"rating": rating})).await;
                }
            }
            let version = shared.ann.version().await;
            for policy in ["REJECT", "MERGE"] {
                let against = json!({"base": shared.base, "onConflict": policy});
                let ours = shared.on("phone", json!({"currentChapter": 13}), against).await;
                assert_eq!(ours["libraryVersion"], version, "{policy}");
                let field = &ours["conflict"]["fields"][0];
                assert_eq!((&field["field"], &field["theirs"]), (&json!("currentChapter"), &json!(40)));
                assert_eq!(field["device"]["id"], "tablet");
            }
            let same = shared.ours(json!({"currentChapter": 40}), "REJECT").await;
            assert_eq!(same["conflict"], Value::Null);
        }
        let (epoch, _) = old.split_once('.').unwrap();
        let future = format!("{}.1", epoch.parse::<i64>().unwrap() + 1);
        let ours = shared.update(json!({"title": "B"}), json!({"base": future})).await;
        assert_eq!(ours["refusal"]["code"], "CONFLICT", "an epoch that is not known here");
    }

    async fn a_base_that_is_not_a_head_is_refused_with_its_field(db: Db) {
        let app = TestApp::start(db).await;
        let shared = Shared::new(&app, json!({})).await;
        let update = "mutation ($input: UpdateProgressInput!) { updateProgress(input: $input) { libraryVersion } }";
        for base in [json!(2), json!("2"), json!(""), json!("1."), json!("1.2.3"), json!("-1.2"), json!(1.5), json!(true), json!({"epoch": 1})] {
            let input = json!({"input": {"id": shared.progress, "currentChapter": 9, "base": base}});
            let response = shared.ann.send(update, input).await;
            let extensions = &response["errors"][0]["extensions"];
            assert_eq!((&extensions["code"], &extensions["field"]), (&json!("BAD_USER_INPUT"), &json!("base")), "{base}: {response}");
        }
        assert_eq!(shared.ann.version().await, 2);
        let none = shared.update(json!({"currentChapter": 9}), json!({"base": null})).await;
        assert_eq!(none["progress"]["currentChapter"], 9);
    }

    async fn every_response_has_the_head_in_the_format_of_a_base(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let made = ann.add("A").await;
        let head = ann.head_at(2).await;
        let response = ann.send("{ library { head epoch } libraryChanges(since: 0) { head } }", json!({})).await;
        let epoch = response["data"]["library"]["epoch"].as_str().unwrap();
        assert_eq!(format!("{epoch}.2"), head);
        for head_in_response in [&made["libraryHead"], &response["data"]["library"]["head"], &response["data"]["libraryChanges"]["head"], &response["extensions"]["libraryHead"]] {
            assert_eq!(*head_in_response, json!(head));
        }
    }
}
