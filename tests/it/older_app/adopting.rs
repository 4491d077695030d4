//! `library-sync adopt`: copies all libraries, repairs rows by documented rules, and can be undone.

use serde_json::{Value, json};

use super::older_database::{ANN, BOB, CAROL, Older, dump, half_migrate};
use crate::{
    commands::command_line::run,
    support::test_app::{Db, TestApp, TestDatabase, TestUser},
};

/// Runs `library-sync adopt`, which must succeed. Returns what it prints.
pub fn adopt(database: &TestDatabase, flags: &[&str]) -> String {
    let database_url = ["adopt", "--database-url", &database.url];
    let (code, out, error) = run(&[&database_url[..], flags].concat());
    assert_eq!(code, Some(0), "{flags:?}: {error}");
    out
}

/// Runs `library-sync adopt`, which must fail. Returns the error.
fn refused(database: &TestDatabase, flags: &[&str]) -> String {
    let database_url = ["adopt", "--database-url", &database.url];
    let (code, _, error) = run(&[&database_url[..], flags].concat());
    assert_eq!(code, Some(1), "{flags:?}");
    error
}

const ENTRY: &str = "id readingStatus currentChapter rating notes createdAt updatedAt story { id title author url source \
    publicationStatus description summary chapterCount wordCount isNsfw createdAt updatedAt tags { id name } \
    fandoms { id name } }";

/// All entries of a user, page by page.
pub async fn entries(user: &TestUser<'_>) -> Vec<Value> {
    let query = format!(
        "query ($after: String) {{ progresses(first: 20, after: $after) {{ nodes {{ {ENTRY} }} \
         pageInfo {{ hasNextPage endCursor }} }} }}"
    );
    let (mut found, mut after) = (Vec::new(), Value::Null);
    loop {
        let mut page = user.ask(&query, json!({"after": after})).await["progresses"].take();
        found.extend(page["nodes"].as_array().unwrap().iter().cloned());
        if page["pageInfo"]["hasNextPage"] != true {
            return found;
        }
        after = page["pageInfo"]["endCursor"].take();
    }
}

