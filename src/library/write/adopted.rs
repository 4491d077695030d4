//! Inserts rows that another program made, in bulk and as they are: with their ids, times and stamps.
//!
//! In the flow: `adopt` maps the rows of the older app and calls these functions in its own transaction, which begins an
//! epoch for every user. So no device compares versions across it, and nothing is bumped here.
//!
//! Each statement takes its rows as one JSON text, so its size in bytes is bounded by the caller's batch and the number of
//! parameters is constant. PostgreSQL only.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    library::{
        entity::{
            label::names,
            story::{self, Keys},
        },
        model::{
            label::{Label, LabelKind},
            progress::{Progress, Rating},
            story::Story,
            text::fold,
        },
    },
    version::UserId,
};

/// A story and its progress, as another program made them.
#[derive(Debug, Clone)]
pub struct AdoptedEntry {
    /// The owner.
    pub user: UserId,
    /// The story, without its labels.
    pub story: Story,
    /// Its progress.
    pub progress: Progress,
    /// Appended to the story's address as a fragment if another story of the user has the address.
    pub suffix: String,
}

const INSERT_STORIES: &str = "
INSERT INTO topaz_story (user_id, id, stamp, title, author, url, url_typed, source, status, description, summary,
  chapter_count, word_count, is_nsfw, title_key, author_key, search_key, created_at, updated_at, created_stamp)
SELECT user_id, id, stamp, title, author, url, url_typed, source, status, description, summary,
  chapter_count, word_count, is_nsfw, title_key, author_key, search_key, created_at, updated_at, stamp
FROM json_to_recordset($1::json) AS r (user_id text, id uuid, stamp integer, title text, author text, url text,
  url_typed text, source text, status text, description text, summary text, chapter_count integer, word_count integer,
  is_nsfw boolean, title_key text, author_key text, search_key text, created_at bigint, updated_at bigint)
ON CONFLICT ON CONSTRAINT topaz_story_url_key DO NOTHING
RETURNING user_id, id";

const INSERT_PROGRESSES: &str = "
INSERT INTO topaz_progress (user_id, id, stamp, story_id, status, current_chapter, rating, notes, search_key,
  created_at, updated_at, created_stamp)
SELECT user_id, id, stamp, story_id, status, current_chapter, rating, notes, search_key, created_at, updated_at, stamp
FROM json_to_recordset($1::json) AS r (user_id text, id uuid, stamp integer, story_id uuid, status text,
  current_chapter integer, rating smallint, notes text, search_key text, created_at bigint, updated_at bigint)";

#[derive(Serialize)]
struct StoryRow<'a> {
    user_id: &'a str,
    id: Uuid,
    stamp: i32,
    title: &'a str,
    author: &'a str,
    url: String,
    url_typed: Option<String>,
    source: &'static str,
    status: &'static str,
    description: Option<&'a str>,
    summary: Option<&'a str>,
    chapter_count: Option<i32>,
    word_count: Option<i32>,
    is_nsfw: bool,
    title_key: String,
    author_key: String,
    search_key: String,
    created_at: i64,
    updated_at: i64,
}

#[derive(Serialize)]
struct ProgressRow<'a> {
    user_id: &'a str,
    id: Uuid,
    stamp: i32,
    story_id: Uuid,
    status: &'static str,
    current_chapter: i32,
    rating: Option<i16>,
    notes: Option<&'a str>,
    search_key: String,
    created_at: i64,
    updated_at: i64,
}

#[derive(Serialize)]
struct LabelRow<'a> {
    user_id: &'a str,
    id: Uuid,
    stamp: i32,
    name: &'a str,
    name_key: String,
    created_at: i64,
    updated_at: i64,
}

/// Inserts entries. If two stories of a user have one address, the first keeps it, and the others get a fragment. Returns
/// the stories that got one.
pub async fn insert_entries(
    db: &impl ConnectionTrait,
    entries: &[AdoptedEntry],
) -> Result<Vec<(UserId, Uuid)>, DbErr> {
    let mut renamed = Vec::new();
    let mut waiting: Vec<&AdoptedEntry> = entries.iter().collect();
    for attempt in 0.. {
        let rows: Vec<_> = waiting
            .iter()
            .map(|entry| story_row(entry, attempt))
            .collect();
        let inserted = execute(db, INSERT_STORIES, &rows).await?;
        if inserted.len() == waiting.len() {
            break;
        }
        let keys: std::collections::HashSet<(String, Uuid)> = inserted.into_iter().collect();
        waiting.retain(|entry| !keys.contains(&(entry.user.as_str().to_owned(), entry.story.id.0)));
        if attempt == 0 {
            renamed = waiting
                .iter()
                .map(|entry| (entry.user.clone(), entry.story.id.0))
                .collect();
        }
    }
    let rows: Vec<_> = entries.iter().map(progress_row).collect();
    execute(db, INSERT_PROGRESSES, &rows).await?;
    Ok(renamed)
}

