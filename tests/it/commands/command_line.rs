//! The program's commands.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
};

use serde_json::json;

use crate::support::programs::Finish as _;
use crate::support::test_app::{
    SECRET, TestDatabase, TestProcess, http_client, on_each_database, program, repository, soon,
};

/// Runs the program to its end: exit code, standard output, standard error.
pub fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = program().args(arguments).finish();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn serve_names_the_flag_and_the_variable_of_what_is_missing() {
    let (code, _, error) = run(&["serve", "--jwt-secret", SECRET]);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("--database-url") && error.contains("LIBRARY_SYNC_DATABASE_URL"),
        "{error}"
    );
    let (code, _, error) = run(&["serve", "--database-url", "sqlite::memory:"]);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("--jwt-secret") && error.contains("LIBRARY_SYNC_JWT_SECRET"),
        "{error}"
    );
    assert!(error.lines().count() == 1, "{error}");
}

#[test]
fn a_spread_of_ends_that_is_longer_than_the_grace_is_refused_by_both_flags() {
    let keys = ["--jwt-secret", SECRET, "--database-url", "sqlite::memory:"];
    let times = ["--drain-spread", "20s", "--shutdown-grace", "15s"];
    let (code, _, error) = run(&[&["serve"], &keys[..], &times].concat());
    assert_eq!(code, Some(1));
    for named in ["--drain-spread", "--shutdown-grace", "20s", "15s"] {
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn a_setting_that_cannot_work_is_refused_by_its_flag() {
    for (flag, value) in [
        ("--write-timeout", "8d"),
        ("--statement-timeout", "8d"),
        ("--ticket-life", "3650000d"),
        ("--keep-history", "101y"),
        ("--database-wait", "0s"),
        ("--max-page", "19"),
        ("--max-changes", "499"),
        ("--jwt-issuer", ""),
        ("--jwt-audience", ""),
        ("--session-cookie", "a=b"),
    ] {
        let (code, _, error) = run(&["serve", flag, value]);
        assert_eq!(code, Some(2), "{flag} {value}: {error}");
        assert!(error.contains(flag), "{error}");
    }
}

/// A read that never ends, as on a lost network mount.
#[tokio::test]
async fn a_file_that_cannot_be_read_does_not_keep_a_server_from_stopping() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("index.html"), "a page").unwrap();
    let fifo = folder.path().join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let database = TestDatabase::new(crate::support::test_app::Db::Sqlite).await;
    let app = folder.path().to_str().unwrap();
    let times = ["--shutdown-grace", "1s", "--drain-spread", "0s"];
    let mut server = TestProcess::serve(
        &database.url,
        &[&["--static-dir", app][..], &times].concat(),
    )
    .await;
    let address = server.url("");
    let address = address.strip_prefix("http://").unwrap();
    let mut asks = std::net::TcpStream::connect(address).unwrap();
    asks.write_all(b"GET /fifo HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    // The next file is read after the FIFO is opened, which waits for a writer.
    let page = http_client().get(server.url("/index.html")).send();
    assert_eq!(soon("a page", page).await.unwrap().status(), 200);
    server.signal("-TERM");
    server.wait().await;
}

#[test]
fn a_secret_that_is_too_short_is_refused_and_not_shown() {
    let (code, _, error) = run(&[
        "serve",
        "--database-url",
        "sqlite://x.db",
        "--jwt-secret",
        "tooshortsecret",
    ]);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("--jwt-secret") && !error.contains("tooshortsecret"),
        "{error}"
    );
}

