//! Opening a database: a failure is reported at once with its cause, and no file is created by mistake.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use sea_orm::ConnectionTrait as _;
use serde_json::json;
use uuid::Uuid;

use crate::{
    commands::command_line::run,
    support::servers::{Server, free_port},
    support::test_app::{Db, SECRET, TestApp, TestDatabase, TestProcess, soon},
};

/// Runs a command that must fail, and returns its error line.
fn error_line(arguments: &[&str]) -> String {
    let began = Instant::now();
    let (code, out, error) = run(&[arguments, &["--log", "warn"]].concat());
    assert_eq!(
        (code, out.as_str()),
        (Some(1), ""),
        "{arguments:?}: {error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
    // Less than `--database-wait`, for which a pool retries.
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{arguments:?}: {:?}",
        began.elapsed()
    );
    error.trim_end().to_owned()
}

fn cannot_serve(url: &str) -> String {
    error_line(&["serve", "--jwt-secret", SECRET, "--database-url", url])
}

const SETTING: &str = "library-sync: --database-url (LIBRARY_SYNC_DATABASE_URL): ";

#[tokio::test]
async fn an_unreachable_postgres_is_reported_with_its_cause_at_once() {
    let closed = free_port();
    let refused = format!("{SETTING}cannot connect to 127.0.0.1:{closed}: connection refused");
    let url = format!("postgres://ann:pw@127.0.0.1:{closed}/library");
    assert_eq!(cannot_serve(&url), refused);
    assert_eq!(
        error_line(&["epoch", "new", "--database-url", &url]),
        refused
    );
    assert_eq!(
        cannot_serve("postgres://ann:pw@/library?host=/nowhere"),
        format!("{SETTING}cannot connect to /nowhere/.s.PGSQL.5432: no such file or folder")
    );

    let database = TestDatabase::new(Db::Postgres).await;
    let mut url: url::Url = database.url.parse().unwrap();
    let place = format!("127.0.0.1:{}", url.port().unwrap());
    // Without `ALTER DATABASE`, connections are limited by role alone.
    let role = format!("limited_{}", Uuid::now_v7().simple());
    let direct = database.connect().await;
    let limit = format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT 0");
    direct.execute_unprepared(&limit).await.unwrap();
    url.set_username(&role).unwrap();
    let line = cannot_serve(url.as_str());
    direct
        .execute_unprepared(&format!("DROP ROLE {role}"))
        .await
        .unwrap();
    assert_eq!(
        line,
        format!("{SETTING}cannot connect to {place}: too many connections for role \"{role}\"")
    );
    let mut url: url::Url = database.url.parse().unwrap();
    url.set_path("nosuch");
    assert_eq!(
        cannot_serve(url.as_str()),
        format!("{SETTING}cannot connect to {place}: database \"nosuch\" does not exist")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_lost_while_serving_is_logged_with_its_cause() {
    let mut postgres = Server::postgres().await;
    let folder = tempfile::TempDir::new().unwrap();
    let log = folder.path().join("log");
    let flags = ["--database-wait", "500ms"];
    let (url, log_file) = (postgres.url(), fs::File::create(&log).unwrap());
    let server = TestProcess::serve_logging(&url, &flags, log_file.into()).await;
    let cause = format!(
        "cannot connect to 127.0.0.1:{}: connection refused",
        postgres.port
    );
    postgres.kill();
    soon("the cause is logged", async {
        while !fs::read_to_string(&log).unwrap().contains(&cause) {
            let response = server
                .send("ann", "{ libraryVersion }", json!({}))
                .await
                .unwrap();
            assert_eq!(
                response["errors"][0]["extensions"]["code"], "UNAVAILABLE",
                "{response}"
            );
            assert!(!response.to_string().contains("127.0.0.1"), "{response}");
        }
    })
    .await;
}

#[test]
fn a_sqlite_file_that_cannot_be_opened_is_reported_with_its_cause() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(
        path("text"),
        "this is not a database, however long it is made",
    )
    .unwrap();
    fs::write(path("empty"), "").unwrap();
    let here = folder.path().display();
    for (url, expected) in [
        (
            format!("sqlite://{here}/a/b.db?mode=rwc"),
            format!("{here}/a/b.db cannot be opened: the folder {here}/a does not exist"),
        ),
        (
            format!("sqlite://{here}?mode=rwc"),
            format!("{here} is a folder"),
        ),
        (
            format!("sqlite://{here}/text/b.db?mode=rwc"),
            format!("{here}/text/b.db cannot be opened: not a directory"),
        ),
        (
            format!("sqlite://{here}/text?mode=rw"),
            format!("{here}/text cannot be opened: file is not a database"),
        ),
        (
            format!("sqlite://{here}/empty"),
            format!("{here}/empty is empty: add ?mode=rwc to create it"),
        ),
        (
            format!("sqlite://{here}/text?mode=ro"),
            format!("{here}/text is opened with mode=ro, but this command writes: use mode=rw"),
        ),
    ] {
        assert_eq!(cannot_serve(&url), format!("{SETTING}{expected}"), "{url}");
    }
}

#[test]
fn only_a_command_that_fills_a_database_creates_it_and_only_with_mode_rwc() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("typo.db");
    let csv = folder.path().join("a.csv");
    fs::write(&csv, "title,url\nA,https://example.org/a\n").unwrap();
    let url = |mode: &str| format!("sqlite://{}{mode}", path.display());
    let import = ["import", "--sub", "ann", csv.to_str().unwrap()];
    let fills = [
        &["serve", "--jwt-secret", SECRET][..],
        &["migrate", "up"],
        &import,
    ];
    for mode in ["", "?mode=rw"] {
        for command in fills {
            let line = error_line(&[command, &["--database-url", &url(mode)]].concat());
            assert_eq!(
                line,
                format!(
                    "{SETTING}{} does not exist: add ?mode=rwc to create it",
                    path.display()
                )
            );
            assert!(!path.exists());
        }
    }
    let copy = folder.path().join("copy.db");
    for mode in ["", "?mode=ro", "?mode=rwc"] {
        for command in [
            &["export", "--sub", "ann"][..],
            &["epoch", "new"],
            &["migrate", "status"],
            &["migrate", "down"],
            &["backup", copy.to_str().unwrap()],
        ] {
            let line = error_line(&[command, &["--database-url", &url(mode)]].concat());
            assert!(
                line.starts_with(SETTING) && line.contains(path.to_str().unwrap()),
                "{line}"
            );
            let left: Vec<_> = fs::read_dir(&folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            assert_eq!(left, ["a.csv"], "{command:?}");
        }
    }
    let (code, _, error) = run(&[&import[..], &["--database-url", &url("?mode=rwc")]].concat());
    assert_eq!((code, path.exists()), (Some(0), true), "{error}");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only its owner reads it");
    // A command that only reads accepts mode=ro.
    let (code, out, error) = run(&["export", "--sub", "ann", "--database-url", &url("?mode=ro")]);
    assert!(
        code == Some(0) && out.contains("https://example.org/a"),
        "{error}"
    );
}

#[test]
fn a_command_that_only_reads_creates_no_tables() {
    let folder = tempfile::TempDir::new().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("a.db").display());
    let migrate = |rest: &[&str]| run(&[&["migrate"], rest, &["--database-url", &url]].concat());
    assert_eq!(migrate(&["up"]).0, Some(0));
    assert_eq!(migrate(&["down"]).0, Some(0));
    let line = error_line(&["export", "--sub", "ann", "--database-url", &url]);
    assert!(line.ends_with("run `library-sync migrate up`"), "{line}");
    assert!(migrate(&["status"]).1.contains("pending"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_file_that_is_replaced_or_removed_under_a_server_takes_no_more_writes() {
    for replaced in [true, false] {
        let app = TestApp::start(Db::Sqlite).await;
        let ann = app.user("ann");
        ann.add("A").await;
        let path = app.db.path();
        let away = format!("{path}.away");
        fs::rename(path, &away).unwrap();
        if replaced {
            fs::copy(&away, path).unwrap();
        }
        let change = "mutation { createTag(input: {name: \"x\"}) { libraryVersion } }";
        assert_eq!(
            ann.refused(change, serde_json::json!({})).await,
            "UNAVAILABLE"
        );
        let ready = app.http.get(app.url("/readyz")).send().await.unwrap();
        assert_eq!(ready.status(), 503);
        // The change was not written.
        fs::rename(&away, path).unwrap();
        assert_eq!(ann.version().await, 2);
        assert!(Path::new(path).exists());
    }
}
