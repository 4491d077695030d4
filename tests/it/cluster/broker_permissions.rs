//! Broker permissions: those that docs/operations.md documents suffice, and narrower ones are reported.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use tokio::sync::mpsc;

use crate::{
    support::printed::blocks,
    support::servers::{RedisSentinel, Server, redis_cli},
    support::test_app::{Db, TestDatabase, TestProcess, soon},
};

const CONNECTED: &str = "library_sync_broker_connected";

/// A server, and the lines of its log.
struct Logging {
    server: TestProcess,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Logging {
    async fn start(database: &TestDatabase, broker: &str) -> Self {
        let flags = ["--broker-url", broker, "--heartbeat", "1h"];
        let mut server = TestProcess::serve_logging(&database.url, &flags, Stdio::piped()).await;
        let log = BufReader::new(server.child.stderr.take().unwrap());
        let (send, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        Self { server, lines }
    }

    /// Waits for a line that holds `text`.
    async fn until_logged(&mut self, text: &str) {
        let mut seen = Vec::new();
        let found = async {
            while let Some(line) = self.lines.recv().await {
                if line.contains(text) {
                    return;
                }
                seen.push(line);
            }
            panic!("the log ended without {text}: {seen:#?}");
        };
        soon(text, found).await;
    }
}

/// Asserts that two nodes with this broker receive each other's notices long before a heartbeat.
async fn assert_carries_notices(broker: &str) {
    let database = TestDatabase::new(Db::Postgres).await;
    let mut a = Logging::start(&database, broker).await;
    let mut b = Logging::start(&database, broker).await;
    a.until_logged("broker connected").await;
    b.until_logged("broker connected").await;
    let mut stream = b.server.watch("ann").await;
    assert_eq!(stream.until(1).await, [1]);
    let create = r#"mutation { createTag(input: {name: "a"}) { libraryVersion } }"#;
    a.server
        .send("ann", create, serde_json::json!({}))
        .await
        .unwrap();
    stream.until(2).await;
}

/// Asserts that a node with this broker logs what to grant, and that its gauge shows no connection.
async fn assert_reports(broker: &str, advice: &str) {
    let database = TestDatabase::new(Db::Postgres).await;
    let mut node = Logging::start(&database, broker).await;
    node.until_logged(advice).await;
    assert!(node.server.counter(CONNECTED).await.abs() < 0.5);
}

/// A Redis with one user, besides the default one, that has these ACL rules.
async fn redis(rules: &str) -> (Server, String) {
    let rules: Vec<_> = ["--user"].into_iter().chain(rules.split(' ')).collect();
    let server = Server::redis(&rules).await;
    let url = server
        .url()
        .replace("redis://", "redis://library-sync:PASSWORD@");
    (server, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_user_with_the_documented_rights_carries_notices() {
    let [rules] = blocks("docs/operations.md", "redis-acl")
        .try_into()
        .unwrap();
    let rules: String = rules;
    let (_server, url) = redis(rules.trim().strip_prefix("user ").unwrap()).await;
    assert_carries_notices(&url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_user_with_too_few_rights_is_reported_and_not_used() {
    let all = "library-sync on >PASSWORD -@all +ping";
    for rights in [
        // Plain channels only, which other nodes do not subscribe to.
        "&* +publish +subscribe +unsubscribe",
        "&* +ssubscribe +sunsubscribe",
        "&other:* +spublish +ssubscribe +sunsubscribe",
    ] {
        let (_server, url) = redis(&format!("{all} resetchannels {rights}")).await;
        assert_reports(
            &url,
            "grant +spublish +ssubscribe +sunsubscribe +ping &library-sync:*",
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_user_with_the_documented_rights_finds_the_master() {
    let [rules] = blocks("docs/operations.md", "sentinel-acl")
        .try_into()
        .unwrap();
    let rules: String = rules;
    let servers = RedisSentinel::start().await;
    let rules = rules.trim().strip_prefix("user ").unwrap().split(' ');
    let set_user: Vec<_> = ["ACL", "SETUSER"].into_iter().chain(rules).collect();
    assert_eq!(redis_cli(servers.sentinel.port, &set_user).trim(), "OK");
    let url = servers.url() + "?sentinel_user=library-sync&sentinel_password=PASSWORD";
    assert_carries_notices(&url).await;
}

/// A NATS server with these settings.
async fn nats(settings: &str) -> (Server, tempfile::TempDir, String) {
    let folder = tempfile::TempDir::with_prefix("library-sync-test-").unwrap();
    let file = folder.path().join("nats.conf");
    std::fs::write(&file, settings).unwrap();
    let server = Server::nats(&["--config", file.to_str().unwrap()]).await;
    let url = server
        .url()
        .replace("nats://", "nats://library-sync:PASSWORD@");
    (server, folder, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_user_with_the_documented_rights_carries_notices() {
    let [settings] = blocks("docs/operations.md", "nats").try_into().unwrap();
    let settings: String = settings;
    let (_server, _folder, url) = nats(&settings).await;
    assert_carries_notices(&url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_user_with_too_few_rights_is_reported_and_not_used() {
    let [settings] = blocks("docs/operations.md", "nats").try_into().unwrap();
    let settings: String = settings;
    for (right, other) in [
        (r#"publish: "library-sync.*""#, r#"publish: "other.*""#),
        (r#"subscribe: "library-sync.*""#, r#"subscribe: "other.*""#),
    ] {
        assert!(settings.contains(right));
        let (_server, _folder, url) = nats(&settings.replace(right, other)).await;
        assert_reports(&url, "permit publish and subscribe on library-sync.*").await;
    }
}
