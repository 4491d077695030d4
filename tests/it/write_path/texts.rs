//! Texts are stored as typed, and compared in normalized Unicode form.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    database::schema_upgrade::migrate,
    support::test_app::{Db, TestApp, on_each_database},
};

/// One name in two Unicode forms: composed, and decomposed as macOS and some keyboards write it.
const COMPOSED: &str = "Caf\u{e9} \u{d55c}";
const DECOMPOSED: &str = "Cafe\u{301} \u{1112}\u{1161}\u{11ab}";

/// Texts without a visible character.
const INVISIBLE: [&str; 6] = [
    "\u{200b}",
    "\u{feff} \u{2060}",
    "\u{200d}\u{200d}",
    "\u{301}",
    "\u{202e}",
    "\u{3164}",
];

on_each_database! {
    async fn the_unicode_forms_of_a_name_are_one_label(db: Db) {
        for (first, second) in [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)] {
            let app = TestApp::start(db).await;
            let ann = app.user("ann");
            for (kind, list) in [("Tag", "tags"), ("Fandom", "fandoms")] {
                let (create, rename) = (format!("create{kind}"), format!("rename{kind}"));
                let of = |name: &str| json!({"name": name});
                let made = ann.mutate(&create, "CreateLabelInput", of(first), "").await;
                assert_eq!(made["refusal"], Value::Null);
                let taken = ann.mutate(&create, "CreateLabelInput", of(&second.to_uppercase()), "").await;
                assert_eq!(taken["refusal"]["code"], "ALREADY_EXISTS");
                let id = json!(Uuid::now_v7());
                ann.mutate(&create, "CreateLabelInput", json!({"name": "other", "id": id}), "").await;
                let taken = ann.mutate(&rename, "RenameLabelInput", json!({"id": id, "name": second}), "").await;
                assert_eq!(taken["refusal"]["code"], "ALREADY_EXISTS");
                let entry = json!({"title": "A", "url": format!("https://example.org/{kind}"), list: [second]});
                let imported = ann.mutate("importLibrary", "ImportLibraryInput", json!({"entries": [entry]}), "importedCount").await;
                assert_eq!(imported["importedCount"], 1);
                let query = format!("query ($search: String) {{ {list}(search: $search) {{ name storyCount }} }}");
                let found = ann.ask(&query, json!({"search": second})).await;
                assert_eq!(found[list], json!([{"name": first, "storyCount": 1}]), "as it was typed");
            }
        }
    }

    async fn a_search_finds_either_unicode_form(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        for field in ["title", "author", "description", "notes"] {
            for (n, (text, search)) in [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)].into_iter().enumerate() {
                let word = format!("{field}{n}");
                let mut input = json!({"title": "A", "url": format!("https://example.org/{word}")});
                input[field] = json!(format!("{word} {text}"));
                ann.create_story(input).await;
                let query = "query ($search: String) { progresses(filter: {search: $search}) { nodes { notes story { title author description } } } }";
                let search = format!("{word} {}", search.to_lowercase());
                let found = ann.ask(query, json!({"search": search})).await["progresses"]["nodes"].take();
                assert_eq!(found.as_array().unwrap().len(), 1, "{search}");
                let held = if field == "notes" { &found[0]["notes"] } else { &found[0]["story"][field] };
                assert_eq!(*held, format!("{word} {text}"), "as it was typed");
            }
        }
    }

    async fn an_invisible_name_is_refused(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let story = ann.add("A").await["progress"]["story"]["id"].take();
        let tag = ann.create_tag("a").await["tag"]["id"].take();
        let version = ann.version().await;
        let refuses = async |mutation: &str, input_type: &str, input: Value, field: &str| {
            let query = format!("mutation ($input: {input_type}!) {{ {mutation}(input: $input) {{ libraryVersion }} }}");
            let response = ann.send(&query, json!({"input": input})).await;
            let extensions = &response["errors"][0]["extensions"];
            assert_eq!((&extensions["code"], &extensions["field"]), (&json!("BAD_USER_INPUT"), &json!(field)), "{input}: {response}");
        };
        for text in INVISIBLE {
            let url = "https://example.org/b";
            refuses("createTag", "CreateLabelInput", json!({"name": text}), "name").await;
            refuses("renameTag", "RenameLabelInput", json!({"id": tag, "name": text}), "name").await;
            refuses("createFandom", "CreateLabelInput", json!({"name": text}), "name").await;
            refuses("createStoryWithProgress", "CreateStoryWithProgressInput", json!({"title": text, "url": url}), "title").await;
            refuses("updateStoryWithRelations", "UpdateStoryWithRelationsInput", json!({"id": story, "title": text}), "title").await;
            refuses("createTag", "CreateLabelInput", json!({"name": "b", "device": {"id": text}}), "device.id").await;
            refuses("createTag", "CreateLabelInput", json!({"name": "b", "device": {"id": "d", "name": text}}), "device.name").await;
            let entries = json!({"entries": [{"title": text, "url": url}, {"title": "A", "url": url, "tags": [text]}]});
            let imported = ann.mutate("importLibrary", "ImportLibraryInput", entries, "invalidCount").await;
            assert_eq!(imported["invalidCount"], 2);
        }
        assert_eq!(ann.version().await, version);
        let unknown = ann.update_story(json!({"id": story, "author": INVISIBLE[0]})).await;
        assert_eq!(unknown["story"]["author"], "Unknown");
    }

    async fn labels_that_an_upgrade_finds_equal_are_both_kept(db: Db) {
        let mut app = TestApp::start(db).await;
        let ann = app.user("ann");
        let kept = ann.create_tag(COMPOSED).await["tag"]["id"].take();
        ann.create_story(json!({"title": "A", "url": "https://example.org/a", "notes": "n"})).await;
        app.stop().await;
        let status = migrate(&app.db, &["status"]);
        let newer = status.lines().skip_while(|line| !line.contains("unicode_keys")).count();
        assert!(newer > 0, "{status}");
        migrate(&app.db, &["down", "--steps", &newer.to_string()]);
        let (id, other) = (Uuid::now_v7().simple().to_string(), Uuid::now_v7().simple().to_string());
        let uuid = |id: &str| match db {
            Db::Sqlite => format!("X'{id}'"),
            Db::Postgres => format!("'{id}'::uuid"),
        };
        let (name, key) = (DECOMPOSED, DECOMPOSED.to_lowercase());
        let insert = |id: &str, name: &str| format!(
            "INSERT INTO topaz_tag (user_id, id, stamp, name, name_key, created_at, updated_at)
             SELECT user_id, {}, stamp, '{name}', '{}', created_at, updated_at FROM topaz_tag LIMIT 1",
            uuid(id), name.to_lowercase(),
        );
        app.db.execute(&insert(&id, name)).await;
        app.db.execute(&insert(&other, "e\u{301}clair")).await;
        app.db.execute(&format!("UPDATE topaz_story SET title = '{name}', title_key = '{key}', search_key = '{key}'")).await;
        app.db.execute(&format!("UPDATE topaz_progress SET notes = '{name} 2', search_key = '{key} 2'")).await;
        migrate(&app.db, &["up"]);

        let app = app.restart(&[]).await;
        let ann = app.user("ann");
        assert_eq!(ann.version().await, 3, "nothing has changed for a device");
        let found = ann.ask("query ($search: String) { tags(search: $search) { name } }", json!({"search": COMPOSED})).await;
        assert_eq!(found["tags"], json!([{"name": COMPOSED}, {"name": DECOMPOSED}]));
        let taken = ann.create_tag(DECOMPOSED).await;
        assert_eq!(taken["refusal"]["existingId"], kept, "the first is found by the name");
        assert_eq!(ann.create_tag("\u{c9}clair").await["refusal"]["code"], "ALREADY_EXISTS");
        for search in [COMPOSED.to_owned(), format!("{COMPOSED} 2")] {
            let query = "query ($search: String) { progresses(filter: {search: $search}) { totalCount } }";
            assert_eq!(ann.ask(query, json!({"search": search})).await["progresses"]["totalCount"], 1, "{search}");
        }
        let renamed = ann.mutate("renameTag", "RenameLabelInput", json!({"id": Uuid::try_parse(&id).unwrap(), "name": "another"}), "").await;
        assert_eq!(renamed["refusal"], Value::Null);
    }
}
