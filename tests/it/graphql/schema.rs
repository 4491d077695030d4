//! The schema: descriptions, declaration order, and the fields that a normalised cache needs.

use apollo_compiler::{
    Node,
    ast::{Definition, Document, InputValueDefinition},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::test_app::{TestApp, on_each_database};

/// Phrases that the style rules ban in descriptions.
const BANNED: [&str; 14] = [
    "are told",
    "is told",
    "is no ",
    "in whatever",
    "for ever",
    "passed over",
    "comes back",
    "of its own",
    "at the most",
    "of yours",
    "of your making",
    "as good as",
    "what it comes to",
    "where you stand",
];

fn document() -> Document {
    Document::parse(library_sync::graphql::sdl(), "schema.graphql").unwrap()
}

/// Every element of the schema with its description.
fn described(document: &Document) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    let mut add = |place: String, description: &Option<Node<str>>| {
        all.push((place, description.as_ref().map(ToString::to_string)));
    };
    let inputs = |of: &str, inputs: &[Node<InputValueDefinition>]| {
        let inputs = inputs.iter();
        inputs
            .map(|input| (format!("{of}.{}", input.name), input.description.clone()))
            .collect::<Vec<_>>()
    };
    for definition in &document.definitions {
        let name = definition.name().unwrap().to_string();
        let fields = match definition {
            Definition::ObjectTypeDefinition(it) => {
                add(name.clone(), &it.description);
                &it.fields
            }
            Definition::InterfaceTypeDefinition(it) => {
                add(name.clone(), &it.description);
                &it.fields
            }
            Definition::UnionTypeDefinition(it) => {
                add(name, &it.description);
                continue;
            }
            Definition::ScalarTypeDefinition(it) => {
                add(name, &it.description);
                continue;
            }
            Definition::EnumTypeDefinition(it) => {
                add(name.clone(), &it.description);
                for value in &it.values {
                    add(format!("{name}.{}", value.value), &value.description);
                }
                continue;
            }
            Definition::InputObjectTypeDefinition(it) => {
                add(name.clone(), &it.description);
                for (place, description) in inputs(&name, &it.fields) {
                    add(place, &description);
                }
                continue;
            }
            other => panic!("{other}"),
        };
        for field in fields {
            let place = format!("{name}.{}", field.name);
            add(place.clone(), &field.description);
            for (place, description) in inputs(&place, &field.arguments) {
                add(place, &description);
            }
        }
    }
    all
}

