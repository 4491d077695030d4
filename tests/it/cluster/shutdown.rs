//! Graceful shutdown: a node fails readiness, serves until its load balancer notices, drains requests, and exits within
//! its timeout even if the database does not respond.

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
    // A new connection each time, like the check of a load balancer.
    let ready = reqwest::get(server.url("/readyz")).await;
    ready.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_node_fails_readiness_before_it_refuses_requests() {
    let database = TestDatabase::new(Db::Sqlite).await;
    let mut server = TestProcess::serve(&database.url, &["--shutdown-delay", "2s"]).await;
    assert_eq!(readiness(&server).await, 200);
    let stopped = Instant::now();
    server.signal("-TERM");
    soon("it is not ready", async {
        while readiness(&server).await != 503 {}
    })
    .await;
    for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
        let response = server
            .send("ann", CREATE, json!({"name": name}))
            .await
            .unwrap();
        assert_eq!(
            response["data"]["createTag"]["libraryVersion"],
            n + 2,
            "{response}"
        );
    }
    assert_eq!(server.wait().await, Some(0));
    let took = stopped.elapsed();
    assert!((2.0..8.0).contains(&took.as_secs_f64()), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_in_flight_completes_before_its_node_exits() {
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
        soon("the change is in flight", async {
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
    let (response, ()) = tokio::join!(server.send("ann", CREATE, json!({"name": "b"})), stopping);
    assert_eq!(response.unwrap()["data"]["createTag"]["libraryVersion"], 3);
    assert_eq!(server.wait().await, Some(0));
    assert_eq!(
        database
            .scalar::<i32>("SELECT library_version FROM topaz_user")
            .await,
        3
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_database_is_partitioned_exits_within_its_timeout() {
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
    proxy.partition();
    let change = server.send("ann", CREATE, json!({"name": "b"}));
    let _ = tokio::time::timeout(Duration::from_millis(100), change).await;
    let stopped = Instant::now();
    server.signal("-TERM");
    assert_eq!(server.wait().await, Some(0));
    let took = stopped.elapsed();
    assert!(took < Duration::from_secs(2 + 5 + 2), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_waits_for_a_migration_lock_exits_on_sigterm() {
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
