//! Bad input gets a clear error with a stable code, and changes nothing.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::test_app::{SECRET, TestApp, on_each_database, token};

const CREATE: &str = "mutation ($input: CreateStoryWithProgressInput!) { createStoryWithProgress(input: $input) { libraryVersion refusal { code field } } }";

/// A valid story, with the fields of `wrong` replaced.
fn story_with(wrong: Value) -> Value {
    let mut input = json!({"title": "A", "url": format!("https://example.org/{}", Uuid::now_v7())});
    input
        .as_object_mut()
        .unwrap()
        .extend(wrong.as_object().unwrap().clone());
    json!({ "input": input })
}

on_each_database! {
    async fn a_value_that_breaks_a_rule_is_refused_by_field_and_changes_nothing(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let long = |n: usize| "é".repeat(n);
        for (field, wrong) in [
            ("title", json!("")),
            ("title", json!("  ")),
            ("title", json!("two\nlines")),
            ("title", json!(long(501))),
            ("author", json!(long(201))),
            ("url", json!("ftp://example.org/a")),
            ("url", json!("example.org")),
            ("url", json!(format!("https://example.org/{}", "a".repeat(2048)))),
            ("description", json!(long(10_001))),
            ("summary", json!("nul \0")),
            ("chapterCount", json!(-1)),
            ("wordCount", json!(-1)),
            ("currentChapter", json!(-1)),
            ("rating", json!(5.1)),
            ("rating", json!(-0.1)),
            ("rating", json!(4.55)),
            ("notes", json!(long(10_001))),
            ("storyId", json!("not a uuid")),
            ("storyId", json!(Uuid::nil())),
            ("progressId", json!("7")),
            ("tagIds", json!(["7"])),
        ] {
            let response = ann.send(CREATE, story_with(json!({field: wrong}))).await;
            let error = &response["errors"][0];
            assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{field}: {response}");
            assert_eq!(error["extensions"]["field"], field, "{response}");
        }
        let too_many: Vec<_> = (0..101).map(|_| Uuid::now_v7()).collect();
        assert_eq!(ann.refused(CREATE, story_with(json!({"fandomIds": too_many}))).await, "BAD_USER_INPUT");
        assert_eq!(ann.version().await, 1);
    }

    async fn an_update_that_breaks_a_rule_is_refused_by_field_and_changes_nothing(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let entry = ann.add("A").await["progress"].take();
        let long = |n: usize| json!("é".repeat(n));
        let of_progress = [
            ("rating", json!(5.1)),
            ("rating", json!(-0.1)),
            ("rating", json!(4.55)),
            ("rating", json!("five")),
            ("currentChapter", json!(-1)),
            ("currentChapter", json!(null)),
            ("currentChapter", json!(3_000_000_000_u64)),
            ("notes", long(10_001)),
            ("notes", json!("nul \0")),
            ("readingStatus", json!("SKIMMED")),
            ("readingStatus", json!(null)),
            ("id", json!("7")),
            ("id", json!(null)),
        ];
        let of_story = [
            ("title", json!(" ")),
            ("title", json!(null)),
            ("title", long(501)),
            ("author", long(201)),
            ("url", json!("ftp://example.org/a")),
            ("url", json!(null)),
            ("source", json!("GEOCITIES")),
            ("publicationStatus", json!("PAUSED")),
            ("description", long(10_001)),
            ("summary", json!("nul \0")),
            ("chapterCount", json!(-1)),
            ("wordCount", json!(1.5)),
            ("isNsfw", json!(null)),
            ("tagIds", json!(["7"])),
            ("fandomIds", json!(["x"])),
            ("tagIds", json!((0..101).map(|_| Uuid::now_v7()).collect::<Vec<_>>())),
            ("id", json!("not a uuid")),
        ];
        let id = json!({"id": entry["id"]});
        let story_id = json!({"id": entry["story"]["id"]});
        let of_progress = of_progress.map(|it| ("updateProgress", "UpdateProgressInput", &id, it));
        let of_story = of_story.map(|it| ("updateStoryWithRelations", "UpdateStoryWithRelationsInput", &story_id, it));
        for (mutation, input_type, id, (field, wrong)) in of_progress.into_iter().chain(of_story) {
            let mut input = id.clone();
            input[field] = wrong;
            let query = format!("mutation ($input: {input_type}!) {{ {mutation}(input: $input) {{ libraryVersion }} }}");
            let response = ann.send(&query, json!({"input": input})).await;
            let error = &response["errors"][0];
            assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{mutation} {field}: {response}");
            assert_eq!(error["extensions"]["field"], field, "{mutation}: {response}");
        }
        assert_eq!(ann.version().await, 2);
    }

    async fn an_update_that_the_library_does_not_allow_is_refused_and_changes_nothing(db: Db) {
        let app = TestApp::start(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let first = ann.create_story(json!({"title": "A", "url": "https://example.org/a"})).await["progress"].take();
        let second = ann.create_story(json!({"title": "B", "url": "https://example.org/b"})).await["progress"].take();
        let foreign = bob.add("his").await["progress"].take();
        let (story, tag) = (&second["story"]["id"], Uuid::now_v7());
        for (change, expected) in [
            (json!({"id": story, "title": "C", "url": "https://example.org/a"}), json!(["ALREADY_EXISTS", "url", first["story"]["id"]])),
            (json!({"id": story, "title": "C", "tagIds": [tag]}), json!(["NOT_FOUND", "tagIds", null])),
            (json!({"id": story, "title": "C", "fandomIds": [tag]}), json!(["NOT_FOUND", "fandomIds", null])),
            (json!({"id": foreign["story"]["id"], "title": "C"}), json!(["NOT_FOUND", "id", null])),
            // The id of a progress is not a story id.
            (json!({"id": second["id"], "title": "C"}), json!(["NOT_FOUND", "id", null])),
        ] {
            let refusal = ann.update_story(change.clone()).await["refusal"].take();
            assert_eq!(json!([refusal["code"], refusal["field"], refusal["existingId"]]), expected, "{change}");
        }
        for id in [&foreign["id"], story, &json!(tag)] {
            let refusal = ann.update_progress(json!({"id": id, "rating": 1.0})).await["refusal"].take();
            assert_eq!((&refusal["code"], &refusal["field"]), (&json!("NOT_FOUND"), &json!("id")));
        }
        let own = ann.ask("query ($id: ID!) { story(id: $id) { title url } }", json!({"id": story})).await;
        assert_eq!(own["story"], json!({"title": "B", "url": "https://example.org/b"}));
        assert_eq!((ann.version().await, bob.version().await), (3, 2));
    }

    async fn a_value_at_its_limit_is_accepted(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let input = story_with(json!({
            "title": "é".repeat(500), "author": "é".repeat(200), "notes": "é".repeat(10_000), "rating": 5.0,
            "currentChapter": i32::MAX, "description": "line one\nline two\ttabbed 🙂",
        }));
        let made = ann.ask(CREATE, input).await;
        assert_eq!(made["createStoryWithProgress"], json!({"libraryVersion": 2, "refusal": null}));
    }

    async fn a_value_of_the_wrong_kind_is_refused(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        for wrong in [
            json!({"readingStatus": "SKIMMED"}),
            json!({"source": "GEOCITIES"}),
            json!({"publicationStatus": 3}),
            json!({"rating": "five"}),
            json!({"currentChapter": 1.5}),
            json!({"currentChapter": 3_000_000_000_u64}),
            json!({"title": null}),
            json!({"nosuchfield": 1}),
        ] {
            let code = ann.refused(CREATE, story_with(wrong.clone())).await;
            assert_eq!(code, "BAD_USER_INPUT", "{wrong}");
        }
        assert_eq!(ann.refused("{ nosuchfield }", json!({})).await, "GRAPHQL_VALIDATION_FAILED");
        assert_eq!(ann.refused("{ libraryVersion", json!({})).await, "GRAPHQL_PARSE_FAILED");
        assert_eq!(ann.version().await, 1);
    }

    async fn an_unknown_label_is_refused_and_no_part_of_the_story_is_stored(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let input = story_with(json!({"tagIds": [Uuid::now_v7()]}));
        let made = ann.ask(CREATE, input).await;
        let expected = json!({"libraryVersion": 1, "refusal": {"code": "NOT_FOUND", "field": "tagIds"}});
        assert_eq!(made["createStoryWithProgress"], expected);
        assert_eq!(app.db.scalar::<i64>("SELECT count(*) FROM topaz_story").await, 0);
    }

    async fn null_clears_only_where_it_may(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let input = json!({"title": "A", "url": "https://example.org/a", "author": "B", "notes": "n", "rating": 1.0});
        let entry = ann.create_story(input).await["progress"].take();
        let cleared = ann.update_progress(json!({"id": entry["id"], "notes": null, "rating": null})).await;
        assert_eq!((&cleared["progress"]["notes"], &cleared["progress"]["rating"]), (&Value::Null, &Value::Null));
        let story = ann.update_story(json!({"id": entry["story"]["id"], "author": null})).await;
        assert_eq!(story["story"]["author"], "Unknown");
        let update = "mutation ($input: UpdateStoryWithRelationsInput!) { updateStoryWithRelations(input: $input) { libraryVersion } }";
        let variables = json!({"input": {"id": entry["story"]["id"], "title": null}});
        assert_eq!(ann.refused(update, variables).await, "BAD_USER_INPUT");
        assert_eq!(ann.version().await, 4);
    }

    async fn a_request_without_a_valid_token_is_refused(db: Db) {
        let app = TestApp::start(db).await;
        let body = json!({"query": "mutation { createTag(input: {name: \"x\"}) { libraryVersion } }"});
        let mut forged = token("ann");
        forged.replace_range(forged.len() - 4.., "AAAA");
        // The leeway of 5 s is over a minute ago.
        let expired = expired("ann");
        for (token, code) in [
            (None, "UNAUTHENTICATED"),
            (Some("nonsense".to_owned()), "UNAUTHENTICATED"),
            (Some(forged), "UNAUTHENTICATED"),
            (Some(expired), "TOKEN_EXPIRED"),
        ] {
            for path in ["/graphql", "/api/trpc/view.getVersion", "/api/library-version-events"] {
                let mut request = if path == "/graphql" {
                    app.http.post(app.url(path)).json(&body)
                } else {
                    app.http.get(app.url(path))
                };
                if let Some(token) = &token {
                    request = request.bearer_auth(token);
                }
                let response = request.send().await.unwrap();
                assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path} {token:?}");
                if path == "/graphql" {
                    let body: Value = response.json().await.unwrap();
                    assert_eq!(body["errors"][0]["extensions"]["code"], code, "{token:?}");
                }
            }
        }
        assert_eq!(app.user("ann").version().await, 1);
    }

    async fn a_body_that_is_too_large_or_not_json_is_refused(db: Db) {
        let app = TestApp::start(db).await;
        let post = |body: String| {
            let request = app.http.post(app.url("/graphql")).bearer_auth(token("ann"));
            request.header("content-type", "application/json").body(body).send()
        };
        let large = json!({"query": "{ libraryVersion }", "variables": {"x": "a".repeat(3 << 20)}}).to_string();
        for (body, status) in [
            (large, StatusCode::PAYLOAD_TOO_LARGE),
            ("{not json".to_owned(), StatusCode::BAD_REQUEST),
            ("[]".to_owned(), StatusCode::BAD_REQUEST),
            (json!({"query": 7}).to_string(), StatusCode::BAD_REQUEST),
        ] {
            let response = post(body).await.unwrap();
            assert_eq!(response.status(), status);
            // A body that is not read to its end closes the connection, which the response announces.
            let closes = response.headers().get("connection").is_some_and(|value| value == "close");
            assert_eq!(closes, status == StatusCode::PAYLOAD_TOO_LARGE);
            let body: Value = response.json().await.unwrap();
            assert!(body["errors"][0]["extensions"]["code"].is_string(), "{body}");
        }
        assert_eq!(app.user("ann").version().await, 1);
    }
}

fn expired(sub: &str) -> String {
    use jsonwebtoken::{EncodingKey, Header, encode};
    let exp = time::OffsetDateTime::now_utc() - Duration::from_mins(1);
    let claims = json!({"sub": sub, "exp": exp.unix_timestamp()});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::default(), &claims, &key).unwrap()
}
