//! Archives: an exported library imports to an equal one, with its history, or not at all.

use std::{fs, path::Path};

use fastrand::Rng;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    support::test_app::{
        TestApp, TestDatabase, TestUser, error_code, on_each_database, program, soon,
    },
    write_path::undo::{Run, assert_same, at},
};

/// Writes of a random program. A failure prints its seed; `LIBRARY_SYNC_TEST_SEED=<n>` repeats it.
const WRITES: usize = 80;

/// The export over HTTP, by an address of `exportLibrary`.
async fn download(user: &TestUser<'_>) -> String {
    let address = address(user).await;
    let response = soon(
        "the export",
        user.app.http.get(user.app.url(&address)).send(),
    )
    .await;
    let response = response.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let name = response.headers()["content-disposition"]
        .to_str()
        .unwrap()
        .to_owned();
    let length = response.content_length().unwrap();
    let text = soon("the body", response.text()).await.unwrap();
    assert_eq!(text.len() as u64, length);
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let library = &first["library"];
    let head = format!(
        "{}.{}",
        library["epoch"].as_str().unwrap(),
        library["version"]
    );
    assert_eq!(
        name,
        format!("attachment; filename=\"library-{head}.jsonl\"")
    );
    text
}

async fn address(user: &TestUser<'_>) -> String {
    let query = "mutation { exportLibrary(input: {}) { libraryVersion address expiresIn refusal { code } } }";
    let mut exported = user.ask(query, json!({})).await["exportLibrary"].take();
    assert_eq!(
        exported["libraryVersion"],
        user.version().await,
        "an export changes nothing"
    );
    assert_eq!(exported["expiresIn"], 30);
    let Value::String(address) = exported["address"].take() else {
        panic!("{exported}")
    };
    address
}

