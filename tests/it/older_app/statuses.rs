//! The statuses that later versions of the older app have, and statuses that this version does not know.

use serde_json::json;

use super::{
    adopting::{adopt, entries},
    older_database::{ANN, BOB, Older},
};
use crate::support::test_app::{TestApp, on_each_database};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_statuses_of_a_later_version_are_adopted() {
    let database = Older::B.database().await;
    let counts = "SELECT count(*) FROM topaz_progress WHERE reading_status = 'DroppedAsAbandoned' AND user_id = ";
    let dropped: i64 = database.scalar(&format!("{counts}'{BOB}'")).await;
    assert!(dropped > 0);
    adopt(&database, &[]);
    let app = TestApp::start_on(database, &[]).await;
    let bob = entries(&app.user(BOB)).await;
    let of = |status: &str| {
        bob.iter()
            .filter(|entry| entry["readingStatus"] == status)
            .count()
    };
    assert_eq!(i64::try_from(of("DROPPED_AS_ABANDONED")).unwrap(), dropped);
    assert_eq!(of("DROPPED"), 0);
    let ann = entries(&app.user(ANN)).await;
    assert!(
        ann.iter()
            .any(|entry| entry["readingStatus"] == "PLAN_TO_READ")
    );
    assert!(
        ann.iter()
            .any(|entry| entry["story"]["publicationStatus"] == "UNKNOWN")
    );
}

on_each_database! {
    async fn the_statuses_can_be_set_filtered_counted_sorted_and_exported(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        for (title, status, publication) in [
            ("A", "PLAN_TO_READ", "UNKNOWN"),
            ("B", "DROPPED_AS_ABANDONED", "ABANDONED"),
            ("C", "READING", "UNKNOWN"),
        ] {
            let url = format!("https://example.org/{title}");
            let input = json!({"title": title, "url": url, "readingStatus": status, "publicationStatus": publication});
            let added = ann.create_story(input).await;
            assert_eq!(added["progress"]["readingStatus"], status, "{added}");
        }
        let query = "query ($filter: ProgressFilter) { progresses(first: 10, filter: $filter, orderBy: {field: READING_STATUS, direction: ASC}) \
            { nodes { readingStatus story { title publicationStatus } } } }";
        let titles = async |filter: serde_json::Value| {
            let page = ann.ask(query, json!({"filter": filter})).await;
            let nodes = page["progresses"]["nodes"].as_array().unwrap().clone();
            nodes.iter().map(|node| node["story"]["title"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(titles(json!({})).await, ["C", "A", "B"]);
        assert_eq!(titles(json!({"readingStatuses": ["PLAN_TO_READ"]})).await, ["A"]);
        assert_eq!(titles(json!({"publicationStatuses": ["UNKNOWN"]})).await, ["C", "A"]);
        let counts = "{ library { stats { readingStatusCounts { planToRead droppedAsAbandoned reading } } } }";
        let counts = ann.ask(counts, json!({})).await;
        let expected = json!({"planToRead": 1, "droppedAsAbandoned": 1, "reading": 1});
        assert_eq!(counts["library"]["stats"]["readingStatusCounts"], expected);

        let url = ["--database-url", &app.db.url];
        let folder = tempfile::tempdir().unwrap();
        for format in ["csv", "json"] {
            let file = folder.path().join(format!("library.{format}"));
            let path = file.to_str().unwrap();
            let export = [&["export", "--sub", "ann", path][..], &url].concat();
            assert_eq!(crate::commands::command_line::run(&export).0, Some(0));
            let sub = format!("{format} reader");
            let import = [&["import", "--sub", &sub, path][..], &url].concat();
            let (code, _, error) = crate::commands::command_line::run(&import);
            assert_eq!((code, error.contains("none of")), (Some(0), false), "{error}");
            let copy = entries(&app.user(&sub)).await;
            let statuses: std::collections::BTreeSet<_> =
                copy.iter().map(|entry| entry["readingStatus"].as_str().unwrap()).collect();
            assert_eq!(statuses, ["DROPPED_AS_ABANDONED", "PLAN_TO_READ", "READING"].into(), "{format}");
        }
    }
}

on_each_database! {
    async fn an_unknown_stored_status_fails_no_page_and_survives_an_edit(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let added = ann.add("A").await;
        let (progress, story) = (&added["progress"]["id"], &added["progress"]["story"]["id"]);
        for sql in ["UPDATE topaz_progress SET status = 'Rereading'", "UPDATE topaz_story SET status = 'Serial', source = 'Kakuyomu'"] {
            app.db.execute(sql).await;
        }
        let query = "{ progresses(first: 1, orderBy: {field: READING_STATUS, direction: ASC}) { nodes { readingStatus story { source publicationStatus } } \
            pageInfo { endCursor } } }";
        let page = ann.ask(query, json!({})).await;
        let node = json!({"readingStatus": "NOT_STARTED", "story": {"source": "OTHER", "publicationStatus": "UNKNOWN"}});
        assert_eq!(page["progresses"]["nodes"][0], node);
        ann.update_progress(json!({"id": progress, "currentChapter": 3})).await;
        ann.update_story(json!({"id": story, "title": "B"})).await;
        let stored = "SELECT p.status || ' ' || s.status || ' ' || s.source || ' ' || s.title FROM topaz_progress p, topaz_story s";
        assert_eq!(app.db.scalar::<String>(stored).await, "Rereading Serial Kakuyomu B");
        ann.update_progress(json!({"id": progress, "readingStatus": "PAUSED"})).await;
        assert_eq!(app.db.scalar::<String>("SELECT status FROM topaz_progress").await, "Paused");
    }
}
