//! Documents follow the GraphQL specification and the complexity limits.

use serde_json::{Value, json};

use crate::support::test_app::{Db, TestApp, TestUser, on_each_database};

const IMPORT: &str =
    "mutation ($input: ImportLibraryInput!) { importLibrary(input: $input) { importedCount } }";

fn code(response: &Value) -> &str {
    let code = &response["errors"][0]["extensions"]["code"];
    code.as_str().unwrap_or_else(|| panic!("{response}"))
}

fn message(response: &Value) -> &str {
    response["errors"][0]["message"].as_str().unwrap()
}

/// Creates a tag whose name is a literal, and returns the name that was stored.
async fn tag_of(ann: &TestUser<'_>, literal: &str) -> Value {
    let create = format!(
        "mutation {{ createTag(input: {{name: {literal}}}) {{ tag {{ name }} refusal {{ code }} }} }}"
    );
    let response = ann.send(&create, json!({})).await;
    assert!(response.get("errors").is_none(), "{literal}: {response}");
    response["data"]["createTag"]["tag"]["name"].clone()
}

on_each_database! {
    async fn a_failed_mutation_keeps_the_results_of_earlier_ones(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let create = |name: &str| format!("createTag(input: {{name: \"{name}\"}}) {{ libraryVersion tag {{ name }} }}");
        let query = format!("mutation {{ a: {} b: {} c: {} d: deleteTag(input: {{id: \"x\"}}) {{ deletedTagId }} }}", create("one"), create(""), create("two"));
        let response = ann.send(&query, json!({})).await;
        let made = |version, name| json!({"libraryVersion": version, "tag": {"name": name}});
        assert_eq!(response["data"], json!({"a": made(2, "one"), "b": null, "c": made(3, "two"), "d": null}), "{response}");
        let errors: Vec<_> = response["errors"].as_array().unwrap().iter().map(|error| (&error["path"], &error["extensions"]["code"])).collect();
        let (wrong, b, d) = (json!("BAD_USER_INPUT"), json!(["b"]), json!(["d"]));
        assert_eq!(errors, [(&b, &wrong), (&d, &wrong)]);
        assert_eq!(response["extensions"]["libraryVersion"], 3);
        // An error found before execution refuses the whole document.
        let wrong = format!("mutation {{ a: {} b: createTag(input: {{name: 1}}) {{ libraryVersion }} }}", create("three"));
        let response = ann.send(&wrong, json!({})).await;
        assert_eq!((code(&response), response.get("data")), ("BAD_USER_INPUT", None));
        assert_eq!(ann.version().await, 3);
    }
}

