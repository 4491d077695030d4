//! A document means what the GraphQL specification says, and costs no more than the limits say.

use serde_json::{Value, json};

use crate::test_app::{Db, TestApp, on_each_database};

const IMPORT: &str =
    "mutation ($input: ImportLibraryInput!) { importLibrary(input: $input) { imported } }";

fn code(answer: &Value) -> &str {
    let code = &answer["errors"][0]["extensions"]["code"];
    code.as_str().unwrap_or_else(|| panic!("{answer}"))
}

on_each_database! {
    async fn a_mutation_that_fails_hides_nothing_of_those_before_it(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let create = |name: &str| format!("createTag(input: {{name: \"{name}\"}}) {{ libraryVersion tag {{ name }} }}");
        let query = format!("mutation {{ a: {} b: {} c: {} d: deleteTag(input: {{id: \"x\"}}) {{ deletedId }} }}", create("one"), create(""), create("two"));
        let answer = ann.send(&query, json!({})).await;
        let made = |version, name| json!({"libraryVersion": version, "tag": {"name": name}});
        assert_eq!(answer["data"], json!({"a": made(2, "one"), "b": null, "c": made(3, "two"), "d": null}), "{answer}");
        let errors: Vec<_> = answer["errors"].as_array().unwrap().iter().map(|error| (&error["path"], &error["extensions"]["code"])).collect();
        let (wrong, b, d) = (json!("BAD_USER_INPUT"), json!(["b"]), json!(["d"]));
        assert_eq!(errors, [(&b, &wrong), (&d, &wrong)]);
        assert_eq!(answer["extensions"], json!({"libraryVersion": 3}));
        // What is known before anything is run still refuses it all.
        let wrong = format!("mutation {{ a: {} b: createTag(input: {{name: 1}}) {{ libraryVersion }} }}", create("three"));
        let answer = ann.send(&wrong, json!({})).await;
        assert_eq!((code(&answer), answer.get("data")), ("BAD_USER_INPUT", None));
        assert_eq!(ann.version().await, 3);
    }
}

#[tokio::test]
async fn a_page_size_of_null_is_the_default() {
    let app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    let entry = |n| json!({"title": "a", "url": format!("https://example.org/{n}"), "tags": [format!("{n}")]});
    let entries: Vec<_> = (0..25).map(entry).collect();
    ann.ask(IMPORT, json!({"input": {"entries": entries}}))
        .await;
    let query = "query ($n: Int) { progresses(first: $n) { nodes { id } }
        library { stats { topTags(first: $n) { id } } } libraryChanges(since: 0, first: $n) { changes { __typename } } }";
    for variables in [json!({}), json!({"n": null})] {
        let found = ann.ask(query, variables.clone()).await;
        let count = |list: &Value| list.as_array().unwrap().len();
        assert_eq!(count(&found["progresses"]["nodes"]), 20, "{variables}");
        assert_eq!(
            count(&found["library"]["stats"]["topTags"]),
            10,
            "{variables}"
        );
        assert_eq!(
            count(&found["libraryChanges"]["changes"]),
            75,
            "{variables}"
        );
    }
    let null = ann
        .ask("{ progresses(first: null) { nodes { id } } }", json!({}))
        .await;
    assert_eq!(null["progresses"]["nodes"].as_array().unwrap().len(), 20);
}
