//! The same idempotency key gives the same answer, and at most one step of the version.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::test_app::{TestApp, TestDatabase, TestProcess, on_each_database};

const CREATE: &str = "mutation ($input: CreateStoryWithProgressInput!) { createStoryWithProgress(input: $input) { libraryVersion refusal { code field existingId } progress { id notes story { id title tags { name } } } } }";

on_each_database! {
    async fn a_mutation_replayed_across_crashes_is_made_once_and_always_answered_the_same(db: Db) {
        let database = TestDatabase::new(db).await;
        let input = json!({"input": {
            "title": "A", "url": "https://example.org/a", "notes": "n", "idempotencyKey": Uuid::now_v7(),
        }});
        let mut answers = BTreeSet::new();
        let mut tries = 0;
        for _ in 0..10 {
            let mut server = TestProcess::serve(&database.url, &[]).await;
            let send = || server.send("ann", CREATE, input.clone());
            // One is answered for sure; then the server dies under the others.
            answers.insert(send().await.unwrap().to_string());
            let mut others = Box::pin(join_all((0..9).map(|_| send())));
            let _ = futures_util::poll!(&mut others);
            server.signal("-KILL");
            for answer in others.await.into_iter().flatten() {
                answers.insert(answer.to_string());
            }
            tries += 10;
            server.wait().await;
        }
        assert_eq!((tries, answers.len()), (100, 1), "{answers:?}");
        let version: i32 = database.scalar("SELECT library_version FROM topaz_user").await;
        assert_eq!(version, 2);
    }

    async fn ten_at_once_are_made_once(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let input = json!({"input": {"title": "A", "url": "https://example.org/a", "idempotencyKey": "k"}});
        for _ in 0..10 {
            let answers = join_all((0..10).map(|_| ann.send(CREATE, input.clone()))).await;
            let distinct: BTreeSet<_> = answers.iter().map(Value::to_string).collect();
            assert_eq!(distinct.len(), 1, "{distinct:?}");
        }
        assert_eq!(ann.version().await, 2);
    }

    async fn a_replay_says_the_version_of_its_write_however_far_the_library_is(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let input = json!({"input": {"title": "A", "url": "https://example.org/a", "idempotencyKey": "k"}});
        let first = ann.send(CREATE, input.clone()).await;
        ann.add("B").await;
        let replay = ann.send(CREATE, input).await;
        assert_eq!(replay, first);
        assert_eq!(replay["extensions"]["libraryVersion"], 2);
    }

    async fn a_refusal_is_replayed_even_when_it_would_now_be_made(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let in_the_way = ann.create_story(json!({"title": "A", "url": "https://example.org/a"})).await;
        let input = json!({"input": {"title": "B", "url": "https://example.org/a", "idempotencyKey": "k"}});
        let refused = ann.send(CREATE, input.clone()).await;
        assert_eq!(refused["data"]["createStoryWithProgress"]["refusal"]["code"], "ALREADY_EXISTS");
        ann.delete_progress(&in_the_way["progress"]["id"]).await;
        let replay = ann.send(CREATE, input).await;
        assert_eq!(replay["data"], refused["data"]);
        assert_eq!(ann.version().await, 3);
    }

    async fn a_change_that_changes_nothing_is_replayed_too(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let made = ann.add("A").await["progress"]["id"].take();
        let same = json!({"id": made, "currentChapter": 0, "idempotencyKey": "k"});
        assert_eq!(ann.update_progress(same.clone()).await["libraryVersion"], 2);
        ann.update_progress(json!({"id": made, "currentChapter": 7})).await;
        let replay = ann.update_progress(same).await;
        assert_eq!((&replay["libraryVersion"], &replay["progress"]["currentChapter"]), (&json!(2), &json!(0)));
        assert_eq!(ann.version().await, 3);
    }

    async fn a_key_belongs_to_one_input_of_one_mutation_of_one_user(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let tag = |name: &str| json!({"name": name, "idempotencyKey": "k"});
        let create = |user: &'static str, input: Value| {
            let user = app.user(user);
            async move { user.mutate("createTag", "CreateLabelInput", input, "tag { name }").await }
        };
        assert_eq!(create("ann", tag("a")).await["libraryVersion"], 2);
        let other_input = create("ann", tag("b")).await;
        assert_eq!(other_input["refusal"]["code"], "IDEMPOTENCY_KEY_REUSED");
        let other_mutation = ann.mutate("createFandom", "CreateLabelInput", tag("a"), "fandom { name }").await;
        assert_eq!(other_mutation["refusal"]["code"], "IDEMPOTENCY_KEY_REUSED");
        assert_eq!(ann.version().await, 2);
        assert_eq!(create("bob", tag("b")).await["refusal"], Value::Null, "another user's key is another key");
    }

    async fn a_key_has_1_to_64_characters_of_any_script(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        for key in [String::new(), "k".repeat(65), "é".repeat(65), "a\nb".into(), "a\0".into(), "\u{85}".into()] {
            let input = json!({"input": {"title": "A", "url": "https://example.org/a", "idempotencyKey": key}});
            assert_eq!(ann.refused(CREATE, input).await, "BAD_USER_INPUT", "{key:?}");
        }
        for (n, key) in ["k".repeat(64), "🙂".repeat(64), "a b".into(), " ".into()].iter().enumerate() {
            let input = json!({"input": {"title": "A", "url": format!("https://example.org/{n}"), "idempotencyKey": key}});
            let made = ann.send(CREATE, input.clone()).await;
            assert_eq!(made["data"]["createStoryWithProgress"]["refusal"], Value::Null, "{key}: {made}");
            assert_eq!(ann.send(CREATE, input).await, made, "{key}");
        }
        assert_eq!(ann.version().await, 5);
    }

    async fn a_receipt_lives_its_time(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let input = json!({"name": "a", "idempotencyKey": "k"});
        let create = || ann.mutate("createTag", "CreateLabelInput", input.clone(), "tag { name }");
        create().await;
        let purge = |receipts| {
            let history = std::time::Duration::from_hours(1);
            app.library.purge(library_sync::library::Retention { history, receipts })
        };
        purge(std::time::Duration::from_hours(1)).await.unwrap();
        assert_eq!(create().await["refusal"], Value::Null);
        purge(std::time::Duration::ZERO).await.unwrap();
        assert_eq!(create().await["refusal"]["code"], "ALREADY_EXISTS", "it is a new change now");
    }
}
