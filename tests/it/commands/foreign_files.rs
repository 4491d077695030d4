//! Files of other programs, in the forms that those programs document, and what people make of tables.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::programs::Finish as _;
use crate::support::test_app::{TestDatabase, on_each_database, program, repository};

struct Run {
    code: Option<i32>,
    out: String,
    error: String,
}

fn run(arguments: &[&str]) -> Run {
    let output = program().args(arguments).finish();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run {
        code: output.status.code(),
        out: text(output.stdout),
        error: text(output.stderr),
    }
}

fn import(database: &TestDatabase, sub: &str, file: &Path, flags: &[&str]) -> Run {
    let file = file.to_str().unwrap();
    let fixed = [
        "import",
        "--sub",
        sub,
        file,
        "--database-url",
        &database.url,
    ];
    run(&[&fixed[..], flags].concat())
}

/// Imports the bytes of a file, which must succeed, and returns what was reported.
fn import_bytes(database: &TestDatabase, sub: &str, bytes: &[u8]) -> Run {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file.csv");
    fs::write(&file, bytes).unwrap();
    let done = import(database, sub, &file, &[]);
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.error);
    done
}

fn export(database: &TestDatabase, sub: &str, flags: &[&str]) -> String {
    let fixed = ["export", "--sub", sub, "--database-url", &database.url];
    let done = run(&[&fixed[..], flags].concat());
    assert_eq!(done.code, Some(0), "{}", done.error);
    done.out
}

/// The entries of a library by title, without what is null, empty or as by default.
fn entries(database: &TestDatabase, sub: &str) -> BTreeMap<String, Value> {
    let entries: Vec<Value> =
        serde_json::from_str(&export(database, sub, &["--format", "json"])).unwrap();
    let plain = |mut entry: Value| {
        let fields = entry.as_object_mut().unwrap();
        let defaults = json!({
            "source": "OTHER", "publicationStatus": "ONGOING", "isNsfw": false, "tags": [], "fandoms": [],
            "readingStatus": "NOT_STARTED", "currentChapter": 0,
        });
        fields.retain(|name, value| !value.is_null() && defaults.get(name) != Some(value));
        let title = fields.remove("title").unwrap();
        (title.as_str().unwrap().to_owned(), entry)
    };
    entries.into_iter().map(plain).collect()
}