#[test]
fn token_prints_the_token_alone() {
    let (code, out, _) = run(&[
        "token",
        "--sub",
        "ann",
        "--ttl",
        "5m",
        "--jwt-secret",
        SECRET,
    ]);
    assert_eq!(code, Some(0));
    assert_eq!(out.trim_end().split('.').count(), 3);
    assert_eq!(out.lines().count(), 1);
    let (code, _, error) = run(&["token", "--sub", "ann"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("LIBRARY_SYNC_JWT_SECRET"), "{error}");
}

#[test]
fn the_schema_file_is_what_the_program_prints() {
    let (code, out, _) = run(&["schema"]);
    assert_eq!(code, Some(0));
    let file = std::fs::read_to_string(repository().join("schema.graphql")).unwrap();
    assert!(
        out == file,
        "schema.graphql is stale: run `cargo run -- schema > schema.graphql`"
    );
}

on_each_database! {
    async fn migrations_go_down_and_up_again(db: Db) {
        let database = TestDatabase::new(db).await;
        let migrate = |rest: &[&str]| {
            let (code, out, error) = run(&[&["migrate"], rest, &["--database-url", &database.url]].concat());
            assert_eq!(code, Some(0), "{error}");
            out
        };
        if db == crate::support::test_app::Db::Postgres {
            let pending = migrate(&["status"]);
            assert!(pending.lines().count() > 0 && pending.lines().all(|line| line.starts_with("pending")), "{pending}");
        }
        for _ in 0..2 {
            let up = migrate(&["up"]);
            assert!(up.lines().all(|line| line.starts_with("applied")), "{up}");
            let steps = up.lines().count().to_string();
            let down = migrate(&["down", "--steps", &steps]);
            assert!(down.lines().all(|line| line.starts_with("pending")), "{down}");
        }
        let tables = match db {
            crate::support::test_app::Db::Sqlite => "SELECT count(*) FROM sqlite_master WHERE name LIKE 'topaz%'",
            crate::support::test_app::Db::Postgres => "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'topaz%'",
        };
        assert_eq!(database.scalar::<i64>(tables).await, 0);
    }

    async fn a_server_told_to_stop_finishes_and_exits_cleanly_with_streams_open(db: Db) {
        let database = TestDatabase::new(db).await;
        let mut server = TestProcess::serve(&database.url, &["--shutdown-grace", "10s"]).await;
        let token = crate::support::test_app::token("ann");
        let url = server.url("/api/library-version-events");
        let mut stream = http_client().get(url).bearer_auth(token).send().await.unwrap();
        soon("the first event", stream.chunk()).await.unwrap().unwrap();
        let made = server.send("ann", "mutation { createTag(input: {name: \"x\"}) { libraryVersion } }", json!({})).await;
        assert_eq!(made.unwrap()["data"]["createTag"]["libraryVersion"], 2);
        server.signal("-TERM");
        assert_eq!(server.wait().await, Some(0));
        soon("the stream ends", async { while let Ok(Some(_)) = stream.chunk().await {} }).await;
    }

    async fn what_was_answered_survives_kill_9(db: Db) {
        let database = TestDatabase::new(db).await;
        let mut server = TestProcess::serve(&database.url, &[]).await;
        let mut answered = Vec::new();
        let query = "mutation ($name: String!) { createTag(input: {name: $name}) { libraryVersion tag { id } } }";
        let killer = {
            let pid = server.child.id().to_string();
            std::thread::spawn(move || {
                // Somewhere in the run: after some answers, during others.
                let (sender, receiver) = std::sync::mpsc::channel::<()>();
                let _ = receiver.recv_timeout(std::time::Duration::from_millis(700));
                drop(sender);
                std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
            })
        };
        for n in 0.. {
            let Ok(answer) = server.send("ann", query, json!({"name": format!("tag {n}")})).await else { break };
            answered.push(answer["data"]["createTag"]["tag"]["id"].as_str().unwrap().to_owned());
        }
        killer.join().unwrap();
        server.wait().await;
        assert!(!answered.is_empty());
        let server = TestProcess::serve(&database.url, &[]).await;
        let read = server.send("ann", "{ libraryVersion tags { id stamp } }", json!({})).await.unwrap();
        let tags = read["data"]["tags"].as_array().unwrap();
        let ids: Vec<_> = tags.iter().map(|tag| tag["id"].as_str().unwrap()).collect();
        assert!(answered.iter().all(|id| ids.contains(&id.as_str())), "an answered tag is gone");
        let mut stamps: Vec<_> = tags.iter().map(|tag| tag["stamp"].as_i64().unwrap()).collect();
        stamps.sort_unstable();
        assert_eq!(stamps, (2..=read["data"]["libraryVersion"].as_i64().unwrap()).collect::<Vec<_>>());
    }
}

/// A process that is killed when this is dropped, so that a failed test leaves none behind.
struct Background(Child);

impl Background {
    fn spawn(command: &mut Command) -> Self {
        Self(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        )
    }

    fn lines(&mut self) -> impl Iterator<Item = String> + use<> {
        BufReader::new(self.0.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_two_lines_that_dev_prints_show_a_version_move() {
    let folder = tempfile::TempDir::new().unwrap();
    let data = folder.path().join("data");
    let mut dev = Background::spawn(program().args([
        "dev",
        "--no-app",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        data.to_str().unwrap(),
    ]));
    let lines: Vec<_> = dev
        .lines()
        .take_while(|line| !line.contains("Ctrl-C"))
        .collect();
    let mut pasted = lines.iter().filter(|line| line.starts_with("curl"));
    let (watch, change) = (pasted.next().unwrap(), pasted.next().unwrap());
    // -m: a deadline for what is pasted.
    let sh = |line: &str| {
        let mut sh = Command::new("sh");
        sh.args(["-c", &format!("exec {line} -s -m 20")]);
        sh
    };

    let mut watching = Background::spawn(&mut sh(watch));
    let mut events = watching.lines().filter(|line| line.starts_with("data:"));
    let connected = events.next().expect("an event");
    assert!(
        connected.contains("\"version\":2"),
        "the sample library is one change: {connected}"
    );
    let changed = sh(change).finish();
    let changed = String::from_utf8(changed.stdout).unwrap();
    assert!(changed.contains("\"libraryVersion\":3"), "{changed}");
    let update = events.next().expect("an event");
    assert!(
        update.contains("library_version_update") && update.contains("\"version\":3"),
        "{update}"
    );
}
