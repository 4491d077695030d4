//! Many entries at once: `importLibrary`, and files in and out by `library-sync import` and `export`.

use std::{fs, io::Write as _, path::Path, process::Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::programs::{Finish as _, finished};
use crate::support::test_app::{
    DEADLINE, TestApp, TestDatabase, TestProcess, TestUser, on_each_database, program, repository,
};

const FIELDS: &str = "importedCount duplicateCount invalidCount outcomes { index status storyId progressId field message }";

async fn import(user: &TestUser<'_>, input: Value) -> Value {
    user.mutate("importLibrary", "ImportLibraryInput", input, FIELDS)
        .await
}

fn entry(title: &str) -> Value {
    json!({"title": title, "url": format!("https://example.org/{}", Uuid::now_v7())})
}

fn but(wrong: Value) -> Value {
    let mut entry = entry("A");
    entry
        .as_object_mut()
        .unwrap()
        .extend(wrong.as_object().unwrap().clone());
    entry
}

/// Entries that are hard to write in a file.
fn awkward() -> Vec<Value> {
    let full = json!({
        "title": "Comma, \"quote\"; 'apostrophe' \\ 🙂", "author": "=1+1", "source": "FANFICTION_NET", "publicationStatus": "HIATUS",
        "description": "line one\nline two\r\n\ttabbed\r", "summary": "  ", "chapterCount": 0, "wordCount": i32::MAX,
        "isNsfw": true, "tags": ["a; b", "c\\", "\\;", "d, \"e\"", "ünï"], "fandoms": ["true", "7"],
        "readingStatus": "DROPPED", "currentChapter": 12, "rating": 4.3, "notes": "\"\n,\";",
    });
    let empty = json!({"description": "", "summary": "", "notes": "", "rating": 0.0});
    let numbers = json!({"title": "1984", "author": "null", "notes": "NULL", "rating": 5.0});
    let many = (0..20).map(|n| entry(&format!("entry {}", (n * 7) % 20)));
    [but(full), but(empty), but(numbers), entry("-"), entry("[]")]
        .into_iter()
        .chain(many)
        .collect()
}

/// Runs the program to its end: exit code, standard output, standard error.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = program().args(arguments).finish();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn import_file(database: &TestDatabase, sub: &str, file: &Path) -> (Option<i32>, String, String) {
    let file = file.to_str().unwrap();
    run(&[
        "import",
        "--sub",
        sub,
        file,
        "--database-url",
        &database.url,
    ])
}