/// The entry whose story has a title.
fn titled<'e>(entries: &'e [Value], title: &str) -> &'e Value {
    let found = entries
        .iter()
        .find(|entry| entry["story"]["title"] == title);
    found.unwrap_or_else(|| panic!("{title}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adopted_database_is_complete_and_the_undo_restores_it() {
    for older in [Older::A, Older::B, Older::C, Older::HalfMigrated] {
        let database = older.database().await;
        let first = dump(&database);
        let progresses: i64 = database.scalar("SELECT count(*) FROM topaz_progress").await;
        assert_eq!(progresses, 38);
        let has_version = older != Older::B && older != Older::C;
        let old_version: i64 = if has_version {
            let sql = format!("SELECT library_version::bigint FROM topaz_user WHERE id = '{ANN}'");
            database.scalar(&sql).await
        } else {
            1
        };

        let rehearsed = adopt(&database, &["--dry-run"]);
        assert_eq!(
            dump(&database),
            first,
            "{older:?}: a dry run changes nothing"
        );
        let report = adopt(&database, &[]);
        assert!(
            rehearsed.contains("38 progresses") && report.contains("38 progresses"),
            "{report}"
        );

        let app = TestApp::start_on(database, &[]).await;
        let mut copied = 0;
        for (user, version) in [(ANN, old_version + 1), (BOB, 0), (CAROL, 2)] {
            let user = app.user(user);
            copied += entries(&user).await.len();
            let now = user.version().await;
            assert!(version == 0 || now == version, "{older:?}: {now}");
        }
        assert_eq!(copied, 38, "{older:?}");

        // A device's copy from before the adoption gets a reset.
        let query = "query ($since: Int!) { libraryChanges(since: $since) { reset } }";
        let changes = app
            .user(ANN)
            .ask(query, json!({"since": old_version}))
            .await;
        assert_eq!(changes["libraryChanges"]["reset"], true, "{older:?}");
        let mut app = app;
        app.stop().await;

        adopt(&app.db, &["--undo"]);
        assert_eq!(dump(&app.db), first, "{older:?}: undone");
        // Adopts and undoes a second time.
        adopt(&app.db, &[]);
        adopt(&app.db, &["--undo"]);
        assert_eq!(dump(&app.db), first, "{older:?}: undone twice");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_is_copied_by_its_rule_and_each_repair_is_reported() {
    let database = Older::A.database().await;
    let report = adopt(&database, &[]);
    let app = TestApp::start_on(database, &[]).await;
    let (ann, bob) = (entries(&app.user(ANN)).await, entries(&app.user(BOB)).await);

    let entry = titled(&bob, "Kintsugi");
    assert_eq!(entry["id"], "f72c9a31-3624-496a-9ecd-6714c77495a7");
    assert_eq!(entry["story"]["id"], "b10b7a5c-eba0-4168-ae56-b4d261a240c3");
    assert_eq!(
        (
            &entry["story"]["author"],
            &entry["story"]["source"],
            &entry["story"]["publicationStatus"]
        ),
        (&json!("紙魚"), &json!("SPACE_BATTLES"), &json!("HIATUS"))
    );
    assert_eq!(
        (&entry["readingStatus"], &entry["currentChapter"]),
        (&json!("DROPPED"), &json!(173))
    );
    assert_eq!(
        (&entry["rating"], &entry["notes"]),
        (&json!(2.2), &Value::Null)
    );
    assert_eq!(entry["createdAt"], "2025-08-15T22:13:20.165Z");
    let fandoms = entry["story"]["fandoms"].as_array().unwrap();
    let names: Vec<_> = fandoms
        .iter()
        .map(|fandom| fandom["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Naruto", "Worm"]);

    // A story that both follow is one row of each, under the same id.
    let shared = |of: &[Value]| {
        of.iter()
            .any(|entry| entry["story"]["id"] == "bdea9656-8dd4-459e-aa8c-eb90cf7a4ba0")
    };
    assert!(shared(&ann) && shared(&bob));

    // The rating 0.0 is the default of the older app's form.
    assert_eq!(titled(&ann, "Weaver Nine")["rating"], Value::Null);
    assert_eq!(
        titled(&ann, "Twice 2")["story"]["url"],
        "https://archiveofourown.org/works/777"
    );
    let other = &titled(&ann, "Twice 1")["story"]["url"];
    assert_eq!(
        other,
        "https://archiveofourown.org/works/777#woawvxor3viu11fylxnh2hm6"
    );
    titled(&ann, "Untitled");
    let minus = titled(&ann, "Minus");
    assert_eq!(
        (
            &minus["story"]["chapterCount"],
            &minus["story"]["wordCount"]
        ),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(minus["currentChapter"], 0);
    assert_eq!(
        titled(&bob, "Chatty")["notes"].as_str().unwrap().len(),
        10_000
    );
    assert_eq!(
        titled(&ann, "By mail")["story"]["url"],
        "mailto:author@example.org"
    );
    assert_eq!(
        titled(&ann, "Spaced")["story"]["url"],
        "https://example.org/spaced"
    );
    assert_eq!(
        titled(&bob, "A file")["story"]["url"],
        "my bookshelf, second row"
    );
    titled(&ann, "Timeless");

    for line in [
        "repaired  story fa5bf1d9-abda-490f-ac27-f12f5e4d8ab0 of user 3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51: empty title is",
        "repaired  story a718992b-44bc-4130-963c-1fbbe750a3c6 of user",
        "repaired  story ff02f25f-9be6-4685-879f-2a8937b2045d of user",
        "repaired  progress 448e2a8d-b1e1-47a9-a87f-cd35183a6403 of user",
        "repaired  progress 71a05cc5-e782-4d9d-8325-f43aad766b25 of user b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02: notes cut at",
        "kept      story e6d37d5b-3463-43c8-8b6d-a8fc2b6bcc9f of user",
        "left out  story c84c9526-ee89-477c-84cd-d7c75c70c511: no progress",
        "left out  fandom b4fa9e0d-bc80-48a2-a1d0-3d0a1da981ee: on no story",
        "left out  tag 58300fd2-8ff3-4dd7-ae61-3aac8f77052d: on no story",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
    // Rows that are left out remain in the older app's tables.
    let stories = "SELECT count(*) FROM topaz_before.topaz_story";
    assert_eq!(app.db.scalar::<i64>(stories).await, 39);
}

/// Rows that the older app's forms cannot create, but its API can.
const ODD_ROWS: &str = "
INSERT INTO topaz_tag (id, public_id, name, created_at) VALUES
  ('10000000-0000-4000-8000-000000000001', 'odd1', 'ΟΔΥΣΣΕΥΣ', '2020-01-01'),
  ('10000000-0000-4000-8000-000000000002', 'odd2', 'οδυσσευς', '2019-01-01'),
  ('10000000-0000-4000-8000-000000000003', 'odd3', repeat('n', 130), '2019-01-01'),
  ('10000000-0000-4000-8000-000000000004', 'odd4', '', 'infinity');
INSERT INTO topaz_tag (id, public_id, name) SELECT gen_random_uuid(), 'many' || n, 'many ' || n FROM generate_series(1, 120) n;
INSERT INTO topaz_story (id, public_id, title, url, author, description, created_at, updated_at) VALUES
  ('20000000-0000-4000-8000-000000000001', 'odds1', E'Two\\nlines', 'javascript:alert(1)', '   ', repeat('é', 10001),
    'infinity', '-infinity'),
  ('20000000-0000-4000-8000-000000000002', 'odds2', repeat('t', 600), 'https://example.org/' || repeat('é', 2000), 'A', '',
    '20000-01-01', NULL);
INSERT INTO topaz_progress (id, public_id, user_id, story_id, created_at) VALUES
  ('30000000-0000-4000-8000-000000000001', 'oddp1', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', '20000000-0000-4000-8000-000000000001', '2021-01-01'),
  ('30000000-0000-4000-8000-000000000002', 'oddp2', '3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51', '20000000-0000-4000-8000-000000000002', '2021-01-01');
INSERT INTO topaz_story_tag SELECT '20000000-0000-4000-8000-000000000001', id FROM topaz_tag WHERE public_id LIKE 'odd%';
INSERT INTO topaz_story_tag SELECT '20000000-0000-4000-8000-000000000002', id FROM topaz_tag WHERE public_id LIKE 'many%' OR public_id = 'odd1';
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_break_rules_are_returned_and_an_edit_validates_only_changed_fields() {
    let database = Older::A.database().await;
    database.execute(ODD_ROWS).await;
    let report = adopt(&database, &[]);
    let app = TestApp::start_on(database, &[]).await;
    let ann = app.user(ANN);
    let found = entries(&ann).await;

    for line in [
        "story 20000000-0000-4000-8000-000000000001 of user 3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51: time of creation outside",
        "story 20000000-0000-4000-8000-000000000001 of user 3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51: time of update outside",
        "story 20000000-0000-4000-8000-000000000002 of user 3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51: time of creation outside",
        "tag 10000000-0000-4000-8000-000000000004 of user 3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51: time of creation outside",
        "tag 10000000-0000-4000-8000-000000000004 of user 3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51: empty name is",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
    let two = titled(&found, "Two lines");
    assert_eq!(two["story"]["url"], "unsafe:javascript:alert(1)");
    assert_eq!(two["story"]["author"], "Unknown");
    assert_eq!(
        two["story"]["description"]
            .as_str()
            .unwrap()
            .chars()
            .count(),
        10_000
    );
    let tags = two["story"]["tags"].as_array().unwrap();
    // Both spellings of one name are the older label.
    let ids: Vec<_> = tags.iter().map(|tag| tag["id"].as_str().unwrap()).collect();
    assert!(
        ids.contains(&"10000000-0000-4000-8000-000000000002"),
        "{ids:?}"
    );
    assert!(
        !ids.contains(&"10000000-0000-4000-8000-000000000001"),
        "{ids:?}"
    );
    assert!(tags.iter().any(|tag| tag["name"] == "Unnamed"), "{tags:?}");
    assert!(
        tags.iter()
            .any(|tag| tag["name"].as_str().unwrap().len() == 130)
    );
    assert!(
        report.contains("merged    tag 10000000-0000-4000-8000-000000000001"),
        "{report}"
    );
    assert!(
        report.contains("kept      tag 10000000-0000-4000-8000-000000000003"),
        "{report}"
    );

    let long = found
        .iter()
        .find(|entry| entry["id"] == "30000000-0000-4000-8000-000000000002")
        .unwrap();
    assert_eq!(long["story"]["title"].as_str().unwrap().len(), 500);
    assert_eq!(
        long["story"]["url"],
        "urn:uuid:20000000-0000-4000-8000-000000000002"
    );
    assert_eq!(long["story"]["tags"].as_array().unwrap().len(), 121);
    assert!(
        report.contains("kept      story 20000000-0000-4000-8000-000000000002"),
        "{report}"
    );

    // Other fields can be edited, also if the client sends all fields.
    for (id, url) in [
        (&two["story"]["id"], &two["story"]["url"]),
        (&long["story"]["id"], &long["story"]["url"]),
    ] {
        let change = json!({"id": id, "url": url, "author": "B"});
        assert_eq!(ann.update_story(change).await["story"]["author"], "B");
    }
    let mail = titled(&found, "By mail");
    let change =
        json!({"id": mail["story"]["id"], "title": "By post", "url": "mailto:author@example.org"});
    assert_eq!(ann.update_story(change).await["story"]["title"], "By post");
    // A set over the limit may shrink, and may not grow.
    let all: Vec<_> = long["story"]["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["id"].clone())
        .collect();
    let fewer = json!({"id": long["story"]["id"], "tagIds": &all[..110]});
    assert_eq!(
        ann.update_story(fewer).await["story"]["tags"]
            .as_array()
            .unwrap()
            .len(),
        110
    );
    let update = "mutation ($input: UpdateStoryWithRelationsInput!) { updateStoryWithRelations(input: $input) { libraryVersion } }";
    let more = json!({"input": {"id": long["story"]["id"], "tagIds": all}});
    assert_eq!(ann.refused(update, more).await, "BAD_USER_INPUT");
    let invalid =
        json!({"input": {"id": mail["story"]["id"], "url": "mailto:somebody@example.org"}});
    assert_eq!(ann.refused(update, invalid).await, "BAD_USER_INPUT");
    // A story with a duplicate address keeps it when other fields are edited.
    let twice = titled(&found, "Twice 1");
    let change = json!({"id": twice["story"]["id"], "author": "C"});
    assert_eq!(ann.update_story(change).await["story"]["author"], "C");
}

#[tokio::test]
async fn a_database_that_cannot_be_adopted_is_refused_and_unchanged() {
    let works = Older::D.database().await;
    let before = dump(&works);
    let error = refused(&works, &[]);
    assert!(
        error.contains("topaz_work") && error.contains("cannot adopt"),
        "{error}"
    );
    assert_eq!(dump(&works), before);

    let empty = TestDatabase::new(Db::Postgres).await;
    assert!(refused(&empty, &[]).contains("nothing to adopt"));
    assert!(refused(&empty, &["--undo"]).contains("nothing to undo"));
    let sqlite = TestDatabase::new(Db::Sqlite).await;
    sqlite.execute("CREATE TABLE x (y)").await;
    assert!(refused(&sqlite, &[]).contains("PostgreSQL"));

    let foreign = Older::A.database().await;
    foreign.execute("CREATE SCHEMA topaz_before").await;
    let before = dump(&foreign);
    assert!(refused(&foreign, &[]).contains("topaz_before"));
    assert_eq!(dump(&foreign), before);

    let unknown = Older::A.database().await;
    unknown
        .execute("ALTER TABLE topaz_story DROP COLUMN word_count CASCADE")
        .await;
    let before = dump(&unknown);
    assert!(refused(&unknown, &[]).contains("topaz_story has no column word_count"));
    assert_eq!(dump(&unknown), before);

    let adopted = Older::A.database().await;
    adopt(&adopted, &[]);
    assert!(refused(&adopted, &[]).contains("adopted already"));
}

#[tokio::test]
async fn an_impossible_row_is_named_by_its_table_and_id() {
    let progress = "9c9d43af-9b5a-4503-9669-9f7dd30366b0";
    let of = format!("WHERE id = '{progress}'");
    let replica = "SET session_replication_role = replica;";
    for (sql, why) in [
        (
            format!("{replica} UPDATE topaz_progress SET user_id = gen_random_uuid() {of}"),
            "is of no user",
        ),
        (
            format!("{replica} UPDATE topaz_progress SET story_id = gen_random_uuid() {of}"),
            "is of no story",
        ),
        (
            format!(
                "ALTER TABLE topaz_progress DROP CONSTRAINT \"rating between 0 and 5\"; \
                 UPDATE topaz_progress SET rating = 'NaN' {of}"
            ),
            "has a rating that is not a number of stars",
        ),
    ] {
        let database = Older::A.database().await;
        database.execute(&sql).await;
        let before = dump(&database);
        let error = refused(&database, &[]);
        let expected = format!("topaz_progress {progress} {why}");
        assert!(error.contains(&expected), "{expected}: {error}");
        assert_eq!(dump(&database), before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_since_the_adoption_are_discarded_only_on_demand() {
    let database = Older::A.database().await;
    let first = dump(&database);
    adopt(&database, &[]);
    let mut app = TestApp::start_on(database, &[]).await;
    // Also by a device with the same id as the follower.
    let ann = app.user(ANN);
    let input = json!({"name": "new", "device": {"id": "older-app"}});
    let created = ann.mutate("createTag", "CreateLabelInput", input, "tag { id }");
    assert_eq!(created.await["refusal"], Value::Null);
    app.stop().await;
    let error = refused(&app.db, &["--undo"]);
    assert!(
        error.contains("1 users have changed") && error.contains("--discard-changes"),
        "{error}"
    );
    adopt(&app.db, &["--undo", "--discard-changes"]);
    // The version must not decrease for pages that have seen it.
    let version = format!("SELECT library_version::bigint FROM topaz_user WHERE id = '{ANN}'");
    assert!(app.db.scalar::<i64>(&version).await > 3);
    let rows = |dump: &str| {
        dump.lines()
            .filter(|line| !line.contains("ann@example.org"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(&dump(&app.db)), rows(&first));
}

#[tokio::test]
async fn a_half_migration_can_be_reverted_without_adopting() {
    let database = Older::A.database().await;
    let first = dump(&database);
    half_migrate(&database).await;
    assert_ne!(dump(&database), first);
    adopt(&database, &["--undo"]);
    assert_eq!(dump(&database), first);
}
