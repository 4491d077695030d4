//! Requests with the same idempotency key get the same result, and move the version at most once.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::test_app::{
    Db, TestApp, TestDatabase, TestProcess, TestUser, on_each_database, soon,
};

const CREATE: &str = "mutation ($input: CreateStoryWithProgressInput!) { createStoryWithProgress(input: $input) { libraryVersion refusal { code field existingId } progress { id notes story { id title tags { name } } } } }";

on_each_database! {
    async fn a_mutation_replayed_across_crashes_runs_once_with_one_result(db: Db) {
        let database = TestDatabase::new(db).await;
        let mut server = TestProcess::serve(&database.url, &[]).await;
        server.send("ann", "{ libraryVersion }", json!({})).await.unwrap();
        let mut interrupted = 0;
        for round in 1..=10 {
            let input = json!({"input": {
                "title": "A", "url": format!("https://example.org/{round}"), "notes": "n", "idempotencyKey": Uuid::now_v7(),
            }});
            let ten = |server: &TestProcess| {
                let sends: Vec<_> = (0..10).map(|_| server.sending("ann", CREATE, input.clone())).collect();
                Box::pin(join_all(sends))
            };
            let mut sends = ten(&server);
            // The server is killed at a random moment: before the first request runs, between the ten, after the last.
            let moment = Duration::from_millis(fastrand::u64(1..40));
            let early = tokio::time::timeout(moment, &mut sends).await;
            server.signal("-KILL");
            interrupted += u32::from(early.is_err());
            let mut responses = match early {
                Ok(responses) => responses,
                Err(_) => sends.await,
            };
            server.wait().await;
            server = TestProcess::serve(&database.url, &[]).await;
            responses.extend(ten(&server).await);
            assert!(responses.iter().rev().take(10).all(Result::is_ok), "the restarted server responds");
            let responses: Vec<_> = responses.into_iter().flatten().collect();
            // The change succeeded, and its retries are not refused as duplicates.
            let is_made = |response: &Value| response["data"]["createStoryWithProgress"]["refusal"].is_null();
            assert!(responses.iter().all(is_made), "{responses:?}");
            let distinct: BTreeSet<_> = responses.iter().map(Value::to_string).collect();
            assert_eq!(distinct.len(), 1, "{distinct:?}");
            let version: i32 = database.scalar("SELECT library_version FROM topaz_user").await;
            assert_eq!(version, 1 + round, "{distinct:?}");
        }
        assert!(interrupted > 0, "no server was killed during a request");
    }

    async fn a_replay_about_an_entry_that_was_deleted_since_is_an_answer(db: Db) {
        const UPDATE: &str = "mutation ($input: UpdateProgressInput!) { updateProgress(input: $input) { \
            replayed refusal { code } progress { id ...Titled } } } fragment Titled on Progress { of: story { title } }";
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let id = ann.add("A").await["progress"]["id"].take();
        let input = json!({"input": {"id": id, "currentChapter": 3, "idempotencyKey": "k"}});
        let update = async |query: &str| ann.ask(query, input.clone()).await["updateProgress"].take();
        let progress = json!({"id": id, "of": {"title": "A"}});
        for replayed in [false, true] {
            let expected = json!({"replayed": replayed, "refusal": null, "progress": progress});
            assert_eq!(update(UPDATE).await, expected);
        }
        ann.delete_progress(&id).await;
        assert_eq!(update(UPDATE).await, json!({"replayed": true, "refusal": null, "progress": null}));
        let without = UPDATE.replace("{ id ...Titled }", "{ id }").split(" fragment").next().unwrap().to_owned();
        assert_eq!(update(&without).await, json!({"replayed": true, "refusal": null, "progress": {"id": id}}));
    }

    async fn a_replay_notifies_streams_that_missed_the_original(db: Db) {
        // Two servers without a shared broker: the stream was not notified of the original write.
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let mut watch = ann.watch().await;
        assert_eq!(watch.until(1).await, [1]);
        let other = TestApp::start_on(app.db.shared(), &[]).await;
        let input = json!({"input": {"title": "A", "url": "https://example.org/a", "idempotencyKey": "k"}});
        let first = other.user("ann").send(CREATE, input.clone()).await;
        assert_eq!(ann.send(CREATE, input).await, first);
        let received = soon("long before the heartbeat", watch.until(2)).await;
        assert_eq!(received, [2]);
    }

    async fn ten_concurrent_requests_with_one_key_run_once(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let input = json!({"input": {"title": "A", "url": "https://example.org/a", "idempotencyKey": "k"}});
        for _ in 0..10 {
            let responses = join_all((0..10).map(|_| ann.send(CREATE, input.clone()))).await;
            let distinct: BTreeSet<_> = responses.iter().map(Value::to_string).collect();
            assert_eq!(distinct.len(), 1, "{distinct:?}");
        }
        assert_eq!(ann.version().await, 2);
    }

    async fn a_replay_returns_the_version_of_the_original_write(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let input = json!({"input": {"title": "A", "url": "https://example.org/a", "idempotencyKey": "k"}});
        let first = ann.send(CREATE, input.clone()).await;
        ann.add("B").await;
        let replay = ann.send(CREATE, input).await;
        assert_eq!(replay, first);
        assert_eq!(replay["extensions"]["libraryVersion"], 2);
    }

    async fn a_refusal_is_replayed_even_if_the_change_would_now_succeed(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let conflicting = ann.create_story(json!({"title": "A", "url": "https://example.org/a"})).await;
        let input = json!({"input": {"title": "B", "url": "https://example.org/a", "idempotencyKey": "k"}});
        let refused = ann.send(CREATE, input.clone()).await;
        assert_eq!(refused["data"]["createStoryWithProgress"]["refusal"]["code"], "ALREADY_EXISTS");
        ann.delete_progress(&conflicting["progress"]["id"]).await;
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

    async fn a_receipt_expires_after_its_retention(db: Db) {
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

/// A change is refused, and before its receipt is stored it is retried at a time when it would succeed.
#[tokio::test]
async fn a_refusal_and_a_concurrent_retry_get_one_result() {
    let app = TestApp::start(Db::Postgres).await;
    let ann = app.user("ann");
    let other = TestApp::start_on(app.db.shared(), &[]).await;
    let ann_elsewhere = other.user("ann");
    let conflicting = ann.create_tag("a").await["tag"]["id"].take();
    let input = json!({"name": "A", "idempotencyKey": "k"});
    let create = async |user: &TestUser<'_>| {
        let input = input.clone();
        user.mutate("createTag", "CreateLabelInput", input, "tag { name }")
            .await
    };
    // Blocks the storing of receipts.
    let lock = app.db.connect().await;
    for sql in ["BEGIN", "LOCK TABLE topaz_receipt IN SHARE MODE"] {
        lock.execute_unprepared(sql).await.unwrap();
    }
    let waiting = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database()";
    let all = async {
        let first = create(&ann);
        let rest = async {
            soon("the first waits", async {
                while app.db.scalar::<i64>(waiting).await == 0 {}
            })
            .await;
            let delete = ann_elsewhere.mutate(
                "deleteTag",
                "DeleteLabelInput",
                json!({"id": conflicting}),
                "deletedTagId",
            );
            let retry = async {
                let mut delete = Box::pin(delete);
                // It completes now only if the first no longer locks the user's row; then the retry would succeed.
                let early = tokio::time::timeout(MOMENT, &mut delete).await;
                let mut retry = Box::pin(create(&ann_elsewhere));
                let kept = tokio::time::timeout(MOMENT, &mut retry).await;
                assert!(kept.is_err(), "no receipt can be stored now");
                lock.execute_unprepared("ROLLBACK").await.unwrap();
                if early.is_err() {
                    delete.await;
                }
                retry.await
            };
            retry.await
        };
        futures_util::join!(first, rest)
    };
    let (first, retry) = soon("all have responses", Box::pin(all)).await;
    assert_eq!(first, retry);
    assert_eq!(first["refusal"]["code"], "ALREADY_EXISTS");
    assert_eq!(ann.version().await, 3, "the tag was made and deleted");
}

/// How long to wait for an event that must not happen.
const MOMENT: Duration = Duration::from_millis(300);
