//! `backup` and `restore`, and the files that commands write.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    commands::command_line::run,
    support::programs::{Finish as _, finished},
    support::test_app::{DEADLINE, Db, TestDatabase, TestProcess, program},
};

const TAG: &str =
    "mutation ($name: String!) { createTag(input: {name: $name}) { libraryVersion } }";

/// A folder with a SQLite database, and commands on it.
struct Desk {
    folder: TempDir,
    database: PathBuf,
    url: String,
}

impl Desk {
    fn new() -> Self {
        let folder = TempDir::with_prefix("library-sync-test-").unwrap();
        let database = folder.path().join("library.db");
        let url = format!("sqlite://{}?mode=rwc", database.display());
        Self {
            folder,
            database,
            url,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command on the database: whether it succeeded, and what it said.
    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let (code, out, error) = run(&[arguments, &["--database-url", &self.url]].concat());
        (code == Some(0), out + &error)
    }

    fn done(&self, arguments: &[&str]) -> String {
        let (done, said) = self.run(arguments);
        assert!(done, "{arguments:?}: {said}");
        said
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let (done, said) = self.run(arguments);
        assert!(!done, "{arguments:?}: {said}");
        said
    }

    async fn serve(&self) -> TestProcess {
        TestProcess::serve(&self.url, &["--log", "warn"]).await
    }

    /// Kills a server, so that it leaves its write-ahead log behind.
    async fn kill(&self, mut server: TestProcess) {
        server.signal("-KILL");
        server.wait().await;
        let log = fs::metadata(self.path("library.db-wal")).unwrap();
        assert!(log.len() > 0, "there is a write-ahead log");
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

async fn add_tags(server: &TestProcess, names: std::ops::Range<i32>) {
    for n in names {
        let made = server
            .send("ann", TAG, json!({"name": format!("tag {n}")}))
            .await
            .unwrap();
        assert_eq!(made["data"]["createTag"]["libraryVersion"], n + 2, "{made}");
    }
}

/// The version and the epoch.
async fn head(server: &TestProcess) -> (i64, String) {
    let read = server
        .send("ann", "{ library { version epoch } }", json!({}))
        .await
        .unwrap();
    let library = &read["data"]["library"];
    let epoch = library["epoch"].to_string();
    (
        library["version"]
            .as_i64()
            .unwrap_or_else(|| panic!("{read}")),
        epoch,
    )
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_keeps_what_was_there_and_begins_a_new_epoch() {
    let desk = Desk::new();
    let server = desk.serve().await;
    add_tags(&server, 0..3).await;
    let backup = desk.path("backup.db");
    let backup_name = backup.to_str().unwrap();
    desk.done(&["backup", backup_name]);
    assert_eq!(mode(&backup), 0o600);
    let before = fs::read(&backup).unwrap();
    let said = desk.refused(&["backup", backup_name]);
    assert!(said.contains("already exists"), "{said}");
    add_tags(&server, 3..6).await;
    let (version, old_epoch) = head(&server).await;
    assert_eq!(version, 7);

    let said = desk.refused(&["restore", backup_name]);
    assert!(
        said.contains("in use by another library-sync process"),
        "{said}"
    );
    add_tags(&server, 6..7).await;
    desk.kill(server).await;
    fs::set_permissions(&desk.database, fs::Permissions::from_mode(0o640)).unwrap();
    let said = desk.done(&["restore", backup_name]);
    assert!(said.contains("1 users begin a new epoch"), "{said}");
    let kept = said.trim_end().rsplit("is kept as ").next().unwrap();
    assert_eq!(mode(&desk.database), 0o640, "as before");
    assert_eq!(
        fs::read(&backup).unwrap(),
        before,
        "the backup is as it was"
    );

    let server = desk.serve().await;
    let (version, epoch) = head(&server).await;
    assert_eq!(version, 4);
    assert!(
        epoch > old_epoch && epoch.len() == old_epoch.len(),
        "{epoch} after {old_epoch}"
    );
    add_tags(&server, 3..4).await;
    // With its write-ahead log, under a name that SQLite finds it by.
    let kept = TestDatabase::at(format!("sqlite://{kept}?mode=rw"));
    assert_eq!(
        kept.scalar::<i32>("SELECT library_version FROM topaz_user")
            .await,
        8
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_not_sound_changes_nothing() {
    let desk = Desk::new();
    desk.done(&["migrate", "up"]);
    desk.done(&["backup", desk.path("good.db").to_str().unwrap()]);
    let before = fs::read(&desk.database).unwrap();
    let other =
        |name: &str| TestDatabase::at(format!("sqlite://{}?mode=rwc", desk.path(name).display()));
    fs::write(desk.path("text"), "no database".repeat(100)).unwrap();
    other("foreign.db").execute("CREATE TABLE t (a text)").await;
    let good = fs::read(desk.path("good.db")).unwrap();
    let mut torn = good.clone();
    let middle = torn.len() / 2;
    torn[middle..].fill(0x55);
    fs::write(desk.path("torn.db"), torn).unwrap();
    fs::write(desk.path("newer.db"), &good).unwrap();
    other("newer.db")
        .execute("INSERT INTO seaql_migrations VALUES ('m30000101_000001_later', 0)")
        .await;
    let names = desk.names();
    for (name, expected) in [
        ("nothing", "no such file"),
        ("text", "not an intact SQLite database"),
        ("torn.db", "not an intact SQLite database"),
        ("foreign.db", "not a library-sync database"),
        ("newer.db", "m30000101_000001_later"),
        ("library.db", "is the database itself"),
    ] {
        let said = desk.refused(&["restore", desk.path(name).to_str().unwrap()]);
        assert!(
            said.to_lowercase().contains(&expected.to_lowercase()),
            "{name}: {said}"
        );
        assert_eq!(fs::read(&desk.database).unwrap(), before, "{name}");
    }
    let mut now = desk.names();
    now.retain(|name| name != "library.db.lock");
    assert_eq!(
        now,
        names
            .into_iter()
            .filter(|name| name != "library.db.lock")
            .collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_beside_the_log_of_the_database_that_it_replaced_is_not_opened() {
    let desk = Desk::new();
    let server = desk.serve().await;
    add_tags(&server, 0..2).await;
    let backup = desk.path("backup.db");
    desk.done(&["backup", backup.to_str().unwrap()]);
    add_tags(&server, 2..20).await;
    desk.kill(server).await;
    fs::copy(&backup, &desk.database).unwrap();
    for command in [
        &["epoch", "new"][..],
        &["export", "--sub", "ann"],
        &["migrate", "status"],
    ] {
        let said = desk.refused(command);
        assert!(
            said.contains("library.db-wal") && said.contains("restore"),
            "{said}"
        );
    }
    fs::remove_file(&desk.database).unwrap();
    let said = desk.refused(&["migrate", "up"]);
    assert!(said.contains("library.db-wal"), "{said}");
    desk.done(&["restore", backup.to_str().unwrap()]);
    let server = desk.serve().await;
    assert_eq!(head(&server).await.0, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_and_restore_leave_postgres_to_its_own_programs() {
    let database = TestDatabase::new(Db::Postgres).await;
    for command in ["backup", "restore"] {
        let (code, _, said) = run(&[command, "x.db", "--database-url", &database.url]);
        assert_eq!(code, Some(1));
        for named in ["pg_dump", "pg_restore", "epoch new"] {
            assert!(said.contains(named), "{said}");
        }
    }
}

#[test]
fn an_export_follows_no_link_and_replaces_only_regular_files() {
    let desk = Desk::new();
    let csv = desk.path("in.csv");
    fs::write(&csv, "title,url\nA,https://example.org/a\n").unwrap();
    desk.done(&["import", "--sub", "ann", csv.to_str().unwrap()]);
    let export = |name: &str| {
        let path = desk.path(name);
        desk.done(&[
            "export",
            "--sub",
            "ann",
            "--format",
            "csv",
            path.to_str().unwrap(),
        ])
    };
    let victim = desk.path("victim");
    fs::write(&victim, "precious").unwrap();

    symlink(&victim, desk.path("out.csv.part")).unwrap();
    export("out.csv");
    let exported = fs::read_to_string(desk.path("out.csv")).unwrap();
    assert!(exported.contains("https://example.org/a"), "{exported}");
    assert_eq!(mode(&desk.path("out.csv")), 0o600);
    symlink(&victim, desk.path("link.csv")).unwrap();
    export("link.csv");
    assert!(!desk.path("link.csv").is_symlink());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");

    let fifo = desk.path("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let reader = Command::new("cat")
        .arg(&fifo)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    export("fifo");
    let piped = finished(reader, DEADLINE).expect("the reader ends");
    assert_eq!(piped.stdout, exported.as_bytes());
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());

    let shown = program()
        .args([
            "export",
            "--sub",
            "ann",
            "--format",
            "csv",
            "/dev/stdout",
            "--database-url",
            &desk.url,
        ])
        .finish();
    assert_eq!(shown.stdout, exported.as_bytes(), "{shown:?}");
    export("/dev/null");
    assert!(
        fs::metadata("/dev/null")
            .unwrap()
            .file_type()
            .is_char_device()
    );

    fs::create_dir(desk.path("folder")).unwrap();
    let folder = desk.path("folder").display().to_string();
    desk.refused(&["export", "--sub", "ann", "--format", "csv", &folder]);
    let left: Vec<_> = desk
        .names()
        .into_iter()
        .filter(|name| name.starts_with(".library-sync"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
