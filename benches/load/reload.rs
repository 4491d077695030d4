//! A full reload of a library by pages of changes. Yardstick: `psql` reads the same rows.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    event_stream::quantile,
    http::{Connection, graphql_with},
    node::user,
    support::{
        programs::Finish as _,
        servers::{Server, postgres_bin},
    },
};

/// Reloads of each kind, of which the median counts.
const RELOADS: usize = 3;
/// Changes of a page: the most that the server sends.
const PAGE: usize = 1_000;

/// A page of the walk, with all fields that the protocol's example selects.
const QUERY: &str =
    "query ($after: String) { libraryChanges(since: 0, first: 1000, after: $after) {
    reset hasMore endCursor head version epoch
    changes { __typename
      ... on Story { id stamp title author url publicationStatus tags { id } fandoms { id } }
      ... on Progress { id stamp storyId currentChapter readingStatus rating notes }
      ... on Tag { id stamp name }
      ... on Fandom { id stamp name }
      ... on Tombstone { kind rowId stamp } } } }";

/// The rows that the walk returns, one a line.
const ROWS: &str = "
SELECT s.id, stamp, title, author, url, status,
  (SELECT array_agg(tag_id) FROM topaz_story_tag t WHERE t.user_id = s.user_id AND t.story_id = s.id),
  (SELECT array_agg(fandom_id) FROM topaz_story_fandom f WHERE f.user_id = s.user_id AND f.story_id = s.id)
  FROM topaz_story s WHERE user_id = :'user' ORDER BY stamp, id;
SELECT id, stamp, story_id, current_chapter, status, rating, notes
  FROM topaz_progress WHERE user_id = :'user' ORDER BY stamp, id;
SELECT id, stamp, name FROM topaz_tag WHERE user_id = :'user' ORDER BY stamp, id;
SELECT id, stamp, name FROM topaz_fandom WHERE user_id = :'user' ORDER BY stamp, id;
";

/// Medians of the times of a reload.
pub struct Reload {
    pub node: Duration,
    /// With the start of the program.
    pub psql: Duration,
    pub pages: usize,
}

/// Reloads the library of the first user.
pub async fn measure(port: u16, postgres: &Server, token: &str) -> Reload {
    let (mut node, mut psql, mut pages) = (Vec::new(), Vec::new(), 0);
    for _ in 0..RELOADS {
        let began = Instant::now();
        let changes;
        (pages, changes) = walk(port, token).await;
        node.push(began.elapsed());
        let folder = tempfile::TempDir::with_prefix("library-sync-load-").unwrap();
        let file = folder.path().join("rows");
        let began = Instant::now();
        read_rows(postgres, &file);
        psql.push(began.elapsed());
        let rows = std::fs::read_to_string(file).unwrap().lines().count();
        assert_eq!(changes, rows, "the walk and psql return the same rows");
    }
    Reload {
        node: quantile(&mut node, 0.5),
        psql: quantile(&mut psql, 0.5),
        pages,
    }
}

/// Returns the number of pages, and of changes.
async fn walk(port: u16, token: &str) -> (usize, usize) {
    let mut connection = Connection::open(port).await;
    let (mut after, mut pages, mut changes) = (None, 0, 0);
    loop {
        let request = graphql_with(QUERY, &json!({"after": after}), token);
        let page = connection.ask(&request).await;
        assert!(
            page.starts_with("{\"data\":") && page.contains("\"reset\":false"),
            "{page}"
        );
        pages += 1;
        let count = page.matches("\"__typename\"").count();
        assert!(count <= PAGE);
        changes += count;
        if !page.contains("\"hasMore\":true") {
            return (pages, changes);
        }
        // Not parsed as JSON, because the client shares the machine with the server.
        let (_, cursor) = page.split_once("\"endCursor\":\"").unwrap();
        after = cursor.split('"').next().map(str::to_owned);
    }
}

fn read_rows(postgres: &Server, file: &std::path::Path) {
    let mut psql = Command::new(postgres_bin().join("psql"));
    psql.args(["--no-psqlrc", "--no-align", "--tuples-only", "--quiet"])
        .args(["--variable", &format!("user={}", user(0))])
        .arg("--output")
        .arg(file)
        .arg("--file")
        .arg(script(file))
        .arg(postgres.url());
    let read = psql.finish();
    assert!(read.status.success(), "{read:?}");
}

/// Writes the statements beside `file`. `psql --command` does not replace variables.
fn script(file: &std::path::Path) -> std::path::PathBuf {
    let script = file.with_extension("sql");
    std::fs::write(&script, ROWS).unwrap();
    script
}
