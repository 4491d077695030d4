//! SQLite's plans for lists that a label filters. Its planner does not know how many stories have a label.

use std::process::Stdio;

use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};

use crate::support::test_app::{Db, TestDatabase, TestProcess};

const LIST: &str = "query ($after: String, $orderBy: ProgressOrder, $filter: ProgressFilter) { progresses(first: 1, after: $after, orderBy: $orderBy, filter: $filter) { pageInfo { endCursor } nodes { id story { title } } } }";

#[tokio::test]
async fn a_list_reads_only_the_stories_of_a_label_that_few_have() {
    let database = TestDatabase::new(Db::Sqlite).await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let level = [
        "--log",
        "library_sync::library::database=trace",
        "--log-format",
        "json",
    ];
    let output = Stdio::from(log.reopen().unwrap());
    let server = TestProcess::serve_logging(&database.url, &level, output).await;
    let ask = async |query: &str, variables: Value| {
        let answer = server.send("ann", query, variables).await.unwrap();
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"].clone()
    };
    let import =
        "mutation ($input: ImportLibraryInput!) { importLibrary(input: $input) { importedCount } }";
    let entry = |n: u32| json!({"title": format!("Story {n}"), "url": format!("https://example.org/{n}"), "tags": ["few"]});
    ask(
        import,
        json!({"input": {"entries": [entry(1), entry(2), entry(3)]}}),
    )
    .await;
    let tag = ask("{ tags { id } }", json!({})).await["tags"][0]["id"].take();
    for field in ["STAMP", "TITLE", "RATING"] {
        let order = json!({"field": field, "direction": "ASC"});
        for set in ["any", "all"] {
            let mut after = Value::Null;
            for _ in 0..3 {
                let filter = json!({"tags": {set: [tag]}});
                let variables = json!({"filter": filter, "orderBy": order, "after": after});
                let page = ask(LIST, variables).await["progresses"].take();
                assert_eq!(
                    page["nodes"].as_array().unwrap().len(),
                    1,
                    "{field} {set}: {page}"
                );
                after = page["pageInfo"]["endCursor"].clone();
            }
        }
    }
    let text = std::fs::read_to_string(log.path()).unwrap();
    let ran = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lists = ran.filter_map(|line| line["db.statement"].as_str().map(str::to_owned));
    let lists: Vec<_> = lists
        .filter(|sql| sql.contains("topaz_story_tag") && sql.contains("place_id"))
        .collect();
    assert!(lists.len() >= 18, "{lists:#?}");
    let connection = database.connect().await;
    for sql in lists {
        let explain = Statement::from_string(
            connection.get_database_backend(),
            format!("EXPLAIN QUERY PLAN {sql}"),
        );
        let plan = connection.query_all_raw(explain).await.unwrap();
        let first: String = plan[0].try_get_by_index(3).unwrap();
        assert!(
            first.ends_with("(user_id=? AND story_id=?)"),
            "{sql}\n{first}"
        );
    }
    connection.close().await.unwrap();
}