#[test]
fn every_part_of_the_schema_is_described_in_full_sentences() {
    let all = described(&document());
    assert!(all.len() > 250, "{}", all.len());
    let mut wrong = Vec::new();
    for (place, description) in all {
        let text = description.unwrap_or_default();
        let lower = text.to_lowercase();
        let is_sentence = text.ends_with('.')
            && text.starts_with(|first: char| first.is_uppercase() || first == '`' || first == '0');
        if !is_sentence || BANNED.iter().any(|turn| lower.contains(turn)) {
            wrong.push(format!("{place}: {text:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Scalars have our descriptions, not the engine's.
    assert!(!library_sync::graphql::sdl().contains("datetime with timezone offset"));
}

#[test]
fn the_schema_starts_with_its_root_types_in_declaration_order() {
    let document = document();
    let names: Vec<_> = document
        .definitions
        .iter()
        .filter_map(Definition::name)
        .collect();
    assert_eq!(names[..3], ["Query", "Mutation", "Subscription"]);
    let place = |name: &str| names.iter().position(|it| *it == name).unwrap();
    assert!(place("Progress") < place("ReadingStatus"));
    let sdl = library_sync::graphql::sdl();
    let story = &sdl[sdl.find("\ntype Story ").unwrap()..];
    assert!(story.find("title:").unwrap() < story.find("author:").unwrap());
    assert!(story.find("author:").unwrap() < story.find("chapterCount:").unwrap());
    assert_eq!(std::fs::read_to_string("schema.graphql").unwrap(), sdl);
}

const NODE: &str = "query ($id: ID!) { node(id: $id) { __typename id ... on Story { title progress { id } tags { name } } ... on Progress { story { title } } ... on Tag { name storyCount } ... on Library { version } } }";

on_each_database! {
    async fn an_object_is_found_by_its_global_id(db: Db) {
        let app = TestApp::start(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let tag = ann.create_tag("t").await["tag"]["id"].take();
        let made = ann.create_story(json!({"title": "A", "url": "https://example.org/a", "tagIds": [tag]})).await["progress"].take();
        let (story, progress) = (&made["story"]["id"], &made["id"]);
        let library = ann.ask("{ library { id } viewer { id } }", json!({})).await;
        assert_ne!(library["library"]["id"], library["viewer"]["id"]);
        let library = &library["library"]["id"];
        for (id, expected) in [
            (story, json!({"__typename": "Story", "id": story, "title": "A", "progress": {"id": progress}, "tags": [{"name": "t"}]})),
            (progress, json!({"__typename": "Progress", "id": progress, "story": {"title": "A"}})),
            (&tag, json!({"__typename": "Tag", "id": tag, "name": "t", "storyCount": 1})),
            (library, json!({"__typename": "Library", "id": library, "version": 3})),
        ] {
            assert_eq!(ann.ask(NODE, json!({"id": id})).await["node"], expected);
        }
        let unknown = json!(Uuid::now_v7());
        let nodes = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }";
        let found = ann.ask(nodes, json!({"ids": [progress, unknown, library, story]})).await["nodes"].take();
        let types: Vec<_> = found.as_array().unwrap().iter().map(|node| &node["__typename"]).collect();
        assert_eq!(json!(types), json!(["Progress", null, "Library", "Story"]));
        for id in [story, progress, &tag] {
            assert_eq!(bob.ask(NODE, json!({"id": id})).await["node"], Value::Null);
        }
        let refused = ann.send(NODE, json!({"id": "7"})).await;
        assert_eq!(refused["errors"][0]["extensions"]["field"], "id");
        let many: Vec<_> = (0..101).map(|_| Uuid::now_v7()).collect();
        let refused = ann.send(nodes, json!({"ids": many})).await;
        assert_eq!(refused["errors"][0]["extensions"]["field"], "ids");
    }

    async fn a_payload_updates_a_normalised_cache(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let fields = "library { id version head floor stats { storyCount tagCount } } replayed";
        let input = json!({"name": "t", "idempotencyKey": "k"});
        let made = ann.mutate("createTag", "CreateLabelInput", input.clone(), &format!("tag {{ id }} {fields}")).await;
        assert_eq!((&made["library"]["version"], &made["library"]["head"]), (&json!(2), &made["libraryHead"]));
        assert_eq!((&made["replayed"], &made["library"]["stats"]), (&json!(false), &json!({"storyCount": 0, "tagCount": 1})));
        let tag = &made["tag"]["id"];
        let entry = ann.create_story(json!({"title": "A", "url": "https://example.org/a", "tagIds": [tag]})).await["progress"].take();
        let other = ann.create_story(json!({"title": "B", "url": "https://example.org/b", "tagIds": [tag]})).await["progress"].take();

        // The original result, and the current library.
        let replayed = ann.mutate("createTag", "CreateLabelInput", input, &format!("tag {{ id }} {fields}")).await;
        assert_eq!((&replayed["replayed"], &replayed["libraryVersion"], &replayed["tag"]["id"]), (&json!(true), &json!(2), tag));
        assert_eq!(replayed["library"]["version"], 4);

        let fields = "deletedProgressId deletedStoryId changedTags { id storyCount } changedFandoms { id } replayed";
        let input = json!({"id": entry["id"], "idempotencyKey": "d"});
        for is_replay in [false, true] {
            let gone = ann.mutate("deleteProgress", "DeleteProgressInput", input.clone(), fields).await;
            assert_eq!((&gone["deletedProgressId"], &gone["deletedStoryId"]), (&entry["id"], &entry["story"]["id"]));
            assert_eq!(gone["changedTags"], json!([{"id": tag, "storyCount": 1}]));
            assert_eq!((&gone["changedFandoms"], &gone["replayed"]), (&json!([]), &json!(is_replay)));
        }
        let fields = "deletedTagId changedStories(first: 5) { id stamp tags { id } } none: changedStories(first: 0) { id }";
        let gone = ann.mutate("deleteTag", "DeleteLabelInput", json!({"id": tag}), fields).await;
        assert_eq!((&gone["deletedTagId"], &gone["none"]), (tag, &json!([])));
        assert_eq!(gone["changedStories"], json!([{"id": other["story"]["id"], "stamp": 6, "tags": []}]));
    }
}
