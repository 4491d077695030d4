//! How a node stops: it says so, serves on while its balancer has not noticed, finishes what it has begun, and ends in
//! the stated time whatever does not answer.

use std::{process::Stdio, time::Duration};

use sea_orm::ConnectionTrait as _;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    support::servers::{Proxy, Server, free_port},
    support::test_app::{Db, TestDatabase, TestProcess, soon},
};

const CREATE: &str =
    "mutation ($name: String!) { createTag(input: {name: $name}) { libraryVersion } }";

async fn readiness(server: &TestProcess) -> u16 {
    // By a new connection each time, as a balancer asks.
    let ready = reqwest::get(server.url("/readyz")).await;
    ready.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_says_so_before_it_refuses_anybody() {
    let database = TestDatabase::new(Db::Sqlite).await;
    let mut server = TestProcess::serve(&database.url, &["--shutdown-delay", "2s"]).await;
    assert_eq!(readiness(&server).await, 200);
    let told = Instant::now();
    server.signal("-TERM");
    soon("it is not ready", async {
        while readiness(&server).await != 503 {}
    })
    .await;
    for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
        let answer = server
            .send("ann", CREATE, json!({"name": name}))
            .await
            .unwrap();
        assert_eq!(
            answer["data"]["createTag"]["libraryVersion"],
            n + 2,
            "{answer}"
        );
    }
    assert_eq!(server.wait().await, Some(0));
    let took = told.elapsed();
    assert!((2.0..8.0).contains(&took.as_secs_f64()), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_under_way_is_made_and_answered_before_its_node_ends() {
    let database = TestDatabase::new(Db::Postgres).await;
    let mut server = TestProcess::serve(&database.url, &[]).await;
    server
        .send("ann", CREATE, json!({"name": "a"}))
        .await
        .unwrap();
    let other = database.connect().await;
    for sql in ["BEGIN", "SELECT * FROM topaz_user FOR UPDATE"] {
        other.execute_unprepared(sql).await.unwrap();
    }
    let stopping = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        soon("the change is under way", async {
            while database.scalar::<i64>(waits).await == 0 {}
        })
        .await;
        server.signal("-TERM");
        soon("no connection is accepted", async {
            while reqwest::get(server.url("/healthz")).await.is_ok() {}
        })
        .await;
        other.execute_unprepared("COMMIT").await.unwrap();
    };
    let (answer, ()) = tokio::join!(server.send("ann", CREATE, json!({"name": "b"})), stopping);
    assert_eq!(answer.unwrap()["data"]["createTag"]["libraryVersion"], 3);
    assert_eq!(server.wait().await, Some(0));
    assert_eq!(
        database
            .scalar::<i32>("SELECT library_version FROM topaz_user")
            .await,
        3
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_database_is_silent_ends_in_the_stated_time() {
    let postgres = Server::postgres().await;
    let proxy = Proxy::to(postgres.port).await;
    let url = postgres.url_at(proxy.port);
    let mut server = TestProcess::serve(
        &url,
        &[
            "--shutdown-grace",
            "2s",
            "--drain-spread",
            "0s",
            "--log",
            "error",
        ],
    )
    .await;
    server
        .send("ann", CREATE, json!({"name": "a"}))
        .await
        .unwrap();
    proxy.silence();
    let change = server.send("ann", CREATE, json!({"name": "b"}));
    let _ = tokio::time::timeout(Duration::from_millis(100), change).await;
    let told = Instant::now();
    server.signal("-TERM");
    assert_eq!(server.wait().await, Some(0));
    let took = told.elapsed();
    assert!(took < Duration::from_secs(2 + 5 + 2), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_waits_for_another_ones_migration_stops_when_told() {
    let database = TestDatabase::new(Db::Postgres).await;
    let other = database.connect().await;
    let lock = format!("SELECT pg_advisory_lock({})", 0x006c_6962_7261_7279_i64);
    other.execute_unprepared(&lock).await.unwrap();
    let mut server = TestProcess::spawn(free_port(), &database.url, &[], Stdio::null());
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    soon("it waits", async {
        while database.scalar::<i64>(waits).await == 0 {}
    })
    .await;
    server.signal("-TERM");
    assert_eq!(server.wait().await, Some(0));
}
