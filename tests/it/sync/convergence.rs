//! A client receives the newest version within a heartbeat even if every notice is lost, and never a lower one.
//!
//! Two servers on one database, each with the in-memory broker, so every notice between them is lost.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::test_app::{TestApp, TestUser, on_each_database, soon};

const FLAGS: [&str; 2] = ["--heartbeat", "300ms"];

/// Two servers on one database without a shared broker.
async fn two_nodes(db: crate::support::test_app::Db) -> [TestApp; 2] {
    let one = TestApp::start_with(db, &FLAGS).await;
    let two = TestApp::start_on(one.db.shared(), &FLAGS).await;
    [one, two]
}

/// Makes `count` changes, one after the other, in as few requests as possible.
async fn make_changes(user: &TestUser<'_>, writer: usize, count: usize) {
    const AT_ONCE: usize = 25;
    for first in (0..count).step_by(AT_ONCE) {
        let create = |n| {
            format!("c{n}: createTag(input: {{name: \"{n} of {writer}\"}}) {{ libraryVersion }}")
        };
        let all: Vec<_> = (first..count.min(first + AT_ONCE)).map(create).collect();
        user.ask(&format!("mutation {{ {} }}", all.join(" ")), json!({}))
            .await;
    }
}

fn unix_millis() -> i64 {
    let now = time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    i64::try_from(now).unwrap()
}

on_each_database! {
    async fn a_change_on_another_node_arrives_within_a_heartbeat_if_every_notice_is_lost(db: Db) {
        let [here, there] = two_nodes(db).await;
        let mut watch = there.user("ann").watch().await;
        assert_eq!(watch.until(1).await, [1]);
        for version in 2..=4 {
            here.user("ann").add("A").await;
            let acknowledged = unix_millis();
            // Measured in heartbeats of the stream, which are as slow as the machine: at most about one per period.
            let mut late_beats = 0;
            loop {
                let event = watch.next().await.expect("the stream goes on");
                if event["version"] == version {
                    break;
                }
                late_beats += i32::from(event["timestamp"].as_i64().unwrap() > acknowledged);
                assert!(late_beats <= 3, "{event}");
            }
        }
    }

    async fn a_version_read_by_one_stream_reaches_the_other_streams_of_its_node_at_once(db: Db) {
        let here = TestApp::start_with(db, &["--heartbeat", "1h"]).await;
        let there = TestApp::start_on(here.db.shared(), &["--heartbeat", "1h"]).await;
        let mut first = there.user("ann").watch().await;
        assert_eq!(first.until(1).await, [1]);
        here.user("ann").add("A").await;
        let mut second = there.user("ann").watch().await;
        assert_eq!(second.until(2).await, [2]);
        assert_eq!(first.until(2).await, [2]);
    }

    async fn a_reconnecting_client_gets_the_current_version_first(db: Db) {
        let [here, there] = two_nodes(db).await;
        let user = there.user("ann");
        for version in 2..=4 {
            drop(user.watch().await);
            here.user("ann").add("A").await;
            let first = user.watch().await.next().await.unwrap();
            assert_eq!((&first["type"], &first["version"]), (&json!("connected"), &json!(version)));
        }
        let there = there.restart(&FLAGS).await;
        let first = there.user("ann").watch().await.next().await.unwrap();
        assert_eq!((&first["type"], &first["version"]), (&json!("connected"), &json!(4)));
    }

    async fn a_heartbeat_carries_the_current_version(db: Db) {
        let app = TestApp::start_with(db, &FLAGS).await;
        let ann = app.user("ann");
        let mut watch = ann.watch().await;
        for version in 1..=3 {
            watch.until(version).await;
            let beat = watch.next().await.unwrap();
            assert_eq!((&beat["type"], &beat["version"]), (&json!("heartbeat"), &json!(version)));
            ann.add("A").await;
        }
    }

    async fn no_stream_yields_a_lower_version_and_each_reaches_the_newest(db: Db) {
        let nodes = two_nodes(db).await;
        let [here, there] = [nodes[0].user("ann"), nodes[1].user("ann")];
        let mut watches = Vec::new();
        for user in [&here, &there, &here, &there, &here, &there] {
            watches.push(user.watch().await);
        }
        // Both nodes write at once, so each notifies its own clients of some versions, and re-reads the others.
        let writers = (0..8).map(|n| make_changes([&here, &there][n % 2], n, 125));
        let reading = join_all(watches.iter_mut().map(|watch| watch.until(1001)));
        let (_, streams) = tokio::join!(join_all(writers), async { soon("the last version", reading).await });
        for versions in streams {
            assert_eq!(versions[0], 1);
            assert!(versions.is_sorted(), "{versions:?}");
        }
        assert_eq!((here.version().await, there.version().await), (1001, 1001));
    }
}
