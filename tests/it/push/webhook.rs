//! The webhook: signed calls to another server.

use std::{collections::HashMap, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::{
    push::fake_push_service::{change, no_message_follows},
    support::servers::free_port,
    support::test_app::{TestApp, TestDatabase, on_each_database},
    transports::clients::Client,
};

/// Starts the receiver, which fails half of the time.
async fn receiver(port: u16, secret: &str, seed: u32) -> Client {
    let (port, seed) = (port.to_string(), seed.to_string());
    let mut receiver = Client::run("webhook", &["webhook.mjs", &port, secret, &seed]);
    assert_eq!(receiver.next().await["listening"], true);
    receiver
}

/// Repeats failed calls every second, however often they failed.
async fn hurry(database: &TestDatabase) {
    loop {
        database
            .execute("UPDATE topaz_webhook SET due_at = 1 WHERE failures > 0")
            .await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Reads calls until the accepted ones are the final versions. Returns the number of calls for each user.
async fn until_final(
    receiver: &mut Client,
    accepted: &mut HashMap<String, i64>,
    last: &HashMap<String, i64>,
) -> HashMap<String, usize> {
    let mut calls = HashMap::new();
    while accepted != last {
        let call = receiver.next().await;
        assert!(call["invalid"].is_null(), "{call}");
        let user = call["user"].as_str().unwrap().to_owned();
        *calls.entry(user.clone()).or_default() += 1;
        assert!(
            call["epoch"].is_i64() && call["kinds"] == serde_json::json!(["TAG"]),
            "{call}"
        );
        if call["accepted"] == Value::Bool(true) {
            let version = call["version"].as_i64().unwrap();
            let known = accepted.insert(user, version);
            assert!(
                known < Some(version),
                "a version that was accepted is not sent again"
            );
        }
    }
    calls
}

on_each_database! {
    async fn a_receiver_that_fails_half_of_the_time_and_restarts_ends_on_every_final_version(db: Db) {
        let port = free_port();
        let secret = format!("whsec_{}", BASE64_STANDARD.encode([5; 32]));
        let url = format!("http://127.0.0.1:{port}/hook");
        let database = TestDatabase::new(db).await;
        // What changed before the webhook was switched on is not reported.
        let mut before = TestApp::start_on(database.shared(), &[]).await;
        change(&before.user("old"), "phone", "a").await;
        before.stop().await;
        let flags = ["--webhook", &url, "--webhook-secret", &secret, "--push-sweep", "1s"];
        let app = TestApp::start_on(database, &flags).await;
        let users: Vec<_> = (0..8).map(|n| format!("user{n}")).collect();
        let change_all = async |name: &str| {
            let mut last = HashMap::new();
            for user in &users {
                last.insert(user.clone(), change(&app.user(user), "phone", name).await);
            }
            last
        };
        let mut accepted = HashMap::new();
        let mut first = receiver(port, &secret, 7).await;
        let last = change_all("a").await;
        tokio::select! {
            _ = until_final(&mut first, &mut accepted, &last) => {}
            () = hurry(&app.db) => {}
        }
        // The receiver is away for several changes of each user, and then gets one call for each.
        drop(first);
        for name in ["b", "c"] {
            change_all(name).await;
        }
        let last = change_all("d").await;
        no_message_follows().await;
        let mut second = receiver(port, &secret, 99).await;
        let calls = tokio::select! {
            calls = until_final(&mut second, &mut accepted, &last) => calls,
            () = hurry(&app.db) => unreachable!(),
        };
        assert_eq!(calls.len(), users.len(), "{calls:?}");
    }
}