/// Runs a command on a database: whether it succeeded, and what it printed.
fn run(command: &str, file: &Path, database: &TestDatabase, more: &[&str]) -> (bool, String) {
    let output = program()
        .args([
            command,
            "--sub",
            "ann",
            file.to_str().unwrap(),
            "--database-url",
            &database.url,
        ])
        .args(more)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[track_caller]
fn must(command: &str, file: &Path, database: &TestDatabase) -> String {
    let (is_done, text) = run(command, file, database, &[]);
    assert!(is_done, "{command}: {text}");
    text
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

on_each_database! {
    async fn an_export_imports_to_an_equal_library_with_its_history(db: Db) {
        let seed = std::env::var("LIBRARY_SYNC_TEST_SEED");
        let seed = seed.map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a number"));
        // Shown only if the test fails.
        println!("LIBRARY_SYNC_TEST_SEED={seed}");
        let flags = ["--max-user-rate", "0", "--max-address-rate", "0"];
        let first = TestApp::start_with(db, &flags).await;
        let mut program = Run::new(first.user("ann"), Rng::with_seed(seed)).await;
        while program.snapshots.len() <= WRITES {
            program.step().await;
        }
        // Whatever the program left, there is a row of each kind.
        let ann = first.user("ann");
        let gone = ann.add("gone").await["progress"]["id"].take();
        ann.delete_progress(&gone).await;
        let tag = ann.create_tag("archived").await["tag"]["id"].take();
        let tagged = json!({"title": "tagged", "url": "https://example.org/tagged", "tagIds": [tag]});
        let tagged = ann.create_story(tagged).await["progress"]["id"].take();
        ann.mutate("opened", "OpenedInput", json!({"progressId": tagged}), "").await;
        first.library.save_uses().await.unwrap();
        first.user("bob").add("of another user").await;
        let exported = download(&first.user("ann")).await;
        for kind in ["tag", "story", "progress", "usage", "story_tag", "tombstone", "write", "field_change"] {
            assert!(exported.contains(&format!("\n{{\"{kind}\":{{")), "the program made a {kind}");
        }
        assert!(!exported.contains("of another user"));

        let folder = TempDir::new().unwrap();
        let [file, again] = ["library.jsonl", "again.jsonl"].map(|name| folder.path().join(name));
        must("export", &file, &first.db);
        assert_eq!(fs::read_to_string(&file).unwrap(), exported, "the command writes what the route sends");

        let database = TestDatabase::new(db).await;
        must("import", &file, &database);
        must("export", &again, &database);
        assert_eq!(fs::read_to_string(&again).unwrap(), exported);

        // The same lines, as a program writes them that adds spaces.
        let spaced = folder.path().join("spaced.jsonl");
        fs::write(&spaced, exported.replacen("{\"library\":{\"format\":", "{ \"library\": {\"format\" : ", 1)).unwrap();
        must("import", &spaced, &TestDatabase::new(db).await);

        let second = TestApp::start_on(database, &flags).await;
        let ann = second.user("ann");
        assert_eq!(ann.head().await, first.user("ann").head().await);
        let warm = "{ warm(first: 5) { id } }";
        assert_eq!(ann.ask(warm, json!({})).await, first.user("ann").ask(warm, json!({})).await);
        for (version, snapshot) in &program.snapshots {
            assert_same(&at(&ann, *version).await, snapshot, &format!("version {version}"));
        }
        // The last write is undone by the history that came with it, and the search keys were computed again.
        let (last, _) = program.snapshots.last_key_value().unwrap();
        let undone = ann.mutate("undo", "UndoInput", json!({"version": last}), "changedRowCount").await;
        assert_eq!(undone["refusal"], Value::Null);
        let search = "query ($text: String!) { progresses(filter: {search: $text}) { nodes { story { title } } } }";
        ann.create_story(json!({"title": "the first after the import", "url": "https://example.org/after"})).await;
        for (app, text) in [(&first, "1"), (&second, "1"), (&second, "AFTER the")] {
            let found = app.user("ann").ask(search, json!({"text": text})).await;
            let found = found["progresses"]["nodes"].as_array().unwrap().len();
            assert!(found > 0 || text == "1");
        }
    }

    async fn an_import_never_lowers_the_epoch_of_a_user_who_was_there_first(db: Db) {
        let first = TestApp::start(db).await;
        first.user("ann").add("A").await;
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("library.jsonl");
        must("export", &file, &first.db);
        let second = TestApp::start(db).await;
        let before = second.user("ann").head().await;
        let mut stream = second.user("ann").watch().await;
        stream.until(1).await;
        must("import", &file, &second.db);
        let epoch = |head: &str| head.split('.').next().unwrap().parse::<i64>().unwrap();
        let after = second.user("ann").head().await;
        assert!(epoch(&after) > epoch(&before) && after.ends_with(".2"), "{before} {after}");
        let history = second.user("ann").ask("{ history { nodes { version } } }", json!({})).await;
        assert_eq!(history["history"]["nodes"], json!([{"version": 2}]));
    }

    async fn an_archive_that_breaks_a_rule_changes_nothing_and_is_told_by_its_line(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let tag = ann.create_tag("Fluff").await["tag"]["id"].take();
        ann.create_story(json!({"title": "A", "url": "https://example.org/a", "tagIds": [tag]})).await;
        let sound = lines(&download(&ann).await);
        let place = |kind: &str| sound.iter().position(|line| line.get(kind).is_some()).unwrap();
        let (story, link, end) = (place("story"), place("story_tag"), place("end"));
        let with = |at: usize, member: &str, field: &str, value: Value| {
            let mut lines = sound.clone();
            lines[at][member][field] = value;
            lines
        };
        let without = |at: usize| {
            let mut lines = sound.clone();
            lines.remove(at);
            lines
        };
        let database = TestDatabase::new(db).await;
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("library.jsonl");
        for (archive, line, message) in [
            (with(0, "library", "format", json!(2)), 1, "format 2 is not supported"),
            (with(0, "library", "epoch", json!("9000000000000000")), 1, "epoch must be"),
            (with(story, "story", "stamp", json!(99)), story + 1, "story.stamp: must be from 0 to"),
            (with(story, "story", "id", json!("1")), story + 1, "story.id: must be a UUID"),
            (with(story, "story", "title", json!("x".repeat(501))), story + 1, "story.title: must be text"),
            (with(story, "story", "user_id", json!("bob")), story + 1, "story.user_id: is not a column"),
            (with(link, "story_tag", "tag_id", json!("00000000-0000-4000-8000-000000000000")), link + 1, "breaks a rule of its table"),
            (with(end, "end", "rows", json!(7)), end + 1, "is not what its end says"),
            (without(story), story + 1, "breaks a rule of its table"),
            (without(end), end + 1, "the file was cut off"),
        ] {
            fs::write(&file, text(&archive)).unwrap();
            let (is_done, told) = run("import", &file, &database, &[]);
            assert!(!is_done && told.contains(message) && told.contains(&format!("line {line}: ")), "{message}: {told}");
        }
        fs::write(&file, text(&sound)).unwrap();
        let (is_done, told) = run("import", &file, &database, &["--dry-run"]);
        assert!(is_done && told.contains("would be imported"), "{told}");
        must("import", &file, &database);
        let (is_done, told) = run("import", &file, &database, &[]);
        assert!(!is_done && told.contains("is not empty"), "{told}");
    }

    async fn an_address_of_an_export_works_once_and_for_nothing_else(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        ann.add("A").await;
        let get = async |path: &str| {
            let response = soon("an answer", app.http.get(app.url(path)).send()).await.unwrap();
            (response.status().as_u16(), soon("a body", response.text()).await.unwrap())
        };
        let head = address(&ann).await;
        let response = soon("HEAD", app.http.head(app.url(&head)).send()).await.unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["content-disposition"]), (200, &"attachment".parse().unwrap()));
        assert_eq!(get(&head).await.0, 200, "HEAD does not redeem a ticket");
        let (status, body) = get(&head).await;
        assert_eq!((status, error_code(&serde_json::from_str(&body).unwrap())), (401, &json!("UNAUTHENTICATED")));
        let stream = address(&ann).await.replace("library-export", "library-version-events");
        assert_eq!(get(&stream).await.0, 401);
        let ticket = ann.ask("mutation { createStreamTicket(input: {}) { ticket } }", json!({})).await;
        let ticket = ticket["createStreamTicket"]["ticket"].as_str().unwrap();
        assert_eq!(get(&format!("/api/library-export?ticket={ticket}")).await.0, 401);
        assert_eq!(get("/api/library-export").await.0, 401);
        let export = app.http.get(app.url("/api/library-export")).bearer_auth(&ann.token);
        let export = soon("an export by token", export.send()).await.unwrap();
        assert_eq!(export.status(), 200);
        for _ in 0..30 {
            address(&ann).await;
        }
        let refused = ann.ask("mutation { exportLibrary(input: {}) { address refusal { code } } }", json!({})).await;
        assert_eq!(refused["exportLibrary"], json!({"address": null, "refusal": {"code": "LIMIT_REACHED"}}));
    }
}

/// The first line of an archive as the server writes it.
fn header(line: &Value) -> String {
    let library = &line["library"];
    format!(
        r#"{{"library":{{"format":{},"epoch":{},"version":{},"floor":{}}}}}"#,
        library["format"], library["epoch"], library["version"], library["floor"]
    )
}

/// The text of an archive, which begins as the server's, whatever the order of the members.
fn text(archive: &[Value]) -> String {
    let rest = archive[1..].iter().map(Value::to_string);
    let lines: Vec<_> = [header(&archive[0])].into_iter().chain(rest).collect();
    lines.join("\n") + "\n"
}