#[tokio::test]
async fn a_string_is_stored_as_the_specification_reads_it() {
    let app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    let literals = [
        (r#""""say \"""hi\""" 1""""#, r#"say """hi""" 1"#),
        ("\"\"\"\n    two\n      lines\n  \"\"\"", "two\n  lines"),
        (r#""""\n \u0041""""#, r"\n \u0041"),
        (r#""\uD83D\uDCDA 2""#, "📚 2"),
        (r#""\u{1F4DA} 3""#, "📚 3"),
        (r#""\u{41}\u0042 \"\\\/ 4""#, r#"AB "\/ 4"#),
        (r#""📚 é 5""#, "📚 é 5"),
    ];
    for (index, (literal, text)) in literals.into_iter().enumerate() {
        // A label name is one line.
        if !text.contains('\n') {
            assert_eq!(tag_of(&ann, literal).await, text, "{literal}");
        }
        // In a list, in nested input objects and in a variable's default.
        let entry = |n, notes| {
            format!("{{title: \"a\", url: \"https://example.org/{index}/{n}\", notes: {notes}}}")
        };
        let query = format!(
            "mutation ($notes: String! = {literal}) {{ importLibrary(input: {{entries: [{}, {}]}}) {{ importedCount }} }}",
            entry(1, literal),
            entry(2, "$notes")
        );
        let response = ann.send(&query, json!({})).await;
        assert_eq!(
            response["data"]["importLibrary"]["importedCount"], 2,
            "{response}"
        );
    }
    let query = "{ progresses(first: 100) { nodes { notes } } }";
    let found = ann.ask(query, json!({})).await;
    let nodes = found["progresses"]["nodes"].as_array().unwrap();
    for (literal, text) in literals {
        let noted = |node: &&Value| node["notes"] == text;
        assert_eq!(nodes.iter().filter(noted).count(), 2, "{literal} {found}");
    }
    for wrong in [
        r#""\uD83D""#,
        r#""\uDCDA\uD83D""#,
        r#""\u{D83D}""#,
        r#""\u{110000}""#,
        r#""\u{}""#,
        r#""\x""#,
        r#""\u12""#,
        "\"a\nb\"",
        "\"a",
        r#""""a"#,
    ] {
        for query in [
            format!("{{ tags(search: {wrong}) {{ id }} }}"),
            format!("query ($s: String = {wrong}) {{ tags(search: $s) {{ id }} }}"),
        ] {
            let response = ann.send(&query, json!({})).await;
            assert_eq!(
                code(&response),
                "GRAPHQL_PARSE_FAILED",
                "{query} {response}"
            );
        }
    }
}

#[tokio::test]
async fn an_input_field_given_twice_is_refused() {
    let app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    for query in [
        "mutation { createTag(input: {name: \"a\", name: \"b\"}) { libraryVersion } }",
        "mutation { createTag(input: {name: \"a\", device: {id: \"a\", id: \"a\"}}) { libraryVersion } }",
        "mutation { importLibrary(input: {entries: [{title: \"a\", url: \"https://a.org/\", title: \"b\"}]}) { importedCount } }",
        "mutation { importLibrary(input: {entries: {title: \"a\", url: \"https://a.org/\", title: \"b\"}}) { importedCount } }",
        "query ($f: ProgressFilter = {isNsfw: true, isNsfw: false}) { progresses(filter: $f) { totalCount } }",
        "{ ...F } fragment F on Query { progresses(filter: {rating: {min: 1, min: 2}}) { totalCount } }",
    ] {
        let response = ann.send(query, json!({})).await;
        assert_eq!(code(&response), "GRAPHQL_VALIDATION_FAILED", "{query}");
        let expected = "There can be only one input field named";
        assert!(message(&response).starts_with(expected), "{response}");
        assert!(response.get("data").is_none());
    }
    assert_eq!(ann.version().await, 1);
}

#[tokio::test]
async fn a_number_without_a_fraction_is_accepted_as_an_integer() {
    let app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    let changes = "query ($s: Int!) { libraryChanges(since: $s, first: 1) { reset } }";
    // As text, because serde_json normalizes numbers.
    for number in ["1", "1.0", "1e0", "10E-1", "0", "-0", "-0.0", "0e5"] {
        let body = format!(r#"{{"query": "{changes}", "variables": {{"s": {number}}}}}"#);
        let request = app.http.post(app.url("/graphql")).body(body);
        let request = request
            .header("content-type", "application/json")
            .bearer_auth(crate::support::test_app::token("ann"));
        let response: Value = request.send().await.unwrap().json().await.unwrap();
        let reset = &response["data"]["libraryChanges"]["reset"];
        assert_eq!(reset, false, "{number}: {response}");
    }
    let literal = "{ libraryChanges(since: -0, first: 1) { reset } }";
    let response = ann.send(literal, json!({})).await;
    assert_eq!(
        response["data"]["libraryChanges"]["reset"], false,
        "{response}"
    );

    // In a nested input, in a list of them, and for an ID, whose text is the integer.
    let entry = json!({"title": "a", "url": "https://example.org/a", "chapterCount": 3.0, "wordCount": 1e3, "currentChapter": 2.0, "rating": 4});
    let input = json!({"input": {"entries": [entry]}});
    assert_eq!(
        ann.ask(IMPORT, input).await["importLibrary"]["importedCount"],
        1
    );
    let query = "{ progresses { nodes { currentChapter story { chapterCount wordCount } } } }";
    let story = json!({"chapterCount": 3, "wordCount": 1_000});
    let found = ann.ask(query, json!({})).await;
    let expected = json!([{"currentChapter": 2, "story": story}]);
    assert_eq!(found["progresses"]["nodes"], expected);
    for id in [json!(7), json!(7.0), json!(u64::MAX)] {
        // A valid ID of no object.
        let response = ann
            .send(
                "query ($id: ID!) { progress(id: $id) { id } }",
                json!({"id": id}),
            )
            .await;
        assert!(response.get("data").is_some(), "{id}: {response}");
    }

    let change = "mutation ($input: UpdateProgressInput!) { updateProgress(input: $input) { libraryVersion } }";
    let not_integer = "Int cannot represent non-integer value: ";
    let too_large = "Int cannot represent non 32-bit signed integer value: ";
    for (number, expected) in [
        (json!(1.5), format!("{not_integer}1.5")),
        (json!("1"), format!("{not_integer}\"1\"")),
        (json!(true), format!("{not_integer}true")),
        (json!(2_147_483_648_i64), format!("{too_large}2147483648")),
        (json!(-2_147_483_649_i64), format!("{too_large}-2147483649")),
        (json!(1e10), format!("{too_large}10000000000")),
        (json!(u64::MAX), format!("{too_large}18446744073709551615")),
    ] {
        let input = json!({"input": {"id": "a", "currentChapter": number}});
        let response = ann.send(change, input).await;
        let error = &response["errors"][0];
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{response}");
        assert_eq!(error["extensions"]["field"], "currentChapter");
        assert!(message(&response).contains(&expected), "{response}");
        let literal = "Variable \"$input\" got invalid value";
        assert!(message(&response).starts_with(literal), "{response}");
        assert!(
            message(&response).contains("at \"input.currentChapter\""),
            "{response}"
        );
    }
    for (number, expected) in [
        ("3000000000", format!("{too_large}3000000000")),
        ("1.0", format!("{not_integer}1.0")),
        ("1e3", format!("{not_integer}1e3")),
    ] {
        let query = format!("{{ libraryChanges(since: {number}) {{ reset }} }}");
        let response = ann.send(&query, json!({})).await;
        assert_eq!(
            (code(&response), message(&response)),
            ("BAD_USER_INPUT", expected.as_str())
        );
        assert_eq!(response["errors"][0]["extensions"]["field"], "since");
    }
}

#[tokio::test]
async fn every_invalid_value_of_a_request_is_reported() {
    let app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    let wrong = json!({"title": 1, "url": "https://example.org/a", "tags": ["a", null], "nope": 1});
    let input = json!({"input": {"entries": [wrong, {"url": "https://example.org/b"}]}});
    let response = ann.send(IMPORT, input).await;
    let errors = response["errors"].as_array().unwrap();
    let mut fields: Vec<_> = errors
        .iter()
        .map(|error| error["extensions"]["field"].as_str().unwrap())
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, ["nope", "tags", "title", "title"], "{response}");
    let place = "at \"input.entries[0].tags[1]\"";
    let placed = |error: &Value| error["message"].as_str().unwrap().contains(place);
    assert!(errors.iter().any(placed), "{response}");
}

#[tokio::test]
async fn conflicting_fields_are_refused() {
    let app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    let changes = |of: &str| {
        format!("{{ libraryChanges(since: 0, first: 1) {{ changes {{ __typename {of} }} }} }}")
    };
    for query in [
        changes("... on Story { status: publicationStatus } ... on Progress { status: readingStatus }"),
        changes("... on Story { x: title } ... on Progress { x: notes }"),
        "{ a: tags { id } a: fandoms { id } }".to_owned(),
        "{ progresses(first: 1) { totalCount } progresses(first: 2) { totalCount } }".to_owned(),
        "{ progresses(filter: {readingStatuses: [READING]}) { totalCount } progresses(filter: {readingStatuses: [READING, PAUSED]}) { totalCount } }".to_owned(),
        "{ progresses { nodes { x: id } ...F } } fragment F on ProgressConnection { nodes { x: notes } }".to_owned(),
    ] {
        let response = ann.send(&query, json!({})).await;
        assert_eq!(code(&response), "GRAPHQL_VALIDATION_FAILED", "{query} {response}");
        assert!(message(&response).starts_with("Fields \""), "{query} {response}");
    }
    let fits = changes("... on Story { publicationStatus } ... on Progress { readingStatus }");
    assert!(ann.send(&fits, json!({})).await.get("errors").is_none());
}

/// The fields of a list entry in a typical app.
const CARD: &str = "fragment Card on Progress { id readingStatus currentChapter rating notes stamp updatedAt story { ...Work } }
    fragment Work on Story { id title author url source publicationStatus description summary chapterCount wordCount isNsfw
        tags { ...Label } fandoms { id name } }
    fragment Label on Tag { id name }";

#[tokio::test]
async fn queries_of_an_app_pass_the_complexity_limit_and_nested_lists_do_not() {
    let app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    ann.add("A").await;
    let page = |first: &str, of: &str| {
        format!(
            "{{ progresses{first} {{ totalCount pageInfo {{ endCursor }} edges {{ node {{ {of} }} }} nodes {{ {of} }} }} }} {CARD}"
        )
    };
    let times = |n: usize, field: &str| {
        let alias = |n| format!("a{n}: {field} ");
        format!("{{ {} }}", (0..n).map(alias).collect::<String>())
    };
    let counts = "progresses(first:100){nodes{story{tags{storyCount}}}}";
    let words = "one two three four five six seven eight nine ten";
    let search = format!("progresses(filter: {{search: \"{words}\"}}) {{ nodes {{ id }} }}");
    let library = "library { stats { storyCount topTags { name } } }";
    for (query, passes) in [
        (page("", "...Card"), true),
        (page("(first: 100)", "...Card"), true),
        // A field that is selected twice counts once.
        (page("(first: 100)", &"...Card ...Card ...Card ".repeat(20)), true),
        (format!("{{ {} }}", "progresses(first: 100) { nodes { id } } ".repeat(100)), true),
        ("{ progresses { nodes { story { tags { id name storyCount } fandoms { id name storyCount } } } } tags { id name storyCount } }".to_owned(), true),
        (times(4, counts), false),
        (times(8, counts), false),
        (times(1, &search), true),
        (times(50, &search), false),
        (times(50, &search.replace("(filter", "(first: 1, filter")), false),
        (times(50, library), false),
        (times(50, "progresses(first: 1) { totalCount }"), false),
    ] {
        let response = ann.send(&query, json!({})).await;
        if passes {
            assert!(response.get("errors").is_none(), "{query}: {response}");
        } else {
            assert_eq!(code(&response), "QUERY_TOO_COMPLEX", "{query}: {response}");
            let text = message(&response);
            assert!(text.contains("a smaller `first`") && text.contains("50000"), "{text}");
            let count = text.split(|c: char| !c.is_ascii_digit()).find_map(|digits| digits.parse::<u64>().ok());
            assert!(count.is_some_and(|count| count > 50_000), "{text}");
        }
    }
    let variable = format!(
        "query ($words: String) {}",
        times(50, "progresses(filter: {search: $words}) { nodes { id } }")
    );
    let response = ann.send(&variable, json!({"words": words})).await;
    assert_eq!(code(&response), "QUERY_TOO_COMPLEX");
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

#[tokio::test]
async fn no_user_can_evict_the_persisted_documents_of_others() {
    let persisted = |text: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        let hex = |byte: &u8| format!("{byte:02x}");
        let hash: String = digest.as_ref().iter().map(hex).collect();
        json!({"persistedQuery": {"version": 1, "sha256Hash": hash}})
    };
    let app = TestApp::start_with(Db::Sqlite, &["--persisted-documents", "10"]).await;
    let ask = async |user: &str, request: Value| -> Value {
        let request = app.http.post(app.url("/graphql")).json(&request);
        let request = request.bearer_auth(crate::support::test_app::token(user));
        request.send().await.unwrap().json().await.unwrap()
    };
    let texts = ["{ libraryVersion }", "{ viewer { id } }"];
    for text in texts {
        let register = json!({"query": text, "extensions": persisted(text)});
        assert!(ask("ann", register).await.get("errors").is_none());
    }
    for n in 0..100 {
        let text = format!("{{ libraryVersion }} # {n}");
        let register = json!({"query": text, "extensions": persisted(&text)});
        assert!(ask("eve", register).await.get("errors").is_none());
    }
    for text in texts {
        let response = ask("ben", json!({"extensions": persisted(text)})).await;
        assert!(response.get("errors").is_none(), "{text}: {response}");
    }
}
