//! `library-sync canary`: a change that is made, timed over each transport of each node, and taken back.

use std::{fs, process::Output};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    support::programs::Finish as _,
    support::test_app::{Db, TestApp, program, token},
};

struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs the canary of ann at these nodes.
fn canary(nodes: &[&str], more: &[&str]) -> Run {
    let mut command = program();
    command
        .arg("canary")
        .env("LIBRARY_SYNC_TOKEN", token("ann"));
    for node in nodes {
        command.args(["--url", node]);
    }
    command.args(more);
    let Output {
        status,
        stdout,
        stderr,
    } = tokio::task::block_in_place(|| command.finish());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert!(!stderr.contains(&token("ann")[..40]), "{stderr}");
    Run {
        code: status.code(),
        stdout,
        stderr,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_canary_times_each_transport_of_each_node_and_leaves_the_library_as_it_was() {
    let redis = std::env::var("LIBRARY_SYNC_TEST_REDIS").unwrap();
    let prefix = format!("{redis}?prefix=canary-{}", uuid::Uuid::now_v7().simple());
    // Only a notice brings the change to the other node in time.
    let flags = ["--broker-url", &prefix, "--heartbeat", "1h"];
    let one = TestApp::start_with(Db::Postgres, &flags).await;
    let other = TestApp::start_on(one.db.shared(), &flags).await;
    let ann = one.user("ann");
    ann.create_tag("mine").await;
    ann.create_tag("library-sync canary of a run that was killed")
        .await;
    let before = ann.version().await;
    let folder = TempDir::with_prefix("library-sync-test-").unwrap();
    let file = folder.path().join("canary.prom");
    let metrics = ["--metrics-file", file.to_str().unwrap()];

    let run = canary(&[&one.base, &other.base], &metrics);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert_eq!(run.stdout.lines().count(), 8, "{}", run.stdout);
    let text = fs::read_to_string(&file).unwrap();
    for base in [&one.base, &other.base] {
        for transport in ["websocket", "sse", "multipart", "events"] {
            let labels = format!("{{node=\"{base}/\",transport=\"{transport}\"}}");
            assert!(
                text.contains(&format!("library_sync_canary_up{labels} 1\n")),
                "{text}"
            );
            assert!(
                text.contains(&format!("library_sync_canary_event_seconds{labels} ")),
                "{text}"
            );
        }
    }
    let tags = ann.ask("{ tags { name } }", json!({})).await;
    assert_eq!(tags, json!({"tags": [{"name": "mine"}]}));
    // The leftover, the change, and its end.
    assert_eq!(ann.version().await, before + 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_canary_fails_and_says_where_when_a_node_is_lost() {
    let flags = ["--heartbeat", "1h"];
    let one = TestApp::start_with(Db::Postgres, &flags).await;
    // Without a broker it learns nothing of the change.
    let other = TestApp::start_on(one.db.shared(), &flags).await;
    let folder = TempDir::with_prefix("library-sync-test-").unwrap();
    let file = folder.path().join("canary.prom");
    let more = ["--timeout", "5s", "--metrics-file", file.to_str().unwrap()];
    let run = canary(&[&one.base, &other.base], &more);
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    assert!(
        run.stderr
            .contains("did not arrive over each transport within 5s"),
        "{}",
        run.stderr
    );
    let text = fs::read_to_string(&file).unwrap();
    for (base, up) in [(&one.base, 1), (&other.base, 0)] {
        let line =
            format!("library_sync_canary_up{{node=\"{base}/\",transport=\"events\"}} {up}\n");
        assert!(text.contains(&line), "{text}");
    }
    let tags = one.user("ann").ask("{ tags { name } }", json!({})).await;
    assert_eq!(tags, json!({"tags": []}));
    let nowhere = canary(&["http://127.0.0.1:1"], &more);
    assert_eq!(nowhere.code, Some(1));
}
