//! What push messages cost: nothing for users without endpoints, and how many a node sends in a second.
//!
//! By hand: `LIBRARY_SYNC_TEST_PUSH_DRAIN=10000 scripts/test due_endpoints_drain -- --nocapture` prints the rate.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use serde_json::json;

use crate::{
    push::fake_push_service::FakePushService,
    support::test_app::{Db, TestDatabase, TestProcess, soon},
};

const TAG: &str =
    "mutation ($name: String!) { createTag(input: {name: $name}) { libraryVersion } }";

/// The number of statements that 50 commits of a user cost.
async fn statements(flags: &[&str]) -> f64 {
    let database = TestDatabase::new(Db::Sqlite).await;
    let node = TestProcess::serve(&database.url, flags).await;
    let counter = "library_sync_db_statements_total";
    node.send("bob", TAG, json!({"name": "first"}))
        .await
        .unwrap();
    let before = node.counter(counter).await;
    for name in 0..50 {
        let variables = json!({"name": name.to_string()});
        node.send("bob", TAG, variables).await.unwrap();
    }
    node.counter(counter).await - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_a_user_without_endpoints_costs_no_statement() {
    let service = FakePushService::start().await;
    let flags = service.flags(&["--push-delay", "0s"]);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let (without, with) = (statements(&[]).await, statements(&flags).await);
    println!("50 commits: {without} statements without push, {with} with it");
    // The node itself sends a few in the background.
    assert!(
        (with - without).abs() < 25.0,
        "{without} without, {with} with"
    );
}

/// Accepts everything, and counts it.
async fn sink() -> (String, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let accept = async |State(count): State<Arc<AtomicUsize>>| {
        count.fetch_add(1, Ordering::Relaxed);
        StatusCode::CREATED
    };
    let routes = Router::new()
        .route("/push/{name}", post(accept))
        .with_state(count.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (base, count)
}

/// Adds users with one endpoint each, whose libraries have changed once.
fn due_endpoints(service: &FakePushService, base: &str, count: usize) -> String {
    let keys = service.subscribe("any");
    format!(
        "INSERT INTO topaz_user (subject, library_version, library_epoch)
         SELECT 'sleeper' || n, 1, 1 FROM generate_series(1, {count}) AS n;
         INSERT INTO topaz_push_endpoint (id, user_id, device_id, digest, address, p256dh, auth, vendor, pace, created_at,
           known_epoch, known_version)
         SELECT gen_random_uuid(), 'sleeper' || n, 'phone', 'digest' || n, '{base}/push/' || n, '{}', '{}', 'other',
           'every_change', extract(epoch FROM now()) * 1000, 1, 1 FROM generate_series(1, {count}) AS n;
         ANALYZE;",
        keys.p256dh, keys.auth
    )
}

const CHANGE_ALL: &str = "
    UPDATE topaz_user SET library_version = 2 WHERE subject LIKE 'sleeper%';
    INSERT INTO topaz_write (user_id, epoch, version, kinds, device_id, device_name, written_at)
    SELECT subject, 1, 2, 'Tag', 'laptop', 'Laptop', extract(epoch FROM now()) * 1000
    FROM topaz_user WHERE subject LIKE 'sleeper%';";

/// The times from sending a change to its event on an open stream, in order, while `go_on` holds.
async fn delays(node: &TestProcess, prefix: &str, go_on: impl Fn(usize) -> bool) -> Vec<Duration> {
    let mut stream = node.watch("ann").await;
    let mut delays = Vec::new();
    while go_on(delays.len()) {
        let began = Instant::now();
        let name = format!("{prefix}{}", delays.len());
        let made = node.send("ann", TAG, json!({"name": name})).await.unwrap();
        let version = made["data"]["createTag"]["libraryVersion"]
            .as_i64()
            .unwrap();
        stream.until(version).await;
        delays.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    delays.sort();
    delays
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn due_endpoints_drain_beside_commits_and_streams() {
    let count = std::env::var("LIBRARY_SYNC_TEST_PUSH_DRAIN");
    let count: usize = count.map_or(200, |count| count.parse().expect("a number"));
    let (base, sent) = sink().await;
    let mut service = FakePushService::start().await;
    service.base.clone_from(&base);
    let database = TestDatabase::new(Db::Postgres).await;
    let flags = service.flags(&["--push-delay", "0s", "--push-sweep", "1s", "--log", "error"]);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let node = TestProcess::serve(&database.url, &flags).await;
    database
        .execute(&due_endpoints(&service, &base, count))
        .await;
    let alone = delays(&node, "alone", |done| done < 100).await;
    database.execute(CHANGE_ALL).await;
    soon("the first message", async {
        while sent.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let began = Instant::now();
    let beside = delays(&node, "beside", |_| sent.load(Ordering::Relaxed) < count).await;
    let rate = f64::from(u32::try_from(count).unwrap()) / began.elapsed().as_secs_f64();
    let known =
        "SELECT count(*) FROM topaz_push_endpoint WHERE known_version = 2 AND due_at IS NULL";
    soon("all outcomes are stored", async {
        while database.scalar::<i64>(known).await < i64::try_from(count).unwrap() {}
    })
    .await;
    let at = |delays: &[Duration], percent: usize| delays[(delays.len() - 1) * percent / 100];
    println!(
        "{count} messages in {:?}: {rate:.0} a second",
        began.elapsed()
    );
    println!(
        "commit to event, alone ({}) and beside ({}): p50 {:?} and {:?}, p99 {:?} and {:?}",
        alone.len(),
        beside.len(),
        at(&alone, 50),
        at(&beside, 50),
        at(&alone, 99),
        at(&beside, 99)
    );
    assert_eq!(sent.load(Ordering::Relaxed), count, "each is sent once");
}
