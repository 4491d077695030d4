//! Tags and fandoms: found, counted, renamed and removed.

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::test_app::{
    Db, TestApp, TestDatabase, TestProcess, TestUser, on_each_database,
};

/// The input fields and selections of the mutations, for tags and fandoms.
const KINDS: [(&str, &str, &str); 2] = [("Tag", "tag", "tags"), ("Fandom", "fandom", "fandoms")];

impl TestUser<'_> {
    async fn create(&self, kind: &str, name: &str) -> Value {
        let fields = format!("{} {{ id stamp }}", kind.to_lowercase());
        let made = self
            .mutate(
                &format!("create{kind}"),
                "CreateLabelInput",
                json!({"name": name}),
                &fields,
            )
            .await;
        made[kind.to_lowercase()].clone()
    }

    async fn rename(&self, kind: &str, input: Value) -> Value {
        let fields = format!(
            "{} {{ id name stamp storyCount }} conflict {{ resolution fields {{ field base yours theirs }} }}",
            kind.to_lowercase()
        );
        self.mutate(&format!("rename{kind}"), "RenameLabelInput", input, &fields)
            .await
    }

    async fn delete(&self, kind: &str, input: Value) -> Value {
        self.mutate(
            &format!("delete{kind}"),
            "DeleteLabelInput",
            input,
            &format!("deleted{kind}Id"),
        )
        .await
    }
}

/// An import of `count` stories, each with the tag "carried", and every second one with "other" too.
fn carriers(count: usize) -> Value {
    let entry = |n: usize| {
        let tags = if n.is_multiple_of(2) {
            json!(["carried"])
        } else {
            json!(["carried", "other"])
        };
        json!({"title": format!("story {n}"), "url": format!("https://example.org/{}", Uuid::now_v7()), "tags": tags})
    };
    json!({"entries": (0..count).map(entry).collect::<Vec<_>>()})
}

