//! The programs of docs/clients.md, unmodified, through every cause of a stream's end: a maximum lifetime, a token that
//! expires, and a server that is down for a minute.
//!
//! On SQLite only, because the clients do not depend on the database.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    support::test_app::{Db, TestApp, repository, token_for},
    transports::clients::Client,
};

/// How long the server is down.
const OUTAGE: Duration = Duration::from_mins(1);

/// How long a token is valid, and how often it is renewed.
const TOKEN_LIFETIME: Duration = Duration::from_secs(8);
const RENEWAL: Duration = Duration::from_secs(3);

/// How long all clients may take to report a version. The longest pause between two attempts is 5 s.
const DEADLINE: Duration = Duration::from_secs(40);

/// A short lifetime, so that streams end and reopen many times.
const FLAGS: [&str; 6] = [
    "--max-stream-life",
    "4s",
    "--drain-spread",
    "0s",
    "--jwt-leeway",
    "0s",
];

/// The headings of the programs that Node runs. Python's is run beside them.
const PROGRAMS: [&str; 8] = [
    "graphql-ws",
    "urql with graphql-ws",
    "urql over server-sent events",
    "Apollo Client over WebSocket",
    "Apollo Client over multipart",
    "Relay",
    "graphql-sse",
    "EventSource",
];

fn python() -> PathBuf {
    let python = std::env::var_os("LIBRARY_SYNC_TEST_PYTHON");
    python
        .expect("LIBRARY_SYNC_TEST_PYTHON: run the tests by scripts/test, which installs gql")
        .into()
}

fn token() -> String {
    token_for("ann", TOKEN_LIFETIME)
}

fn start(base: &str) -> Vec<Client> {
    let mut clients: Vec<_> = PROGRAMS
        .map(|heading| Client::run(heading, &["documented.mjs", heading, base, &token()]))
        .into();
    let python = Client::run_by(python(), "Python gql", &["documented.py", base, &token()]);
    clients.push(python);
    clients
}

/// Waits until `until`, with new tokens meanwhile.
async fn renew_until(clients: &mut [Client], until: Instant) {
    while Instant::now() < until {
        let fresh = token();
        for client in &mut *clients {
            client.renew(&fresh);
        }
        sleep_until(until.min(Instant::now() + RENEWAL)).await;
    }
}

/// Waits until every client reports `version`, with new tokens meanwhile, also for those that have reported: some give up
/// when they reconnect with an expired one.
async fn all_report(clients: &mut [Client], version: i64) {
    let deadline = Instant::now() + DEADLINE;
    let (missing, all_reported) = (AtomicUsize::new(clients.len()), CancellationToken::new());
    let reports = clients.iter_mut().map(async |client| {
        client.renew(&token());
        while timeout(RENEWAL, client.until(version)).await.is_err() {
            assert!(
                Instant::now() < deadline,
                "{}: not within {DEADLINE:?}",
                client.name
            );
            client.renew(&token());
        }
        if missing.fetch_sub(1, Ordering::Relaxed) == 1 {
            all_reported.cancel();
        }
        while timeout(RENEWAL, all_reported.cancelled()).await.is_err() {
            client.renew(&token());
        }
    });
    join_all(reports).await;
}

#[test]
fn every_program_of_the_page_is_run() {
    let page = std::fs::read_to_string(repository().join("docs/clients.md")).unwrap();
    let sections = page.split("\n## ").skip(1);
    let programs: Vec<_> = sections
        .filter(|section| section.contains("\n```js\n"))
        .map(|section| section.lines().next().unwrap())
        .collect();
    assert_eq!(programs, PROGRAMS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_clients_survive_planned_ends_renewed_tokens_and_an_outage_of_a_minute() {
    let mut app = TestApp::start_with(Db::Sqlite, &FLAGS).await;
    let mut clients = start(&app.base);
    all_report(&mut clients, 1).await;

    // Longer than the lifetimes of two streams and of a token.
    for version in 2..=4 {
        renew_until(&mut clients, Instant::now() + Duration::from_secs(4)).await;
        app.user("ann").add("A").await;
        all_report(&mut clients, version).await;
    }

    // The library changes while the server is down, so the clients receive it only after reconnecting.
    app.stop().await;
    let began = Instant::now();
    let mut other = TestApp::start_on(app.db.shared(), &[]).await;
    other.user("ann").add("A").await;
    other.stop().await;
    renew_until(&mut clients, began + OUTAGE).await;
    let app = app.restart(&FLAGS).await;
    all_report(&mut clients, 5).await;
    app.user("ann").add("A").await;
    all_report(&mut clients, 6).await;
    for client in &clients {
        assert!(
            client.versions.is_sorted(),
            "{}: {:?}",
            client.name,
            client.versions
        );
    }
}
