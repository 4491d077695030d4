//! Requests and streams while the database restarts, freezes, or is slow. Each gets a result or a retryable error in
//! bounded time, and no transaction of an aborted request stays open.

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

/// Short timeouts: requests fail after at most 0.5 s to connect and 0.5 s for each of two statements.
const SHORT_TIMEOUTS: [&str; 4] = ["--database-wait", "500ms", "--statement-timeout", "500ms"];

/// The longest response time with these timeouts, on a busy machine.
const MAX_RESPONSE_TIME: Duration = Duration::from_secs(6);

async fn status(app: &TestApp, path: &str) -> u16 {
    let request = app.http.get(app.url(path)).send();
    soon(path, request).await.unwrap().status().as_u16()
}

async fn until_status(app: &TestApp, path: &str, expected: u16) {
    soon(&format!("{path} responses {expected}"), async {
        while status(app, path).await != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

fn code(response: &Value) -> &Value {
    &response["errors"][0]["extensions"]["code"]
}

const CREATE: &str = "mutation ($input: CreateStoryWithProgressInput!) { \
    createStoryWithProgress(input: $input) { libraryVersion refusal { code } } }";

/// Retries a change under one idempotency key until it is acknowledged, and returns the version. Panics on other errors than
async fn retry_change(ann: &TestUser<'_>) -> i64 {
    let (key, url) = (
        Uuid::now_v7(),
        format!("https://example.org/{}", Uuid::now_v7()),
    );
    let input = json!({"input": {"title": "A", "url": url, "idempotencyKey": key}});
    soon("the change is acknowledged", async {
        loop {
            let response = ann.send(CREATE, input.clone()).await;
            if let Some(version) =
                response["data"]["createStoryWithProgress"]["libraryVersion"].as_i64()
            {
                return version;
            }
            assert_eq!(code(&response), "UNAVAILABLE", "{response}");
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
        &[&SHORT_TIMEOUTS[..], &["--heartbeat", "500ms"]].concat(),
    )
    .await;
    let ann = app.user("ann");
    let mut watch = ann.watch().await;
    assert_eq!(retry_change(&ann).await, 2);
    for version in [3, 4] {
        postgres.kill();
        until_status(&app, "/readyz", 503).await;
        assert_eq!(status(&app, "/healthz").await, 200);
        assert_eq!(
            ann.refused("{ tags { id } }", json!({})).await,
            "UNAVAILABLE"
        );
        let (acknowledged, ()) = tokio::join!(retry_change(&ann), postgres.start());
        assert_eq!(acknowledged, version);
        until_status(&app, "/readyz", 200).await;
        assert_eq!(ann.version().await, version);
        watch.until(version).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partitioned_database_blocks_no_request_and_is_used_again() {
    let postgres = Server::postgres().await;
    let proxy = Proxy::to(postgres.port).await;
    let flags = [
        &SHORT_TIMEOUTS[..],
        &["--heartbeat", "500ms", "--database-connections", "3"],
    ]
    .concat();
    let app = TestApp::start_on(TestDatabase::at(postgres.url_at(proxy.port)), &flags).await;
    let ann = app.user("ann");
    let mut watch = ann.watch().await;
    retry_change(&ann).await;
    // More requests than connections, so that each connection meets the partition.
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
    for response in queries.iter().chain(&changes) {
        assert_eq!(code(response), "UNAVAILABLE", "{response}");
    }
    assert!(took < MAX_RESPONSE_TIME, "{took:?}");
    assert_eq!(status(&app, "/readyz").await, 503);

    // The old connections stay partitioned, so new ones must replace them.
    proxy.heal_new_connections();
    until_status(&app, "/readyz", 200).await;
    let version = retry_change(&ann).await;
    watch.until(version).await;
    let responses = join_all((0..10).map(|_| ann.send("{ tags { id } }", json!({})))).await;
    assert!(
        responses
            .iter()
            .all(|response| response["errors"].is_null()),
        "{responses:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_partitioned_during_a_change_is_closed() {
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
    let users = ["ann", "bob", "cleo"].map(|name| app.user(name));
    for user in &users {
        retry_change(user).await;
    }
    let direct = TestDatabase::at(postgres.url());
    let other = direct.connect().await;
    for sql in ["BEGIN", "SELECT * FROM topaz_user FOR UPDATE"] {
        other.execute_unprepared(sql).await.unwrap();
    }
    let change = json!({"input": {"title": "B", "url": "https://example.org/b"}});
    let changes = join_all(users.iter().map(|user| user.send(CREATE, change.clone())));
    let partition = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        soon("every connection is in use", async {
            while direct.scalar::<i64>(waits).await < 3 {}
        })
        .await;
        proxy.partition();
    };
    let (responses, ()) = tokio::join!(changes, partition);
    for response in &responses {
        assert_eq!(code(response), "UNAVAILABLE", "{response}");
    }
    proxy.heal_new_connections();
    other.execute_unprepared("COMMIT").await.unwrap();
    for user in &users {
        assert_eq!(retry_change(user).await, 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_without_a_database_response_times_out() {
    let postgres = Server::postgres().await;
    let proxy = Proxy::to(postgres.port).await;
    let app = TestApp::start_on(
        TestDatabase::at(postgres.url_at(proxy.port)),
        &SHORT_TIMEOUTS,
    )
    .await;
    let ann = app.user("ann");
    retry_change(&ann).await;
    let direct = TestDatabase::at(postgres.url());
    let other = direct.connect().await;
    for sql in ["BEGIN", "LOCK topaz_tag"] {
        other.execute_unprepared(sql).await.unwrap();
    }
    let began = Instant::now();
    let partition = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        soon("the query is in flight", async {
            while direct.scalar::<i64>(waits).await == 0 {}
        })
        .await;
        proxy.partition();
    };
    let (code, ()) = tokio::join!(ann.refused("{ tags { id } }", json!({})), partition);
    assert_eq!(code, "UNAVAILABLE");
    assert!(began.elapsed() < MAX_RESPONSE_TIME, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_exceeds_the_lock_timeout_is_rolled_back() {
    let app = TestApp::start_with(Db::Postgres, &["--statement-timeout", "300ms"]).await;
    let ann = app.user("ann");
    ann.add("A").await;
    let other = app.db.connect().await;
    for sql in ["BEGIN", "SELECT * FROM topaz_user FOR UPDATE"] {
        other.execute_unprepared(sql).await.unwrap();
    }
    let response = ann
        .send(
            CREATE,
            json!({"input": {"title": "B", "url": "https://example.org/b"}}),
        )
        .await;
    assert_eq!(code(&response), "UNAVAILABLE", "{response}");
    other.execute_unprepared("COMMIT").await.unwrap();
    assert_eq!(ann.version().await, 2);
    assert_eq!(ann.add("C").await["libraryVersion"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_aborted_by_a_deadlock_is_retried() {
    let database = TestDatabase::new(Db::Postgres).await;
    let server = TestProcess::serve(&database.url, &[]).await;
    let story = Uuid::now_v7();
    let create = json!({"input": {"title": "A", "url": "https://example.org/a", "storyId": story}});
    let created = server.send("ann", CREATE, create).await.unwrap();
    assert!(created["errors"].is_null(), "{created}");
    // This transaction locks the story and then the user; the change locks the user and then the story. The change detects the deadlock first.
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
    let (response, ()) = soon("both end", both).await;
    let response = response.unwrap();
    assert_eq!(
        response["data"]["updateStoryWithRelations"]["libraryVersion"], 3,
        "{response}"
    );
    let retries = server.counter("library_sync_write_retries_total").await;
    assert!(retries >= 1.0, "{retries}");
}

/// Counts the connections that are idle in a transaction.
const IDLE_IN_TRANSACTION: &str = "SELECT count(*) FROM pg_stat_activity \
    WHERE datname = current_database() AND state LIKE 'idle in transaction%'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_frozen_during_a_change_does_not_block_the_others_for_long() {
    let database = TestDatabase::new(Db::Postgres).await;
    let flags = ["--statement-timeout", "1s", "--max-user-rate", "0"];
    let frozen = TestProcess::serve(&database.url, &flags).await;
    let other = TestProcess::serve(&database.url, &flags).await;
    let create =
        |n: usize| json!({"input": {"title": "A", "url": format!("https://example.org/{n}")}});
    let mut froze_in_transaction = false;
    for n in 0..200 {
        let changes = (0..4).map(|change| frozen.send("ann", CREATE, create(n * 10 + change)));
        let mut changes = Box::pin(join_all(changes));
        let pause = Duration::from_millis(fastrand::u64(5..20));
        let _ = tokio::time::timeout(pause, &mut changes).await;
        frozen.signal("-STOP");
        froze_in_transaction = database.scalar::<i64>(IDLE_IN_TRANSACTION).await > 0;
        if froze_in_transaction {
            break;
        }
        frozen.signal("-CONT");
        soon("the changes are acknowledged", changes).await;
    }
    assert!(froze_in_transaction, "it never froze during a change");
    let response = soon("a change of the same user", async {
        loop {
            let response = other.send("ann", CREATE, create(9_999)).await.unwrap();
            if code(&response) != "UNAVAILABLE" {
                return response;
            }
        }
    });
    let response = response.await;
    assert!(response["errors"].is_null(), "{response}");
    frozen.signal("-CONT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_disconnects_leaves_no_transaction_open() {
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
    let responses = join_all((0..20).map(|_| ann.send(requests[1], json!({})))).await;
    assert!(
        responses
            .iter()
            .all(|response| response["errors"].is_null()),
        "{responses:?}"
    );
}
