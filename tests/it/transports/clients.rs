//! The npm clients that applications use, unmodified, against a running server.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
};

use futures_util::future::join_all;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::support::programs::Finish as _;
use crate::support::test_app::{DEADLINE, Db, TestApp, on_each_database, soon, token};

/// The clients of `tests/clients/watch.mjs`. Each must reconnect by itself.
pub const CLIENTS: [&str; 4] = [
    "graphql-ws",
    "graphql-sse",
    "apollo-multipart",
    "eventsource",
];

/// The folder `tests/clients`, with its packages installed.
pub fn folder() -> PathBuf {
    std::env::var_os("LIBRARY_SYNC_TEST_CLIENTS")
        .expect("LIBRARY_SYNC_TEST_CLIENTS: run the tests by scripts/test, which installs the clients they need")
        .into()
}

/// Runs a program of that folder to completion, and returns its output as one value per line.
pub async fn output(arguments: &[&str]) -> Vec<Value> {
    let mut program = Command::new("node");
    program.args(arguments).current_dir(folder());
    let running = tokio::task::spawn_blocking(move || program.finish_within(DEADLINE));
    let output = running.await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", arguments[0]);
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A client that follows the library version, as a process that ends when this is dropped.
pub struct Client {
    pub name: &'static str,
    process: Child,
    /// Closing it ends the client.
    stdin: ChildStdin,
    events: mpsc::UnboundedReceiver<Value>,
    /// The versions that it received, in order.
    pub versions: Vec<i64>,
}

impl Client {
    /// Runs `tests/clients/watch.mjs`.
    pub fn watch(name: &'static str, base: &str, token: &str) -> Self {
        Self::run(name, &["watch.mjs", name, base, token])
    }

    /// Runs a program that prints events in the format of `watch.mjs`.
    pub fn run(name: &'static str, arguments: &[&str]) -> Self {
        Self::run_by("node".into(), name, arguments)
    }

    /// Like [`Self::run`], with another interpreter.
    pub fn run_by(interpreter: PathBuf, name: &'static str, arguments: &[&str]) -> Self {
        let mut process = Command::new(interpreter)
            .args(arguments)
            .current_dir(folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (send, events) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = send.send(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        Self {
            name,
            stdin: process.stdin.take().unwrap(),
            process,
            events,
            versions: Vec::new(),
        }
    }

    /// Gives the client a token for its next attempt.
    pub fn renew(&mut self, token: &str) {
        writeln!(self.stdin, "{token}").unwrap();
    }

    /// The next event that the client prints.
    pub async fn next(&mut self) -> Value {
        let event = soon(self.name, self.events.recv()).await;
        event.unwrap_or_else(|| panic!("{} ended after {:?}", self.name, self.versions))
    }

    /// Waits until the client receives `version`, and returns the first version received meanwhile.
    pub async fn until(&mut self, version: i64) -> i64 {
        let from = self.versions.len();
        while self.versions[from..].last() != Some(&version) {
            let event = self.next().await;
            match event["event"].as_str() {
                Some("version") => self.versions.push(event["version"].as_i64().unwrap()),
                Some("connected" | "ping" | "closed" | "error") => {}
                _ => panic!("{}: {event}", self.name),
            }
        }
        self.versions[from]
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

on_each_database! {
    async fn a_client_receives_the_newest_version_also_after_a_server_restart(db: Db) {
        let mut app = TestApp::start(db).await;
        let mut clients = CLIENTS.map(|name| Client::watch(name, &app.base, &token("ann")));
        let all = async |clients: &mut [Client], version| {
            join_all(clients.iter_mut().map(|client| client.until(version))).await
        };
        assert_eq!(all(&mut clients, 1).await, [1; CLIENTS.len()]);
        for version in 2..=4 {
            app.user("ann").add("A").await;
            assert_eq!(all(&mut clients, version).await, [version; CLIENTS.len()]);
        }
        let ann = app.user("ann");
        join_all((0..20).map(|_| ann.add("A"))).await;
        all(&mut clients, 24).await;

        // The library changes while the server is down, so the clients receive it only after reconnecting.
        let other = TestApp::start_on(app.db.shared(), &[]).await;
        app.stop().await;
        other.user("ann").add("A").await;
        let app = app.restart(&[]).await;
        assert_eq!(all(&mut clients, 25).await, [25; CLIENTS.len()], "the current version comes first");
        app.user("ann").add("A").await;
        assert_eq!(all(&mut clients, 26).await, [26; CLIENTS.len()]);
        for client in clients {
            assert!(client.versions.is_sorted(), "{}: {:?}", client.name, client.versions);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_audit_of_graphql_over_http_passes() {
    let app = TestApp::start(Db::Sqlite).await;
    let mut audits = Command::new("node");
    audits
        .args(["audits.mjs", &app.base, &token("ann")])
        .current_dir(folder());
    let run = tokio::task::spawn_blocking(move || audits.finish());
    let output = run.await.unwrap();
    let results: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let failed: Vec<_> = results
        .iter()
        .filter(|result| result["status"] != "ok")
        .map(Value::to_string)
        .collect();
    assert!(
        failed.is_empty(),
        "{} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    assert_eq!(results.len(), 61);
    assert!(output.status.success());
}
