//! How devices are stored: in batches, beside the requests, and within limits.

use std::time::Duration;

use serde_json::json;

use crate::{
    devices::{DEVICES, check, device, devices, until},
    support::{
        test_app::{Db, TestApp, TestDatabase, TestProcess, on_each_database, soon, token},
        transport::Transport,
    },
};

const STORED: &str = "SELECT count(*) FROM topaz_device WHERE user_id = 'ann'";

async fn wait_for(what: &str, database: &TestDatabase, sql: &str, expected: i64) {
    let waiting = async {
        while database.scalar::<i64>(sql).await != expected {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon(what, waiting).await;
}

on_each_database! {
    async fn another_node_sees_a_device_and_its_streams_until_its_node_stops(db: Db) {
        let flags = |name| ["--device-interval", "0s", "--node-name", name];
        let mut one = TestApp::start_with(db, &flags("one")).await;
        let two = TestApp::start_on(one.db.shared(), &flags("two")).await;
        let (ann, there) = (one.user("ann"), two.user("ann"));
        let head = ann.head().await;
        let bearer = format!("Bearer {}", ann.token);
        let query = format!("?device=phone&applied={head}&pending=2;5");
        let mut stream = Transport::Events.open_with(&one, &query, &[("Authorization", &bearer)]).await.unwrap();
        stream.next().await;
        let phone = until(&there, "phone", "the stream is listed", |phone| phone["streams"][0]["node"] == "one").await;
        assert_eq!((&phone["appliedHead"], &phone["pending"]["count"]), (&json!(head), &json!(2)));
        assert_eq!(phone["streams"].as_array().unwrap().len(), 1);
        let mut second = Transport::Sse.open_with(&two, "?device=phone", &[("Authorization", &bearer)]).await.unwrap();
        second.next().await;
        let nodes = device(&there, "phone").await["streams"].as_array().unwrap().len();
        assert_eq!(nodes, 2, "on both nodes");
        one.stop().await;
        let phone = device(&there, "phone").await;
        assert_eq!(phone["streams"].as_array().unwrap().len(), 1, "{phone}");
        assert_eq!(phone["streams"][0]["node"], "two");
    }

    async fn a_device_is_stored_at_once_and_then_at_most_once_an_interval(db: Db) {
        let mut app = TestApp::start_with(db, &["--device-interval", "1h"]).await;
        let ann = app.user("ann");
        let report = async |version: i64| {
            let head = ann.head_at(version).await;
            check(&app, &ann.token, &[("x-device-id", "phone"), ("x-library-applied", &head)]).await;
        };
        for name in ["a", "b", "c"] {
            ann.create_tag(name).await;
        }
        report(1).await;
        wait_for("the device is stored", &app.db, STORED, 1).await;
        let applied = "SELECT CAST(applied_version AS bigint) FROM topaz_device WHERE user_id = 'ann'";
        for version in [2, 3, 4] {
            report(version).await;
        }
        assert_eq!(device(&ann, "phone").await["appliedVersion"], 4, "this node knows it");
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(app.db.scalar::<i64>(applied).await, 1, "the interval has not passed");
        let database = app.db.shared();
        app.stop().await;
        assert_eq!(database.scalar::<i64>(applied).await, 4, "a node that stops stores what it knows");
    }

    async fn a_user_has_a_limited_number_of_devices_and_the_last_seen_stay(db: Db) {
        let flags = ["--device-interval", "0s", "--max-devices-per-user", "3"];
        let app = TestApp::start_with(db, &flags).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        check(&app, &bob.token, &[("x-device-id", "bobs")]).await;
        bob.version().await;
        for id in ["a", "b", "c", "d", "e"] {
            check(&app, &ann.token, &[("x-device-id", id)]).await;
            let stored = format!("{STORED} AND device_id = '{id}'");
            wait_for("the device is stored", &app.db, &stored, 1).await;
        }
        wait_for("the limit is kept", &app.db, STORED, 3).await;
        let listed = devices(&ann).await;
        assert_eq!(listed.iter().map(|device| device["id"].as_str().unwrap()).collect::<Vec<_>>(), ["e", "d", "c"]);
        assert_eq!(devices(&bob).await.len(), 1);
    }

    async fn a_device_that_was_not_seen_for_long_is_deleted(db: Db) {
        let mut app = TestApp::start(db).await;
        app.user("ann").version().await;
        app.stop().await;
        let rows = "INSERT INTO topaz_device (user_id, device_id, created_at, seen_at) VALUES ('ann', 'old', 1, 1),
            ('ann', 'new', 1, 99999999999999)";
        app.db.execute(rows).await;
        let app = TestApp::start_on(app.db.shared(), &[]).await;
        wait_for("it is deleted", &app.db, STORED, 1).await;
        assert_eq!(devices(&app.user("ann")).await[0]["id"], "new");
    }
}

/// The number of statements of 200 requests.
async fn statements(device: Option<&str>) -> f64 {
    let database = TestDatabase::new(Db::Sqlite).await;
    let node = TestProcess::serve(&database.url, &["--device-interval", "1h"]).await;
    let http = reqwest::Client::new();
    let send = async || {
        let mut request = http
            .get(node.url("/api/library-version"))
            .bearer_auth(token("ann"));
        if let Some(device) = device {
            request = request.header("x-device-id", device);
            request = request.header("x-library-applied", "1763809200000.1");
        }
        assert_eq!(request.send().await.unwrap().status(), 200);
    };
    send().await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let before = node.counter("library_sync_db_statements_total").await;
    for _ in 0..200 {
        send().await;
    }
    node.counter("library_sync_db_statements_total").await - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_a_device_costs_no_more_statements_than_another() {
    let (without, with) = (statements(None).await, statements(Some("phone")).await);
    println!("200 requests: {without} statements without a device, {with} with one");
    // The node itself sends a few in the background.
    assert!(
        (with - without).abs() < 25.0,
        "{without} without, {with} with"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_of_another_user_are_never_listed() {
    let app = TestApp::start(Db::Sqlite).await;
    let (ann, bob) = (app.user("ann"), app.user("bob"));
    for user in [&ann, &bob] {
        check(&app, &user.token, &[("x-device-id", "same")]).await;
    }
    let one = ann.ask(DEVICES, json!({})).await;
    assert_eq!(one["viewer"]["devices"].as_array().unwrap().len(), 1);
}