on_each_database! {
    async fn exports_of_other_programs_come_in_with_what_they_hold(db: Db) {
        let database = TestDatabase::new(db).await;
        let ao3 = "ARCHIVE_OF_OUR_OWN";
        for (file, form, expected) in [
            ("ao3.csv", "ao3", json!({
                "A Tower of Salt": {
                    "author": "made_up_author", "url": "https://archiveofourown.org/works/910001", "source": ao3, "wordCount": 54_321,
                    "tags": ["Angst", "Eve", "Eve & Finn", "Finn", "Gen", "No Archive Warnings Apply", "Slow Burn"],
                    "fandoms": ["Made-up Saga - All Media Types", "Second Book (TV)"],
                },
                "Snow, and Before": {
                    "author": "one, two", "url": "https://archiveofourown.org/works/910002", "source": ao3, "wordCount": 1_002, "isNsfw": true,
                    "tags": ["Choose Not To Use Archive Warnings", "Eve", "F/M", "Fluff"], "fandoms": ["Made-up Saga"],
                },
                "A Row of Stories": {
                    "author": "Anonymous", "url": "https://archiveofourown.org/series/78", "source": ao3, "isNsfw": true, "fandoms": ["Made-up Saga"],
                },
            })),
            ("goodreads.csv", "goodreads", json!({
                "The Salt Gate (Gates, #2)": {
                    "author": "Eve Sample, Finn Sample", "url": "https://www.goodreads.com/book/show/910003", "publicationStatus": "COMPLETED", "rating": 4.0,
                    "tags": ["fantasy", "to-reread"], "readingStatus": "COMPLETED", "notes": "Good,\nvery good\n\nlent to Finn",
                },
                "A Third Book": {"author": "Finn Sample", "url": "https://www.goodreads.com/book/show/910004", "publicationStatus": "COMPLETED", "tags": ["to-read"]},
                "A Shelf of My Own": {
                    "author": "Finn Sample", "url": "https://www.goodreads.com/book/show/910005", "publicationStatus": "COMPLETED", "rating": 3.0, "tags": ["someday"],
                },
            })),
            ("storygraph.csv", "storygraph", json!({
                "The Invented Gate": {
                    "author": "Ann Example, Bob Example", "url": "urn:isbn:9780000000001", "publicationStatus": "COMPLETED", "rating": 4.8,
                    "tags": ["cozy", "dark", "hopeful", "to-reread"], "readingStatus": "COMPLETED", "notes": "Lovely.\nMade me want \"tea\".",
                },
                "Some Web Novel": {
                    "author": "Cara Example", "url": "urn:x-library-sync:storygraph:a1b2-c3d4", "publicationStatus": "COMPLETED", "readingStatus": "READING",
                },
                "Another One": {
                    "author": "Dan Example", "url": "urn:x-library-sync:book:dan%20example:another%20one", "publicationStatus": "COMPLETED", "rating": 2.0,
                    "readingStatus": "DROPPED",
                },
            })),
            ("calibre.csv", "calibre", json!({
                "The Salt Gate": {
                    "author": "Eve Sample", "url": "https://archiveofourown.org/works/910006", "source": ao3, "publicationStatus": "COMPLETED", "rating": 4.0,
                    "description": "Blurb over\ntwo lines", "tags": ["Completed", "FanFiction", "Made-up Saga"],
                },
            })),
            ("calibre.json", "calibre", json!({
                "The Invented Gate": {
                    "author": "Ann Example, Bob Example", "url": "https://archiveofourown.org/works/900005", "source": ao3, "publicationStatus": "COMPLETED",
                    "rating": 4.0, "description": "Blurb over\ntwo lines", "tags": ["Completed", "FanFiction", "Fluff, and More"], "wordCount": 120_000,
                },
                "A Printed Book": {"author": "Cara Example", "url": "urn:isbn:9780000000002"},
                "A File": {"author": "Dan Example", "url": "urn:uuid:00000000-0000-4000-8000-000000000003"},
            })),
            ("fanficfare.json", "fanficfare", json!({
                "A Lamp in the Marsh": {
                    "author": "invented_author", "url": "https://archiveofourown.org/works/900001", "source": ao3, "chapterCount": 12,
                    "wordCount": 12_345, "isNsfw": true, "description": "A lamp & a marsh.", "fandoms": ["Invented Saga", "Other Book"],
                    "tags": ["Ann", "Ann/Bob", "Bob", "Fluff", "No Archive Warnings Apply"],
                },
            })),
        ] {
            let path = repository().join("tests/imports").join(file);
            let done = import(&database, file, &path, &[]);
            assert_eq!(done.code, Some(0), "{file}: {}", done.error);
            assert!(done.error.starts_with(&format!("form: {form}\n")), "{file}: {}", done.error);
            let expected: BTreeMap<String, Value> = serde_json::from_value(expected).unwrap();
            assert_eq!(entries(&database, file), expected, "{file}");
            // Once more under its name, and nothing is new.
            let again = import(&database, file, &path, &["--from", form]);
            let all = expected.len();
            assert!(again.out.starts_with(&format!("0 of {all} entries added, {all} there already")), "{file}: {}", again.out);
        }
    }

    async fn a_dry_run_shows_every_row_and_writes_nothing(db: Db) {
        let database = TestDatabase::new(db).await;
        import_bytes(&database, "ann", b"title,url\nThere,https://e.example/there\n");
        let before = export(&database, "ann", &[]);
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("file.csv");
        fs::write(&file, "title,url,rating,readingStatus\nNew,https://e.example/new,4.25,read\nThere,https://E.example/there,,\nBad,nowhere,,\nTwice,https://e.example/new,,\n").unwrap();
        let done = import(&database, "ann", &file, &["--dry-run"]);
        assert_eq!(done.code, Some(0), "{}", done.error);
        let rows: Vec<Vec<_>> = done.out.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["LINE", "OUTCOME", "TITLE", "AUTHOR", "ADDRESS", "READING", "REMARKS"]);
        assert_eq!(rows[1][..4], ["2", "new", "New", "https://e.example/new"]);
        assert!(done.out.lines().nth(1).unwrap().ends_with("completed    rating: `4.25` was rounded to 4.3"), "{}", done.out);
        let outcomes: Vec<_> = rows[1..5].iter().map(|row| row[1]).collect();
        assert_eq!(outcomes, ["new", "there", "refused", "there"]);
        assert_eq!(done.out.lines().last(), Some("dry run: 1 of 4 entries would be added, 2 there already, 1 refused; nothing was written"));
        assert_eq!(export(&database, "ann", &[]), before);
        let nobody = import(&database, "nobody", &file, &["--dry-run"]);
        assert_eq!(nobody.code, Some(0), "{}", nobody.error);
        let export = run(&["export", "--sub", "nobody", "--database-url", &database.url]);
        assert!(export.error.contains("the user nobody does not exist"), "{}", export.error);
    }

    async fn tables_are_read_however_a_spreadsheet_saved_them(db: Db) {
        let database = TestDatabase::new(db).await;
        let text = "title,url,tags,notes\r\nOne 📚,https://e.example/b1,a; b,é\r\n\"Two, \"\"quoted\"\"\r\nline\",https://e.example/b2,c,\r\n";
        let utf_16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        let semicolons = text.replace(',', ";").replace("a; b", "\"a; b\"").replace("Two;", "Two,");
        let files: [(&str, Vec<u8>); 7] = [
            ("utf-8", text.as_bytes().to_vec()),
            ("utf-8 with a mark", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
            ("utf-16le", [&b"\xff\xfe"[..], &utf_16(u16::to_le_bytes)].concat()),
            ("utf-16be", [&b"\xfe\xff"[..], &utf_16(u16::to_be_bytes)].concat()),
            ("semicolons", semicolons.as_bytes().to_vec()),
            ("a named separator", format!("sep=;\r\n{semicolons}").into_bytes()),
            ("tabs", text.replace("Two, ", "Two\u{1}").replace(',', "\t").replace('\u{1}', ", ").into_bytes()),
        ];
        let mut first = None;
        for (name, bytes) in files {
            import_bytes(&database, name, &bytes);
            let found = entries(&database, name);
            assert_eq!(found["One 📚"]["tags"], json!(["a", "b"]), "{name}");
            assert!(found.contains_key("Two, \"quoted\" line"), "{name}: {found:?}");
            assert_eq!(first.get_or_insert_with(|| found.clone()), &found, "{name}");
        }
        let latin = import_bytes(&database, "latin", b"title,url\nCaf\xe9,https://e.example/c\n");
        assert!(latin.error.contains("read as windows-1252"), "{}", latin.error);
        assert!(entries(&database, "latin").contains_key("Café"));
    }

    async fn a_file_that_would_lose_rows_is_refused_whole(db: Db) {
        let database = TestDatabase::new(db).await;
        import_bytes(&database, "bob", b"title,url\nA,https://e.example/y1\n");
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("file.csv");
        for (text, what) in [
            ("title,url,notes\nA,https://e.example/y1,\"good read\nB,https://e.example/y2,fine\n", "line 2: a quote opens here and is never closed"),
            ("title,url,notes\nA,https://e.example/y1,\"good \"read\" it\"\n", "line 2: a quote opens here and is closed within a cell"),
            ("title,url,tags,tags\nA,https://e.example/y1,a,b\n", "two columns hold the same: `tags` and `tags`"),
            ("name,url\nA,https://e.example/y1\n", "no column `title`"),
        ] {
            fs::write(&file, text).unwrap();
            let done = import(&database, "ann", &file, &[]);
            assert_eq!(done.code, Some(1), "{}", done.out);
            assert!(done.error.contains(what), "{}", done.error);
        }
        let export = run(&["export", "--sub", "ann", "--database-url", &database.url]);
        assert!(export.error.contains("the user ann does not exist"), "{}", export.error);
    }

    async fn numbers_are_read_as_people_write_them_and_never_cost_a_row(db: Db) {
        let database = TestDatabase::new(db).await;
        let done = import_bytes(&database, "ann", b"title,url,chapters,wordCount,rating,currentChapter,isNsfw,publicationStatus\n\
            A,https://e.example/o1,12/?,\"12,345\",4,3,TRUE,In-Progress\n\
            C,https://e.example/o3,12,12345,\"4,5\",3,1,Complete\n\
            D,https://e.example/o4,12/12,1.2e4,4/5,,no,\n\
            E,https://e.example/o5,,,4.25,,,\n\
            F,https://e.example/o6, 7 ,,Mature, 2 ,perhaps,someday\n");
        assert!(done.out.starts_with("5 of 5 entries added"), "{}", done.out);
        let found = entries(&database, "ann");
        assert_eq!(found["A"], json!({"author": "Unknown", "url": "https://e.example/o1", "chapterCount": 12, "wordCount": 12_345, "rating": 4.0, "currentChapter": 3, "isNsfw": true}));
        assert_eq!(found["C"], json!({"author": "Unknown", "url": "https://e.example/o3", "chapterCount": 12, "wordCount": 12_345, "rating": 4.5, "currentChapter": 3, "isNsfw": true, "publicationStatus": "COMPLETED"}));
        assert_eq!(found["D"], json!({"author": "Unknown", "url": "https://e.example/o4", "chapterCount": 12, "wordCount": 12_000, "rating": 4.0}));
        assert_eq!(found["E"], json!({"author": "Unknown", "url": "https://e.example/o5", "rating": 4.3}));
        assert_eq!(found["F"], json!({"author": "Unknown", "url": "https://e.example/o6", "chapterCount": 7, "currentChapter": 2}));
        let warned: Vec<_> = done.error.lines().filter(|line| line.contains("warning")).map(|line| line.split('`').next().unwrap()).collect();
        assert_eq!(warned, ["line 5: warning: rating: ", "line 6: warning: rating: ", "line 6: warning: isNsfw: ", "line 6: warning: publicationStatus: "]);
    }

    async fn columns_are_mapped_by_hand(db: Db) {
        let database = TestDatabase::new(db).await;
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("file.csv");
        fs::write(&file, "Name,Where,Stars,Extra\nA,https://e.example/1,4,x\n").unwrap();
        let map = ["--map", "Name=title", "--map", "where=url", "--map", "Stars=rating"];
        let done = import(&database, "ann", &file, &map);
        assert_eq!(done.code, Some(0), "{}", done.error);
        assert_eq!(entries(&database, "ann")["A"], json!({"author": "Unknown", "url": "https://e.example/1", "rating": 4.0}));
        for (map, what) in [("Nothing=title", "no column `Nothing`"), ("Name=heading", "`heading` is not a field"), ("Name", "write COLUMN=FIELD")] {
            let done = import(&database, "bob", &file, &["--map", map]);
            assert_ne!(done.code, Some(0));
            assert!(done.error.contains(what), "{}", done.error);
        }
    }

    async fn exports_for_other_programs_are_read_again(db: Db) {
        let database = TestDatabase::new(db).await;
        import_bytes(&database, "ann", b"title,author,url,tags,fandoms,readingStatus,rating,description,notes\n\
            =A,Eve,https://e.example/1,x,F,READING,4,About,Mine\nB,Finn,urn:isbn:9780000000001,,,COMPLETED,,,\n");
        let folder = TempDir::new().unwrap();
        for (format, flags) in [("goodreads", &[][..]), ("calibre", &[]), ("goodreads", &["--neutralise-formulas"]), ("csv", &["--neutralise-formulas"])] {
            let text = export(&database, "ann", &[&["--format", format], flags].concat());
            assert_eq!(text.contains("'=A"), !flags.is_empty(), "{text}");
            let file = folder.path().join("file.csv");
            fs::write(&file, &text).unwrap();
            let sub = format!("{format}{}", flags.len());
            let done = import(&database, &sub, &file, &[]);
            assert_eq!(done.code, Some(0), "{}", done.error);
            assert!(done.error.starts_with(&format!("form: {format}")), "{}", done.error);
            let found = entries(&database, &sub);
            assert_eq!(found["B"]["url"], "urn:isbn:9780000000001", "{format}");
            if format == "csv" {
                assert_eq!(found, entries(&database, "ann"));
            }
        }
    }
}