fn export(database: &TestDatabase, sub: &str, format: &str) -> String {
    let (code, out, error) = run(&[
        "export",
        "--sub",
        sub,
        "--format",
        format,
        "--database-url",
        &database.url,
    ]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    out
}

on_each_database! {
    async fn an_import_is_one_step_and_tells_what_became_of_each_entry(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        ann.create_tag("Fluff").await;
        let there = ann.create_story(json!({"title": "there", "url": "https://example.org/there"})).await["progress"].take();
        let entries = json!([
            {"title": " A ", "url": "https://www.royalroad.com/fiction/1", "tags": ["fluff", "New", "new", "FLUFF"], "fandoms": ["Dune"], "notes": "n", "rating": 4.5},
            {"title": "B", "url": "https://example.org/there"},
            {"title": "C", "url": " https://www.royalroad.com/fiction/1 ", "tags": ["of a duplicate"]},
            {"title": "D", "url": "nowhere", "tags": ["of an invalid one"]},
            {"title": "E", "url": "https://example.org/e", "tags": ["NEW"], "readingStatus": "COMPLETED", "publicationStatus": "ABANDONED"},
        ]);
        let done = import(&ann, json!({"entries": entries})).await;
        assert_eq!((&done["libraryVersion"], &done["importedCount"], &done["duplicateCount"], &done["invalidCount"]), (&json!(4), &json!(2), &json!(2), &json!(1)));
        let outcomes = &done["outcomes"];
        let statuses: Vec<_> = (0..5).map(|n| outcomes[n]["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, ["IMPORTED", "DUPLICATE", "DUPLICATE", "INVALID", "IMPORTED"]);
        assert_eq!((&outcomes[1]["storyId"], &outcomes[1]["progressId"]), (&there["story"]["id"], &there["id"]));
        assert_eq!((&outcomes[2]["storyId"], &outcomes[2]["field"]), (&outcomes[0]["storyId"], &json!("url")));
        assert_eq!((&outcomes[3]["index"], &outcomes[3]["storyId"], &outcomes[3]["field"]), (&json!(3), &json!(null), &json!("url")));

        let query = "query ($id: ID!) { progress(id: $id) { stamp readingStatus rating notes story { stamp title source publicationStatus tags { name } fandoms { name } } } tags { name stamp storyCount } }";
        let first = ann.ask(query, json!({"id": outcomes[0]["progressId"]})).await;
        assert_eq!(first["progress"], json!({
            "stamp": 4, "readingStatus": "NOT_STARTED", "rating": 4.5, "notes": "n",
            "story": {"stamp": 4, "title": "A", "source": "ROYAL_ROAD", "publicationStatus": "ONGOING", "tags": [{"name": "Fluff"}, {"name": "New"}], "fandoms": [{"name": "Dune"}]},
        }));
        assert_eq!(first["tags"], json!([{"name": "Fluff", "stamp": 2, "storyCount": 1}, {"name": "New", "stamp": 4, "storyCount": 2}]));
        let last = ann.ask(query, json!({"id": outcomes[4]["progressId"]})).await;
        assert_eq!((&last["progress"]["readingStatus"], &last["progress"]["story"]["publicationStatus"]), (&json!("COMPLETED"), &json!("ABANDONED")));
    }

    async fn an_entry_that_breaks_a_rule_is_told_by_its_field(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let long = |n: usize| "é".repeat(n);
        let names: Vec<_> = (0..101).map(|n| n.to_string()).collect();
        let wrong = [
            ("title", json!({"title": " "})),
            ("title", json!({"title": "two\nlines"})),
            ("url", json!({"url": "ftp://example.org"})),
            ("author", json!({"author": long(201)})),
            ("description", json!({"description": long(10_001)})),
            ("summary", json!({"summary": "nul \0"})),
            ("chapterCount", json!({"chapterCount": -1})),
            ("wordCount", json!({"wordCount": -1})),
            ("tags", json!({"tags": [""]})),
            ("tags", json!({"tags": names})),
            ("fandoms", json!({"fandoms": [long(101)]})),
            ("currentChapter", json!({"currentChapter": -1})),
            ("rating", json!({"rating": 5.1})),
            ("notes", json!({"notes": long(10_001)})),
        ];
        let entries: Vec<_> = wrong.iter().map(|(_, wrong)| but(wrong.clone())).collect();
        let done = import(&ann, json!({"entries": entries})).await;
        for (n, (field, wrong)) in wrong.iter().enumerate() {
            let outcome = &done["outcomes"][n];
            assert_eq!((&outcome["status"], &outcome["field"]), (&json!("INVALID"), &json!(field)), "{wrong}");
        }
        assert_eq!((&done["invalidCount"], &done["libraryVersion"]), (&json!(wrong.len()), &json!(1)));
    }

    async fn an_import_of_nothing_new_changes_nothing(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        assert_eq!(import(&ann, json!({"entries": []})).await["libraryVersion"], 1);
        let entries = json!([entry("A"), entry("B")]);
        assert_eq!(import(&ann, json!({"entries": entries})).await["libraryVersion"], 2);
        let mut again = entries.clone();
        again[0]["tags"] = json!(["new"]);
        let done = import(&ann, json!({"entries": again})).await;
        assert_eq!((&done["duplicateCount"], &done["libraryVersion"]), (&json!(2), &json!(2)));
        assert_eq!(ann.ask("{ tags { id } }", json!({})).await, json!({"tags": []}));
    }

    async fn an_import_that_is_sent_again_is_answered_as_before(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let input = json!({"entries": [entry("A"), but(json!({"rating": 9.0}))], "idempotencyKey": "import-1"});
        let first = import(&ann, input.clone()).await;
        ann.add("B").await;
        assert_eq!(import(&ann, input).await, first);
        let other = json!({"entries": [entry("C")], "idempotencyKey": "import-1"});
        let refused = import(&ann, other).await;
        assert_eq!((&refused["refusal"]["code"], &refused["outcomes"]), (&json!("IDEMPOTENCY_KEY_REUSED"), &json!([])));
        assert_eq!(ann.version().await, 3);
    }

    async fn another_users_urls_and_labels_are_not_met(db: Db) {
        let app = TestApp::start(db).await;
        let input = json!({"entries": [but(json!({"tags": ["t"], "fandoms": ["f"]}))]});
        for user in ["ann", "bob"] {
            let done = import(&app.user(user), input.clone()).await;
            assert_eq!((&done["importedCount"], &done["libraryVersion"]), (&json!(1), &json!(2)));
        }
    }

    async fn five_thousand_entries_are_one_step_in_a_few_statements_and_one_more_is_refused(db: Db) {
        let database = TestDatabase::new(db).await;
        let server = TestProcess::serve(&database.url, &[]).await;
        let mut entries: Vec<_> = (0..5_000).map(|n| {
            let tags = [format!("tag {}", n % 1_500), "all".to_owned()];
            json!({
                "title": format!("The Long and Winding Story of Number {n}"), "author": "A Writer of Some Renown",
                "url": format!("https://archiveofourown.org/works/{n}/chapters/{n}"), "tags": tags, "fandoms": ["A World of Wonders"],
                "readingStatus": "READING", "currentChapter": n, "chapterCount": n, "wordCount": 100 * n, "rating": 4.5,
                "notes": "Begun on the train; the third chapter is the best.",
            })
        }).collect();
        let mutation = "mutation ($input: ImportLibraryInput!) { importLibrary(input: $input) { libraryVersion importedCount outcomes { status } } }";
        let before = server.counter("library_sync_db_statements_total").await;
        let done = server.send("ann", mutation, json!({"input": {"entries": entries}})).await.unwrap();
        let statements = server.counter("library_sync_db_statements_total").await - before;
        let done = &done["data"]["importLibrary"];
        assert_eq!((&done["importedCount"], &done["libraryVersion"]), (&json!(5_000), &json!(2)));
        // A thousand rows a statement: 5 for urls, 6 for labels, 5 for stories, 5 for progresses, 15 for links.
        assert!(statements < 50.0, "{statements}");

        entries.push(entry("one more"));
        let refused = server.send("ann", mutation, json!({"input": {"entries": entries}})).await.unwrap();
        let extensions = &refused["errors"][0]["extensions"];
        assert_eq!((&extensions["code"], &extensions["field"]), (&json!("BAD_USER_INPUT"), &json!("entries")));
    }

    async fn what_is_exported_imports_to_the_same(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        for some in awkward().chunks(9) {
            let done = import(&ann, json!({"entries": some})).await;
            assert_eq!(done["importedCount"], some.len(), "{done}");
        }
        let folder = TempDir::new().unwrap();
        let csv = export(&app.db, "ann", "csv");
        let json = export(&app.db, "ann", "json");
        for (format, exported) in [("csv", &csv), ("json", &json)] {
            let file = folder.path().join(format!("library.{format}"));
            fs::write(&file, exported).unwrap();
            let (code, out, error) = import_file(&app.db, format, &file);
            assert_eq!((code, error), (Some(0), format!("form: {format}\n")));
            assert!(out.starts_with("25 of 25 entries added, 0 there already, 0 refused"), "{out}");
            assert!(&export(&app.db, format, format) == exported, "{format} of {format}");
            assert!(export(&app.db, format, "csv") == csv, "csv of {format}");
        }

        // And nothing is lost on the way: what the two see is the same, in the order in which it was added.
        let see = "{ progresses(first: 100, orderBy: {field: CREATED_AT, direction: ASC}) { nodes { readingStatus currentChapter rating notes story { title author url source publicationStatus description summary chapterCount wordCount isNsfw tags { name } fandoms { name } } } } }";
        let hers = ann.ask(see, json!({})).await;
        assert_eq!(hers["progresses"]["nodes"].as_array().unwrap().len(), 25);
        assert_eq!(app.user("json").ask(see, json!({})).await, hers);
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap()[0]["tags"], json!(["\\;", "a; b", "c\\", "d, \"e\"", "ünï"]));
    }

    async fn refused_rows_and_empty_cells_are_reported_by_their_lines(db: Db) {
        let database = TestDatabase::new(db).await;
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("shelf.csv");
        let csv = "title,author,url,chapters,rating,shelf\r\nA,B,https://example.org/a,3,4.5,x\r\n\r\nB,,nowhere,,,\r\nC,,https://example.org/c,many,,\r\nD,,https://example.org/a,,,\r\nE,,https://example.org/e,,9,\r\n";
        fs::write(&file, csv).unwrap();
        let (code, out, error) = import_file(&database, "ann", &file);
        assert_eq!(code, Some(0), "{error}");
        assert_eq!(out, "3 of 5 entries added, 1 there already, 1 refused; the library of ann is at version 2\n");
        let told: Vec<_> = error.lines().map(|line| line.split(": ").take(3).collect::<Vec<_>>().join(": ")).collect();
        assert_eq!(told, ["form: csv", "ignored columns: shelf", "line 4: refused: url", "line 5: warning: chapters", "line 7: warning: rating"]);

        fs::write(&file, "title,url\nA,nowhere\n").unwrap();
        let (code, _, error) = import_file(&database, "ann", &file);
        assert_eq!(code, Some(1), "nothing is sound");
        assert!(error.contains("has no valid entry"), "{error}");
    }

    async fn the_sample_imports_as_it_is_and_again_changes_nothing(db: Db) {
        let database = TestDatabase::new(db).await;
        let sample = repository().join("src/commands/sample_library.csv");
        let (code, out, error) = import_file(&database, "ann", &sample);
        assert_eq!((code, error.as_str()), (Some(0), "form: csv\n"));
        assert_eq!(out, "61 of 61 entries added, 0 there already, 0 refused; the library of ann is at version 2\n");
        let (_, out, _) = import_file(&database, "ann", &sample);
        assert_eq!(out, "0 of 61 entries added, 61 there already, 0 refused; the library of ann is at version 2\n");
        assert!(export(&database, "ann", "csv").contains("Pride and Prejudice,Jane Austen,https://www.gutenberg.org/ebooks/1342,OTHER,ONGOING,,,61,"));
    }

    async fn more_than_a_step_holds_are_several_steps(db: Db) {
        let database = TestDatabase::new(db).await;
        let csv = (0..1_001).fold("title,url\n".to_owned(), |csv, n| csv + &format!("{n},https://example.org/{n}\n"));
        let mut import = program()
            .args(["import", "--sub", "ann", "-", "--database-url", &database.url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        import.stdin.take().unwrap().write_all(csv.as_bytes()).unwrap();
        let output = finished(import, DEADLINE).expect("the import ends");
        let out = String::from_utf8(output.stdout).unwrap();
        assert_eq!(out, "1001 of 1001 entries added, 0 there already, 0 refused; the library of ann is at version 3\n");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "form: csv\n", "the bar is for terminals");
    }

    async fn what_an_export_leaves_out_is_told(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        import(&ann, json!({"entries": [but(json!({"tags": ["on a story"], "fandoms": ["f"]}))]})).await;
        let export = || run(&["export", "--sub", "ann", "--database-url", &app.db.url]);
        let (code, whole, error) = export();
        assert_eq!((code, error.as_str()), (Some(0), ""));
        ann.create_tag("on none").await;
        ann.mutate("createFandom", "CreateLabelInput", json!({"name": "g"}), "").await;
        app.user("bob").create_tag("his").await;
        let (code, out, error) = export();
        assert_eq!((code, out, error.as_str()), (Some(0), whole, "omitted 2 unused tags and fandoms\n"));
    }

    async fn what_cannot_be_read_or_is_nobodys_is_refused(db: Db) {
        let database = TestDatabase::new(db).await;
        let folder = TempDir::new().unwrap();
        let path = |name: &str, content: &str| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        import_file(&database, "bob", &path("sound.csv", "title,url\nA,https://example.org/a\n"));
        for (file, what) in [
            (path("a.json", "{"), "cannot read"),
            (path("b.csv", "name,link\nA,https://example.org/a\n"), "names no column `title`"),
            (path("c.txt", ""), "no first row"),
            (folder.path().join("none.csv"), "cannot read"),
        ] {
            let (code, _, error) = import_file(&database, "ann", &file);
            assert_eq!(code, Some(1), "{error}");
            assert!(error.contains(what), "{error}");
        }
        let (code, _, error) = run(&["export", "--sub", "nobody", "--database-url", &database.url]);
        assert_eq!(code, Some(1));
        assert!(error.contains("the user nobody does not exist"), "{error}");
        let (code, _, error) = run(&["import", "--sub", "ann", "a.csv"]);
        assert_eq!(code, Some(1));
        assert!(error.contains("cannot read") || error.contains("--database-url"), "{error}");
    }

    async fn an_export_goes_to_a_file_by_its_ending(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        assert_eq!(ann.version().await, 1);
        let folder = TempDir::new().unwrap();
        for (name, empty) in [("a.csv", "title,author,url,source,"), ("a.JSON", "[]\n")] {
            let file = folder.path().join(name);
            let (code, out, error) = run(&["export", "--sub", "ann", file.to_str().unwrap(), "--database-url", &app.db.url]);
            assert_eq!((code, out.as_str(), error.as_str()), (Some(0), "", ""));
            assert!(fs::read_to_string(&file).unwrap().starts_with(empty));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no part is left");
    }
}
