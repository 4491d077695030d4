//! The rules of docs/protocol.md, tested by the programs in tests/protocol, which can test any server.

use std::{process::Command, time::Duration};

use crate::support::programs::Finish as _;
use crate::support::servers::free_port;
use crate::support::test_app::{
    Db, SECRET, TestDatabase, TestProcess, on_each_database, program, repository, token, token_for,
};

/// A short heartbeat, so that waits for one are short. No rate limits, which no rule covers.
const FLAGS: [&str; 14] = [
    "--heartbeat",
    "400ms",
    // A device that registers counts as awake for the lease.
    "--push-lease",
    "1s",
    "--push-delay",
    "2s",
    "--vapid-subject",
    "mailto:admin@example.org",
    "--jwt-leeway",
    "0s",
    "--max-user-rate",
    "0",
    "--max-address-rate",
    "0",
];

/// Time limit of a program on a busy machine.
const LIMIT: Duration = Duration::from_mins(4);

/// Runs a program of tests/protocol and returns what it prints. It must succeed.
async fn succeeds(file: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("node");
    command
        .arg(repository().join("tests/protocol").join(file))
        .args(arguments)
        .args(["--heartbeat", "0.4", "--push-quiet", "4"]);
    let run = tokio::task::spawn_blocking(move || command.finish_within(LIMIT));
    let run = run.await.unwrap();
    let printed = String::from_utf8(run.stdout).unwrap();
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{file}:\n{printed}{errors}");
    printed
}

/// A server, its database, and the origin of the push service that it may send to.
async fn serve(db: Db) -> (TestDatabase, TestProcess, String) {
    let database = TestDatabase::new(db).await;
    let key = program().arg("vapid").finish();
    let key = String::from_utf8(key.stdout).unwrap();
    let push_service = format!("http://127.0.0.1:{}", free_port());
    let more = ["--vapid-key", &key, "--push-allow", &push_service];
    let server = TestProcess::serve(&database.url, &[&FLAGS[..], &more].concat()).await;
    (database, server, push_service)
}

/// The shell command that begins a new epoch for a user.
fn begin_epoch(database: &TestDatabase, user: &str) -> String {
    let program = program();
    let program = program.get_program().to_str().unwrap();
    let url = &database.url;
    format!("'{program}' epoch new --user '{user}' --database-url '{url}'")
}

on_each_database! {
    async fn the_server_follows_every_rule_of_the_protocol(db: Db) {
        let (database, server, push_service) = serve(db).await;
        let expiring = token_for("eve", Duration::from_secs(8));
        let printed = succeeds("conformance.mjs", &[
            "--url", &server.base, "--token", &token("ann"), "--other-token", &token("bob"),
            "--expiring-token", &expiring, "--begin-epoch", &begin_epoch(&database, "ann"), "--push-service", &push_service,
        ]).await;
        assert!(printed.contains(" 0 broken, 0 blocked, 0 skipped"), "{printed}");
    }
}

/// A mutant is a proxy that breaks one rule. docs/protocol.md, the tests and the mutants have the same ids.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mutant_of_a_protocol_rule_is_detected_only_by_that_rule() {
    let (database, server, push_service) = serve(Db::Sqlite).await;
    let begin_epoch = begin_epoch(&database, "{user}");
    let arguments = [
        "--url",
        &server.base,
        "--secret",
        SECRET,
        "--begin-epoch",
        &begin_epoch,
        "--push-service",
        &push_service,
    ];
    succeeds("mutants.mjs", &arguments).await;
}