on_each_database! {
    async fn a_library_has_at_most_ten_thousand_labels_of_a_kind(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        ann.version().await;
        let (series, id) = match db {
            Db::Sqlite => ("WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 9999)", "randomblob(16)"),
            Db::Postgres => ("WITH n(n) AS (SELECT generate_series(1, 9999))", "gen_random_uuid()"),
        };
        let fill = format!(
            "INSERT INTO topaz_tag (user_id, id, stamp, name, name_key, created_at, updated_at)
             {series} SELECT 'ann', {id}, 1, 'tag ' || n, 'tag ' || n, 0, 0 FROM n"
        );
        let connection = app.db.connect().await;
        connection.execute_unprepared(&fill).await.unwrap();
        connection.close().await.unwrap();

        assert_eq!(ann.create_tag("the last").await["libraryVersion"], 2);
        let over = ann.create_tag("one more").await;
        assert_eq!((&over["refusal"]["code"], &over["libraryVersion"]), (&json!("LIMIT_REACHED"), &json!(2)));
        let import = async |fields: Value| {
            let mut entry = json!({"title": "A", "url": format!("https://example.org/{}", Uuid::now_v7())});
            entry.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let input = json!({"entries": [entry], "idempotencyKey": Uuid::now_v7()});
            ann.mutate("importLibrary", "ImportLibraryInput", input, "importedCount").await
        };
        // Rows created before the refusal are rolled back.
        let over = import(json!({"tags": ["one more"], "fandoms": ["f"]})).await;
        assert_eq!((&over["refusal"]["code"], &over["refusal"]["field"]), (&json!("LIMIT_REACHED"), &json!("tags")));
        assert_eq!((&over["importedCount"], &over["libraryVersion"]), (&json!(0), &json!(2)));
        assert_eq!(app.db.scalar::<i64>("SELECT count(*) FROM topaz_fandom").await, 0);
        assert_eq!(import(json!({"tags": ["TAG 7"], "fandoms": ["f"]})).await["importedCount"], 1);
    }

    async fn labels_are_found_by_a_part_of_their_name_and_say_how_many_stories_carry_them(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let names = ["Slow Burn", "burnt", "Ünder%way", "under_way", "AU", "!"];
        for (n, name) in names.iter().enumerate() {
            let entries: Vec<_> = (0..n).map(|_| json!({"title": "A", "url": format!("https://example.org/{}", Uuid::now_v7()), "tags": [name], "fandoms": [name]})).collect();
            if n == 0 {
                ann.create("Tag", name).await;
                ann.create("Fandom", name).await;
            }
            ann.mutate("importLibrary", "ImportLibraryInput", json!({"entries": entries}), "importedCount").await;
        }
        for (_, _, list) in KINDS {
            for search in ["", "burn", " BURN ", "ünder", "%", "_", "!", "w b", "b w", "nothing"] {
                let query = format!("query ($search: String) {{ {list}(search: $search) {{ name storyCount }} }}");
                let found = ann.ask(&query, json!({"search": search})).await[list].take();
                let wanted = search.trim().to_lowercase();
                let mut expected: Vec<_> = names.iter().enumerate().filter(|(_, name)| name.to_lowercase().contains(&wanted)).collect();
                expected.sort_by_key(|(_, name)| name.to_lowercase());
                let expected: Vec<_> = expected.iter().map(|(n, name)| json!({"name": name, "storyCount": n})).collect();
                assert_eq!(found, json!(expected), "{search:?}");
            }
        }
        assert_eq!(ann.refused("{ tags(search: \"\\u0000\") { id } }", json!({})).await, "BAD_USER_INPUT");
        let nobodys = app.user("bob").ask("{ tags(search: \"burn\") { id } }", json!({})).await;
        assert_eq!(nobodys, json!({"tags": []}));
    }

    async fn counting_the_stories_of_all_labels_costs_one_statement(db: Db) {
        let database = TestDatabase::new(db).await;
        let server = TestProcess::serve(&database.url, &[]).await;
        let entries: Vec<_> = (0..30).map(|n| {
            let tags: Vec<_> = (0..50).map(|m| format!("tag {}", n * 50 + m)).collect();
            json!({"title": "A", "url": format!("https://example.org/{n}"), "tags": tags})
        }).collect();
        let import = "mutation ($input: ImportLibraryInput!) { importLibrary(input: $input) { importedCount } }";
        server.send("ann", import, json!({"input": {"entries": entries}})).await.unwrap();
        let (cost, found) = server.statements(|| server.send("ann", "{ tags { storyCount } }", json!({}))).await;
        let found = found.unwrap();
        let tags = found["data"]["tags"].as_array().unwrap();
        assert!(tags.len() == 1500 && tags.iter().all(|tag| tag["storyCount"] == 1), "{found}");
        // The head, the tags, the counts.
        assert!(cost < 3.5, "{cost}");
    }

    async fn a_rename_stamps_only_the_label(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        for (kind, field, list) in KINDS {
            let label = ann.create(kind, "one").await;
            let input = json!({"title": "A", "url": format!("https://example.org/{kind}"), format!("{field}Ids"): [label["id"]]});
            let story = ann.create_story(input).await["progress"]["story"].take();
            let version = ann.version().await;
            let renamed = ann.rename(kind, json!({"id": label["id"], "name": " two "})).await;
            let expected = json!({"id": label["id"], "name": "two", "stamp": version + 1, "storyCount": 1});
            assert_eq!(renamed[field], expected, "{renamed}");
            assert_eq!(renamed["libraryVersion"], version + 1);
            let query = format!("query ($id: ID!) {{ story(id: $id) {{ stamp {list} {{ name }} }} }}");
            let now = ann.ask(&query, json!({"id": story["id"]})).await;
            assert_eq!(now["story"], json!({"stamp": story["stamp"], list: [{"name": "two"}]}));
        }
    }

    async fn a_rename_to_the_same_name_changes_nothing_but_to_another_case_does(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let label = ann.create("Tag", "Fluff").await;
        assert_eq!(ann.rename("Tag", json!({"id": label["id"], "name": "Fluff"})).await["libraryVersion"], 2);
        let renamed = ann.rename("Tag", json!({"id": label["id"], "name": "fluff"})).await;
        assert_eq!((&renamed["tag"]["name"], &renamed["libraryVersion"]), (&json!("fluff"), &json!(3)));
        let other = ann.create("Tag", "angst").await;
        let taken = ann.rename("Tag", json!({"id": other["id"], "name": "FLUFF"})).await;
        let expected = (&json!("ALREADY_EXISTS"), &json!("name"), &label["id"]);
        assert_eq!((&taken["refusal"]["code"], &taken["refusal"]["field"], &taken["refusal"]["existingId"]), expected);
        assert_eq!((&taken["tag"], &taken["libraryVersion"]), (&json!(null), &json!(4)));
        let variables = json!({"input": {"id": other["id"], "name": " "}});
        let rename = "mutation ($input: RenameLabelInput!) { renameTag(input: $input) { libraryVersion } }";
        assert_eq!(ann.refused(rename, variables).await, "BAD_USER_INPUT");
        assert_eq!(ann.version().await, 4);
    }

    async fn a_rename_conflicts_with_another_since_its_base(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let id = ann.create("Fandom", "one").await["id"].take();
        ann.rename("Fandom", json!({"id": id, "name": "two"})).await;
        let base = ann.head_at(2).await;
        let fields = json!([{"field": "name", "base": "one", "yours": "three", "theirs": "two"}]);
        let rejected = ann.rename("Fandom", json!({"id": id, "name": "three", "base": base})).await;
        assert_eq!(rejected["conflict"], json!({"resolution": "REJECTED", "fields": fields}));
        assert_eq!((&rejected["refusal"]["code"], &rejected["libraryVersion"]), (&json!("CONFLICT"), &json!(3)));
        let merged = ann.rename("Fandom", json!({"id": id, "name": "three", "base": base, "onConflict": "MERGE"})).await;
        assert_eq!(merged["conflict"], json!({"resolution": "MERGED", "fields": fields}));
        assert_eq!((&merged["fandom"]["name"], &merged["libraryVersion"]), (&json!("two"), &json!(3)));
        let same = ann.rename("Fandom", json!({"id": id, "name": "two", "base": base})).await;
        assert_eq!((&same["conflict"], &same["libraryVersion"]), (&json!(null), &json!(3)));
        let overwritten = ann.rename("Fandom", json!({"id": id, "name": "three", "base": base, "onConflict": "OVERWRITE"})).await;
        assert_eq!((&overwritten["fandom"]["name"], &overwritten["libraryVersion"]), (&json!("three"), &json!(4)));
    }

    async fn removing_a_label_is_one_step_that_stamps_every_story_that_carried_it(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let imported = ann.mutate("importLibrary", "ImportLibraryInput", carriers(1_300), "importedCount").await;
        assert_eq!((&imported["importedCount"], &imported["libraryVersion"]), (&json!(1_300), &json!(2)));
        let untouched = ann.add("without").await["progress"]["story"].take();
        let tags = ann.ask("{ tags { id name stamp } }", json!({})).await["tags"].take();
        let (carried, other) = (&tags[0], &tags[1]);
        assert_eq!((&carried["name"], &other["name"]), (&json!("carried"), &json!("other")));

        let deleted = ann.delete("Tag", json!({"id": carried["id"]})).await;
        assert_eq!((&deleted["deletedTagId"], &deleted["libraryVersion"]), (&carried["id"], &json!(4)));
        let stamped: i64 = app.db.scalar("SELECT count(*) FROM topaz_story WHERE stamp = 4").await;
        let links: i64 = app.db.scalar("SELECT count(*) FROM topaz_story_tag").await;
        let tombstones: i64 = app.db.scalar("SELECT count(*) FROM topaz_tombstone WHERE kind = 'Tag' AND stamp = 4").await;
        let records: i64 = app.db.scalar("SELECT (SELECT count(*) FROM topaz_field_change) + (SELECT count(*) FROM topaz_label_removal)").await;
        let kept: i64 = app.db.scalar("SELECT CAST(sum(length(carriers)) AS bigint) FROM topaz_label_removal WHERE kind = 'Tag' AND stamp = 4").await;
        assert_eq!((stamped, links, tombstones, records, kept), (1_300, 650, 1, 2, 1_300 * 33 - 2));
        let left = ann.ask("query ($id: ID!) { tags { id name stamp storyCount } story(id: $id) { stamp } }", json!({"id": untouched["id"]})).await;
        let expected = json!([{"id": other["id"], "name": "other", "stamp": other["stamp"], "storyCount": 650}]);
        assert_eq!((&left["tags"], &left["story"]["stamp"]), (&expected, &json!(3)));
        let again = ann.delete("Tag", json!({"id": carried["id"]})).await;
        assert_eq!((&again["refusal"]["code"], &again["libraryVersion"]), (&json!("NOT_FOUND"), &json!(4)));
    }

    async fn labels_before_a_removal_are_the_base_value_in_conflicts(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let [a, b, c] = [ann.create("Tag", "a").await, ann.create("Tag", "b").await, ann.create("Tag", "c").await].map(|tag| tag["id"].clone());
        let input = json!({"title": "A", "url": "https://example.org/a", "tagIds": [a, b]});
        let story = ann.create_story(input).await["progress"]["story"]["id"].take();
        let base = ann.head().await;
        ann.delete("Tag", json!({"id": a})).await;
        let update = |policy: &str| json!({"id": story, "tagIds": [b, c], "base": base, "onConflict": policy});
        let fields = "story { tags { name } } conflict { fields { field base } }";
        let rejected = ann.mutate("updateStoryWithRelations", "UpdateStoryWithRelationsInput", update("REJECT"), fields).await;
        assert_eq!(rejected["conflict"]["fields"], json!([{"field": "tagIds", "base": [a, b]}]));
        let merged = ann.mutate("updateStoryWithRelations", "UpdateStoryWithRelationsInput", update("MERGE"), fields).await;
        assert_eq!(merged["story"]["tags"], json!([{"name": "b"}, {"name": "c"}]));
    }

    async fn every_removal_and_change_since_the_base_counts_in_conflicts(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        for (kind, labels, ids) in [("Tag", "tags", "tagIds"), ("Fandom", "fandoms", "fandomIds")] {
            let mut made = Vec::new();
            for name in ["a", "b", "c", "d", "e"] {
                made.push(ann.create(kind, name).await["id"].take());
            }
            let [first, second, kept, others, ours] = made.try_into().unwrap();
            let story = |set: Value| json!({"title": "A", "url": format!("https://example.org/{}", Uuid::now_v7()), ids: set});
            let carrier = ann.create_story(story(json!([first, second, kept]))).await["progress"]["story"]["id"].take();
            let other = ann.create_story(story(json!([others]))).await["progress"]["story"]["id"].take();
            let base = ann.head().await;
            ann.delete(kind, json!({"id": first})).await;
            ann.update_story(json!({"id": carrier, ids: [second, kept, others]})).await;
            ann.delete(kind, json!({"id": second})).await;
            ann.update_story(json!({"id": carrier, ids: [kept]})).await;
            let update = |story: &Value, set: Value, policy: &str| json!({"id": story, ids: set, "base": base, "onConflict": policy});
            let fields = format!("story {{ {labels} {{ name }} }} conflict {{ fields {{ field base }} }}");
            let send = async |input: Value| ann.mutate("updateStoryWithRelations", "UpdateStoryWithRelationsInput", input, &fields).await;
            let rejected = send(update(&carrier, json!([first, second, kept, ours]), "REJECT")).await;
            assert_eq!(rejected["conflict"]["fields"], json!([{"field": ids, "base": [first, second, kept]}]));
            let merged = send(update(&carrier, json!([first, second, kept, ours]), "MERGE")).await;
            assert_eq!(merged["story"][labels], json!([{"name": "c"}, {"name": "e"}]));
            // A story that never had the label: adding a removed label is reported.
            let unknown = send(update(&other, json!([first, others]), "MERGE")).await;
            assert_eq!((&unknown["refusal"]["code"], &unknown["refusal"]["field"]), (&json!("NOT_FOUND"), &json!(ids)));
        }
    }

    async fn beyond_the_limit_of_searched_removals_the_base_value_is_unknown(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let entry = json!({"title": "A", "url": "https://example.org/a", "tags": (0..65).map(|n| format!("{n:02}")).collect::<Vec<_>>()});
        let imported = ann.mutate("importLibrary", "ImportLibraryInput", json!({"entries": [entry]}), "outcomes { storyId }").await;
        let story = &imported["outcomes"][0]["storyId"];
        let base = ann.head().await;
        let tags = ann.ask("{ tags { id } }", json!({})).await["tags"].take();
        let mut held = None;
        for (n, tag) in tags.as_array().unwrap().iter().enumerate() {
            ann.delete("Tag", json!({"id": tag["id"]})).await;
            if n >= 63 {
                let update = json!({"id": story, "tagIds": [tag["id"]], "base": base, "onConflict": "REJECT"});
                let rejected = ann.mutate("updateStoryWithRelations", "UpdateStoryWithRelationsInput", update, "conflict { fields { base } }").await;
                let was = rejected["conflict"]["fields"][0]["base"].as_array().map(Vec::len);
                assert_eq!(was, if n == 63 { Some(65) } else { None }, "{rejected}");
                held = Some(rejected);
            }
        }
        assert_eq!(held.unwrap()["refusal"]["code"], "CONFLICT");
    }

    async fn removing_a_label_costs_as_many_statements_for_many_stories_as_for_few(db: Db) {
        let database = TestDatabase::new(db).await;
        let server = TestProcess::serve(&database.url, &[]).await;
        let mut costs = Vec::new();
        for count in [10, 300] {
            let import = "mutation ($input: ImportLibraryInput!) { importLibrary(input: $input) { importedCount } }";
            server.send("ann", import, json!({"input": carriers(count)})).await.unwrap();
            let tags = server.send("ann", "{ tags(search: \"carried\") { id } }", json!({})).await.unwrap();
            let before = server.counter("library_sync_db_statements_total").await;
            let delete = "mutation ($id: ID!) { deleteTag(input: {id: $id}) { deletedTagId } }";
            let deleted = server.send("ann", delete, json!({"id": tags["data"]["tags"][0]["id"]})).await.unwrap();
            assert!(deleted["data"]["deleteTag"]["deletedTagId"].is_string(), "{deleted}");
            costs.push(server.counter("library_sync_db_statements_total").await - before);
        }
        // The node itself sends a few at any time.
        assert!(costs.iter().all(|cost| *cost < 25.0), "{costs:?}");
    }

    async fn a_label_recreated_with_its_id_leaves_no_tombstone(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let id = ann.create("Fandom", "one").await["id"].take();
        ann.delete("Fandom", json!({"id": id})).await;
        let again = ann.mutate("createFandom", "CreateLabelInput", json!({"id": id, "name": "one"}), "fandom { id }").await;
        assert_eq!((&again["fandom"]["id"], &again["libraryVersion"]), (&id, &json!(4)));
        assert_eq!(app.db.scalar::<i64>("SELECT count(*) FROM topaz_tombstone").await, 0);
    }

    async fn renames_and_removals_replay_and_do_not_find_labels_of_other_users(db: Db) {
        let app = TestApp::start(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        for (kind, _, _) in KINDS {
            let id = ann.create(kind, "hers").await["id"].take();
            for id in [&id, &json!(Uuid::now_v7())] {
                assert_eq!(bob.rename(kind, json!({"id": id, "name": "his"})).await["refusal"]["code"], "NOT_FOUND");
                assert_eq!(bob.delete(kind, json!({"id": id})).await["refusal"]["code"], "NOT_FOUND");
            }
            let rename = json!({"id": id, "name": "still hers", "idempotencyKey": format!("rename {kind}").replace(' ', "-")});
            let first = ann.rename(kind, rename.clone()).await;
            let delete = json!({"id": id, "idempotencyKey": format!("delete-{kind}")});
            let gone = ann.delete(kind, delete.clone()).await;
            assert_eq!(ann.delete(kind, delete).await, gone);
            let replayed = ann.rename(kind, rename).await;
            assert_eq!(replayed["libraryVersion"], first["libraryVersion"]);
            assert_eq!(replayed["refusal"], json!(null));
            assert_eq!(gone["libraryVersion"], ann.version().await);
        }
        assert_eq!(bob.version().await, 1);
    }
}