/// Inserts labels of one kind. Their names must differ when folded.
pub async fn insert_labels(
    db: &impl ConnectionTrait,
    kind: LabelKind,
    labels: &[(UserId, Label)],
) -> Result<(), DbErr> {
    let sql = format!(
        "INSERT INTO {} (user_id, id, stamp, name, name_key, created_at, updated_at, created_stamp) \
         SELECT user_id, id, stamp, name, name_key, created_at, updated_at, stamp FROM json_to_recordset($1::json) AS r \
         (user_id text, id uuid, stamp integer, name text, name_key text, created_at bigint, updated_at bigint)",
        names(kind).table.0,
    );
    let rows: Vec<_> = labels.iter().map(label_row).collect();
    execute(db, &sql, &rows).await?;
    Ok(())
}

/// Inserts the links of one kind that the statement `select` returns as user, story and label. Returns their number.
pub async fn insert_links(
    db: &impl ConnectionTrait,
    kind: LabelKind,
    select: &str,
) -> Result<u64, DbErr> {
    let names = names(kind);
    let (table, column) = (names.link_table.0, names.link_column.0);
    let sql = format!("INSERT INTO {table} (user_id, story_id, {column}) {select}");
    let insert = Statement::from_string(DbBackend::Postgres, sql);
    Ok(db.execute_raw(insert).await?.rows_affected())
}

/// Runs an INSERT of `rows`. Returns the users and ids that it returns, if any.
async fn execute(
    db: &impl ConnectionTrait,
    sql: &str,
    rows: &[impl Serialize],
) -> Result<Vec<(String, Uuid)>, DbErr> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let json = serde_json::to_string(rows).map_err(|error| DbErr::Json(error.to_string()))?;
    let insert = Statement::from_sql_and_values(DbBackend::Postgres, sql, [Value::from(json)]);
    let returned = db.query_all_raw(insert).await?;
    returned
        .iter()
        .map(|row| Ok((row.try_get("", "user_id")?, row.try_get("", "id")?)))
        .collect()
}

/// The row of a story. From the second attempt to insert it on, its address has a fragment.
fn story_row(entry: &AdoptedEntry, attempt: usize) -> StoryRow<'_> {
    let AdoptedEntry {
        user,
        story,
        suffix,
        ..
    } = entry;
    let content = &story.content;
    let keys = Keys::of(content);
    let fragment = match attempt {
        0 => None,
        1 => Some(format!("#{suffix}")),
        more => Some(format!("#{suffix}-{more}")),
    };
    let (url, url_typed) = match fragment {
        // The normal form has no fragment, so the address is stored as it is.
        Some(fragment) => story::addressed(&keys.url, &content.url, &fragment),
        None => (
            keys.url.clone(),
            (keys.url != content.url).then(|| content.url.clone()),
        ),
    };
    StoryRow {
        user_id: user.as_str(),
        id: story.id.0,
        stamp: story.stamp.number(),
        title: &content.title,
        author: &content.author,
        url,
        url_typed,
        source: content.source.into(),
        status: content.status.into(),
        description: content.description.as_deref(),
        summary: content.summary.as_deref(),
        chapter_count: content.chapter_count,
        word_count: content.word_count,
        is_nsfw: content.is_nsfw,
        title_key: keys.title,
        author_key: keys.author,
        search_key: keys.search,
        created_at: millis(story.created_at),
        updated_at: millis(story.updated_at),
    }
}

fn progress_row(entry: &AdoptedEntry) -> ProgressRow<'_> {
    let AdoptedEntry { user, progress, .. } = entry;
    let state = &progress.state;
    ProgressRow {
        user_id: user.as_str(),
        id: progress.id.0,
        stamp: progress.stamp.number(),
        story_id: progress.story_id.0,
        status: state.status.into(),
        current_chapter: state.current_chapter,
        rating: state.rating.map(Rating::tenths),
        notes: state.notes.as_deref(),
        search_key: state.notes.as_deref().map(fold).unwrap_or_default(),
        created_at: millis(progress.created_at),
        updated_at: millis(progress.updated_at),
    }
}

fn label_row((user, label): &(UserId, Label)) -> LabelRow<'_> {
    LabelRow {
        user_id: user.as_str(),
        id: label.id.0,
        stamp: label.stamp.number(),
        name: label.name.as_str(),
        name_key: label.name.key(),
        created_at: millis(label.created_at),
        updated_at: millis(label.updated_at),
    }
}

/// Milliseconds since the Unix epoch, as the tables hold times.
fn millis(at: time::OffsetDateTime) -> i64 {
    let millis = at.unix_timestamp_nanos().div_euclid(1_000_000);
    i64::try_from(millis).unwrap_or_default()
}
