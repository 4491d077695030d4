//! What becomes of requests and streams while the database restarts, freezes, or is slow: each is answered or told that
//! it may try again, in a bounded time, and nothing that was cut off stays behind.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    support::servers::{Proxy, Server},
    support::test_app::{Db, TestApp, TestDatabase, TestProcess, TestUser, soon, token},
};

/// Tells soon that the database does not answer: within 0.5 s and twice 0.5 s.
const IMPATIENT: [&str; 4] = ["--database-wait", "500ms", "--statement-timeout", "500ms"];

/// How long an answer may take then, on a busy machine.
const SOON_ENOUGH: Duration = Duration::from_secs(6);

async fn status(app: &TestApp, path: &str) -> u16 {
    let request = app.http.get(app.url(path)).send();
    soon(path, request).await.unwrap().status().as_u16()
}

async fn until_status(app: &TestApp, path: &str, expected: u16) {
    soon(&format!("{path} answers {expected}"), async {
        while status(app, path).await != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

fn code(answer: &Value) -> &Value {
    &answer["errors"][0]["extensions"]["code"]
}

const CREATE: &str = "mutation ($input: CreateStoryWithProgressInput!) { \
    createStoryWithProgress(input: $input) { libraryVersion refusal { code } } }";

/// Sends a change under its key until it is answered, and returns the version. It may only be told to try again.
async fn insist(ann: &TestUser<'_>) -> i64 {
    let (key, url) = (
        Uuid::now_v7(),
        format!("https://example.org/{}", Uuid::now_v7()),
    );
    let input = json!({"input": {"title": "A", "url": url, "idempotencyKey": key}});
    soon("the change is answered", async {
        loop {
            let answer = ann.send(CREATE, input.clone()).await;
            if let Some(version) =
                answer["data"]["createStoryWithProgress"]["libraryVersion"].as_i64()
            {
                return version;
            }
            assert_eq!(code(&answer), "UNAVAILABLE", "{answer}");
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_restarts_ends_no_stream_and_loses_no_change() {
    let mut postgres = Server::postgres().await;
    let database = TestDatabase::at(postgres.url());
    let app = TestApp::start_on(
        database,
        &[&IMPATIENT[..], &["--heartbeat", "500ms"]].concat(),
    )
    .await;
    let ann = app.user("ann");
    let mut watch = ann.watch().await;
    assert_eq!(insist(&ann).await, 2);
    for version in [3, 4] {
        postgres.kill();
        until_status(&app, "/readyz", 503).await;
        assert_eq!(status(&app, "/healthz").await, 200);
        assert_eq!(
            ann.refused("{ tags { id } }", json!({})).await,
            "UNAVAILABLE"
        );
        let (answered, ()) = tokio::join!(insist(&ann), postgres.start());
        assert_eq!(answered, version);
        until_status(&app, "/readyz", 200).await;
        assert_eq!(ann.version().await, version);
        watch.until(version).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_falls_silent_holds_up_nothing_and_is_used_again() {
    let postgres = Server::postgres().await;
    let proxy = Proxy::to(postgres.port).await;
    let flags = [
        &IMPATIENT[..],
        &["--heartbeat", "500ms", "--database-connections", "3"],
    ]
    .concat();
    let app = TestApp::start_on(TestDatabase::at(postgres.url_at(proxy.port)), &flags).await;
    let ann = app.user("ann");
    let mut watch = ann.watch().await;
    insist(&ann).await;
    // More than there are connections, so that each meets the silence.
    proxy.partition();
    let began = Instant::now();
    let queries = (0..10).map(|_| ann.send("{ tags { id } }", json!({})));
    let changes = (0..3).map(|_| {
        ann.send(
            CREATE,
            json!({"input": {"title": "A", "url": "https://example.org/lost"}}),
        )
    });
    let (queries, changes) = tokio::join!(join_all(queries), join_all(changes));
    let took = began.elapsed();
    for answer in queries.iter().chain(&changes) {
        assert_eq!(code(answer), "UNAVAILABLE", "{answer}");
    }
    assert!(took < SOON_ENOUGH, "{took:?}");
    assert_eq!(status(&app, "/readyz").await, 503);

    // The old connections never say a word again; there must be new ones in their place.
    proxy.heal_new_connections();
    until_status(&app, "/readyz", 200).await;
    let version = insist(&ann).await;
    watch.until(version).await;
    let answers = join_all((0..10).map(|_| ann.send("{ tags { id } }", json!({})))).await;
    assert!(
        answers.iter().all(|answer| answer["errors"].is_null()),
        "{answers:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_falls_silent_amid_a_change_is_given_up() {
    let postgres = Server::postgres().await;
    let proxy = Proxy::to(postgres.port).await;
    let flags = [
        "--database-wait",
        "500ms",
        "--statement-timeout",
        "2s",
        "--database-connections",
        "3",
    ];
    let app = TestApp::start_on(TestDatabase::at(postgres.url_at(proxy.port)), &flags).await;
    let readers = ["ann", "bob", "cleo"].map(|name| app.user(name));
    for reader in &readers {
        insist(reader).await;
    }
    let around = TestDatabase::at(postgres.url());
    let other = around.connect().await;
    for sql in ["BEGIN", "SELECT * FROM topaz_user FOR UPDATE"] {
        other.execute_unprepared(sql).await.unwrap();
    }
    let change = json!({"input": {"title": "B", "url": "https://example.org/b"}});
    let changes = join_all(
        readers
            .iter()
            .map(|reader| reader.send(CREATE, change.clone())),
    );
    let silence = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        soon("every connection is in use", async {
            while around.scalar::<i64>(waits).await < 3 {}
        })
        .await;
        proxy.partition();
    };
    let (answers, ()) = tokio::join!(changes, silence);
    for answer in &answers {
        assert_eq!(code(answer), "UNAVAILABLE", "{answer}");
    }
    proxy.heal_new_connections();
    other.execute_unprepared("COMMIT").await.unwrap();
    for reader in &readers {
        assert_eq!(insist(reader).await, 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_the_database_never_answers_is_answered() {
    let postgres = Server::postgres().await;
    let proxy = Proxy::to(postgres.port).await;
    let app = TestApp::start_on(TestDatabase::at(postgres.url_at(proxy.port)), &IMPATIENT).await;
    let ann = app.user("ann");
    insist(&ann).await;
    let around = TestDatabase::at(postgres.url());
    let other = around.connect().await;
    for sql in ["BEGIN", "LOCK topaz_tag"] {
        other.execute_unprepared(sql).await.unwrap();
    }
    let began = Instant::now();
    let silence = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        soon("the query is under way", async {
            while around.scalar::<i64>(waits).await == 0 {}
        })
        .await;
        proxy.partition();
    };
    let (code, ()) = tokio::join!(ann.refused("{ tags { id } }", json!({})), silence);
    assert_eq!(code, "UNAVAILABLE");
    assert!(began.elapsed() < SOON_ENOUGH, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_waits_too_long_for_a_lock_is_not_made() {
    let app = TestApp::start_with(Db::Postgres, &["--statement-timeout", "300ms"]).await;
    let ann = app.user("ann");
    ann.add("A").await;
    let other = app.db.connect().await;
    for sql in ["BEGIN", "SELECT * FROM topaz_user FOR UPDATE"] {
        other.execute_unprepared(sql).await.unwrap();
    }
    let answer = ann
        .send(
            CREATE,
            json!({"input": {"title": "B", "url": "https://example.org/b"}}),
        )
        .await;
    assert_eq!(code(&answer), "UNAVAILABLE", "{answer}");
    other.execute_unprepared("COMMIT").await.unwrap();
    assert_eq!(ann.version().await, 2);
    assert_eq!(ann.add("C").await["libraryVersion"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_dies_in_a_deadlock_is_made_again() {
    let database = TestDatabase::new(Db::Postgres).await;
    let server = TestProcess::serve(&database.url, &[]).await;
    let story = Uuid::now_v7();
    let create = json!({"input": {"title": "A", "url": "https://example.org/a", "storyId": story}});
    let created = server.send("ann", CREATE, create).await.unwrap();
    assert!(created["errors"].is_null(), "{created}");
    // It has the story and wants the user; the change has the user and wants the story. The change finds out first.
    let other = database.connect().await;
    for sql in [
        "SET deadlock_timeout = '1min'",
        "BEGIN",
        "SELECT * FROM topaz_story FOR UPDATE",
    ] {
        other.execute_unprepared(sql).await.unwrap();
    }
    let update = "mutation ($story: ID!) { updateStoryWithRelations(input: {id: $story, title: \"B\"}) { libraryVersion } }";
    let updating = server.send("ann", update, json!({"story": story}));
    let locking = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        soon("the change waits for the story", async {
            while database.scalar::<i64>(waits).await == 0 {}
        })
        .await;
        for sql in ["SELECT * FROM topaz_user FOR UPDATE", "COMMIT"] {
            other.execute_unprepared(sql).await.unwrap();
        }
    };
    let both = Box::pin(async { tokio::join!(updating, locking) });
    let (answer, ()) = soon("both end", both).await;
    let answer = answer.unwrap();
    assert_eq!(
        answer["data"]["updateStoryWithRelations"]["libraryVersion"], 3,
        "{answer}"
    );
    let retries = server.counter("library_sync_write_retries_total").await;
    assert!(retries >= 1.0, "{retries}");
}

/// How many of the database's connections sit in a transaction with nothing to do.
const IDLE_IN_TRANSACTION: &str = "SELECT count(*) FROM pg_stat_activity \
    WHERE datname = current_database() AND state LIKE 'idle in transaction%'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_freezes_amid_a_change_does_not_hold_up_the_others_for_long() {
    let database = TestDatabase::new(Db::Postgres).await;
    let flags = ["--statement-timeout", "1s", "--max-user-rate", "0"];
    let frozen = TestProcess::serve(&database.url, &flags).await;
    let other = TestProcess::serve(&database.url, &flags).await;
    let create =
        |n: usize| json!({"input": {"title": "A", "url": format!("https://example.org/{n}")}});
    let mut caught = false;
    for n in 0..200 {
        let changes = (0..4).map(|change| frozen.send("ann", CREATE, create(n * 10 + change)));
        let mut changes = Box::pin(join_all(changes));
        let pause = Duration::from_millis(fastrand::u64(5..20));
        let _ = tokio::time::timeout(pause, &mut changes).await;
        frozen.signal("-STOP");
        caught = database.scalar::<i64>(IDLE_IN_TRANSACTION).await > 0;
        if caught {
            break;
        }
        frozen.signal("-CONT");
        soon("the changes are answered", changes).await;
    }
    assert!(caught, "it never froze amid a change");
    let answer = soon("a change of the same user", async {
        loop {
            let answer = other.send("ann", CREATE, create(9_999)).await.unwrap();
            if code(&answer) != "UNAVAILABLE" {
                return answer;
            }
        }
    });
    let answer = answer.await;
    assert!(answer["errors"].is_null(), "{answer}");
    frozen.signal("-CONT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_hangs_up_leaves_no_transaction_behind() {
    let app = TestApp::start_with(
        Db::Postgres,
        &["--database-connections", "3", "--max-user-rate", "0"],
    )
    .await;
    let ann = app.user("ann");
    ann.add("A").await;
    let requests = [
        "{ libraryChanges(since: 0) { changes { __typename } } }",
        "{ progresses(first: 10) { nodes { id story { tags { id } } } } }",
        "mutation { createTag(input: {name: \"slow burn\"}) { libraryVersion } }",
    ];
    for n in 0..300 {
        let request = app
            .http
            .post(app.url("/graphql"))
            .bearer_auth(token("ann"))
            .json(&json!({"query": requests[n % 3]}))
            .send();
        let _ =
            tokio::time::timeout(Duration::from_micros(fastrand::u64(200..6_000)), request).await;
    }
    soon("every transaction ends", async {
        while app.db.scalar::<i64>(IDLE_IN_TRANSACTION).await > 0 {}
    })
    .await;
    let version = ann.version().await;
    assert_eq!(ann.add("B").await["libraryVersion"], version + 1);
    let answers = join_all((0..20).map(|_| ann.send(requests[1], json!({})))).await;
    assert!(
        answers.iter().all(|answer| answer["errors"].is_null()),
        "{answers:?}"
    );
}
