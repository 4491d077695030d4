//! The dashboard and the rules of objectives: each alert fires for its cause, and each metric that they name is served.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::{Value, json};

use crate::{
    support::programs::Finish as _,
    support::test_app::{Db, TestApp, repository, soon, token},
    support::transport::Transport,
};

const DASHBOARD: &str = "deploy/grafana/library-sync.json";
const RULES: &str = "deploy/prometheus/rules.yml";

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

/// The expressions of the dashboard.
fn dashboard_expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let expressions = targets
        .flatten()
        .map(|target| target["expr"].as_str().unwrap().to_owned());
    expressions.collect()
}

/// The expressions of the rules, and the names that they record.
fn rules() -> (Vec<String>, BTreeSet<String>) {
    let rules: serde_yaml_ng::Value = serde_yaml_ng::from_str(&read(RULES)).unwrap();
    let groups = rules["groups"].as_sequence().unwrap().clone();
    let rules: Vec<_> = groups
        .iter()
        .flat_map(|group| group["rules"].as_sequence().unwrap())
        .collect();
    let text = |value: &serde_yaml_ng::Value| value.as_str().unwrap().to_owned();
    let recorded = rules.iter().filter_map(|rule| rule.get("record")).map(text);
    let recorded = recorded.collect();
    (
        rules.iter().map(|rule| text(&rule["expr"])).collect(),
        recorded,
    )
}

/// The names of metrics in an expression. A colon marks a recorded one.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = expression.split(move |c: char| !is_of_name(c));
    words.filter(|word| word.starts_with("library_sync"))
}

#[test]
fn each_alert_of_the_objectives_fires_for_its_cause_alone() {
    for arguments in [
        ["check", "rules", "deploy/prometheus/rules.yml"],
        ["test", "rules", "tests/prometheus/rules.yml"],
    ] {
        let mut promtool = Command::new("promtool");
        let ran = promtool.args(arguments).current_dir(repository()).finish();
        assert!(ran.status.success(), "{ran:?}");
    }
}

#[test]
fn the_runbook_explains_each_alert_of_the_objectives() {
    let operations = read("docs/operations.md");
    let (_, section) = operations.split_once("\n## Objectives\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rules = read(RULES);
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let alerts: Vec<_> = alerts.collect();
    assert!(alerts.len() > 3);
    let tests = read("tests/prometheus/rules.yml");
    for alert in alerts {
        assert!(section.contains(&format!("| `{alert}` |")), "{alert}");
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert}");
    }
}

/// The metrics that exist only in a circumstance that this test does not make: a key server, a replica, push, an outage.
const CIRCUMSTANCES: [&str; 13] = [
    "library_sync_broker_notices_dropped_total",
    "library_sync_broker_reconnects_total",
    "library_sync_notices_healed_total",
    "library_sync_push_commit_to_accepted_seconds",
    "library_sync_push_delivered_total",
    "library_sync_push_failed_total",
    "library_sync_push_gone_total",
    "library_sync_push_sent_total",
    "library_sync_waits_given_up_total",
    "library_sync_webhook_calls_total",
    "library_sync_canary_event_seconds",
    "library_sync_canary_run_timestamp_seconds",
    "library_sync_canary_up",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_metric_of_the_dashboard_and_the_rules_is_served() {
    let redis = std::env::var("LIBRARY_SYNC_TEST_REDIS").unwrap();
    let prefix = format!("{redis}?prefix=metrics-{}", uuid::Uuid::now_v7().simple());
    let app = TestApp::start_with(Db::Postgres, &["--broker-url", &prefix]).await;
    work(&app).await;
    let served = soon("metrics", app.http.get(app.url("/metrics")).send())
        .await
        .unwrap();
    let served = served.text().await.unwrap();
    let served: BTreeSet<_> = served
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let table = read("src/metrics.rs");
    let (of_rules, recorded) = rules();
    let expressions = [dashboard_expressions(), of_rules].concat();
    assert!(expressions.len() > 30);
    for expression in &expressions {
        for name in names(expression) {
            let is_known = if name.contains(':') {
                recorded.contains(name)
            } else if CIRCUMSTANCES.contains(&name) {
                table.contains(&format!("`{name}`"))
                    || read("docs/metrics.md").contains(&format!("`{name}`"))
            } else {
                served.contains(name)
            };
            assert!(
                is_known,
                "{name} of {expression} is not served: {served:#?}"
            );
        }
    }
}

/// A change on each transport that a device reports to show; a reconnect, a conflict, a replay and deltas.
async fn work(app: &TestApp) {
    let ann = app.user("ann");
    let added = ann.add("A").await;
    let base = ann.head().await;
    let mut streams = Vec::new();
    for transport in Transport::ALL {
        let mut stream = transport.open(app, &token("ann")).await.unwrap();
        stream.next().await;
        streams.push(stream);
    }
    let id = &added["progress"]["id"];
    let input =
        json!({"id": id, "currentChapter": 2, "idempotencyKey": "once", "device": {"id": "phone"}});
    for _ in 0..2 {
        ann.update_progress(input.clone()).await;
    }
    for stream in &mut streams {
        stream.next().await;
    }
    ann.update_progress(
        json!({"id": id, "currentChapter": 3, "base": base, "device": {"id": "laptop"}}),
    )
    .await;
    let head = ann.head().await;
    for since in [1, 9_999] {
        ann.ask(
            "query ($since: Int!) { libraryChanges(since: $since) { reset } }",
            json!({"since": since}),
        )
        .await;
    }
    let reported = app
        .http
        .get(app.url("/api/library-version"))
        .bearer_auth(token("ann"))
        .header("X-Device-Id", "phone")
        .header("X-Library-Applied", &head);
    assert_eq!(
        soon("a report", reported.send()).await.unwrap().status(),
        200
    );
    let resumed = app
        .http
        .get(app.url("/api/library-version-events"))
        .bearer_auth(token("ann"))
        .header("Last-Event-ID", &head);
    let mut resumed = soon("a stream", resumed.send()).await.unwrap();
    soon("an event", resumed.chunk()).await.unwrap();
    drop((streams, resumed));
    let _ = ann.refused("{ nothing }", json!({})).await;
    soon("a stream ends", async {
        let ends = || async {
            let text = app
                .http
                .get(app.url("/metrics"))
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap();
            text.contains("library_sync_stream_ends_total")
        };
        while !ends().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}
