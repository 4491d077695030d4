//! Compares each progress of the older app, with its story and labels, with its copy.
//!
//! Both sides are read in one order and compared row by row. Times are not compared: a copied change has the time of the
//! copy. Labels are compared by their folded names, because equal names are one label here.

use std::{collections::BTreeSet, str::FromStr as _};

use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    adopt::{
        cursor::Cursor,
        mapping,
        older_row::{self, OlderRow},
        older_tables::{Labels, name_of},
        report,
    },
    library::{
        AdoptedEntry, LabelKind, ProgressState, ProgressStatus, Rating, SET_ASIDE, Source,
        StoryContent, StoryStatus, is_address_of,
    },
};

/// Differences that are named. Further ones are only counted.
const NAMED: usize = 20;

/// The outcome of a comparison.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Entries of the older app.
    pub entries: u64,
    /// Entries that differ or that one side lacks.
    pub differing: u64,
    /// The first of them: user, story and what differs.
    pub named: Vec<String>,
}

/// Compares all entries.
pub(super) async fn compare(
    db: &impl ConnectionTrait,
    tables: Labels,
) -> Result<Comparison, DbErr> {
    let mut older = Side::open(db, "older", &select_older(tables)).await?;
    let mut ours = Side::open(db, "ours", &select_ours()).await?;
    let mut comparison = Comparison::default();
    loop {
        let keys = (older.key().await?, ours.key().await?);
        let differs = match &keys {
            (None, None) => return Ok(comparison),
            (Some(left), Some(right)) if left == right => {
                let (left, right) = (older.take(), ours.take());
                difference(left.as_ref(), right.as_ref())?
            }
            (left, right)
                if right.is_none()
                    || left
                        .as_ref()
                        .is_some_and(|left| Some(left) < right.as_ref()) =>
            {
                older.take();
                Some("has no copy")
            }
            _ => {
                ours.take();
                Some("is not in the older app")
            }
        };
        if keys.0.is_some() && differs != Some("is not in the older app") {
            comparison.entries += 1;
        }
        if let Some(what) = differs {
            comparison.differing += 1;
            let key = if what.starts_with("is not") {
                keys.1
            } else {
                keys.0
            };
            if let Some((user, story)) = key.filter(|_| comparison.named.len() < NAMED) {
                comparison
                    .named
                    .push(format!("user {user}, story {story}: {what}"));
            }
        }
    }
}

/// SQL for the folded names of labels: aggregated here, folded in Rust.
fn names(label: LabelKind, from: &str) -> String {
    format!(
        "(SELECT json_agg(name)::text FROM ({from}) AS carried) AS {}s",
        name_of(label)
    )
}

fn select_older(tables: Labels) -> String {
    let of = |kind| {
        let from = format!(
            "SELECT t.name FROM ({}) l JOIN ({}) t ON t.id = l.label_id WHERE l.story_id = e.story_id",
            tables.links(kind),
            tables.names(kind),
        );
        names(kind, &from)
    };
    format!(
        "SELECT e.*, {}, {} FROM ({}) e ORDER BY e.user_id COLLATE \"C\", e.story_id",
        of(LabelKind::Tag),
        of(LabelKind::Fandom),
        older_row::select(),
    )
}

fn select_ours() -> String {
    let of = |kind| {
        let name = name_of(kind);
        let from = format!(
            "SELECT t.name FROM topaz_story_{name} l JOIN topaz_{name} t ON t.user_id = l.user_id AND t.id = l.{name}_id \
             WHERE l.user_id = p.user_id AND l.story_id = p.story_id"
        );
        names(kind, &from)
    };
    format!(
        "SELECT p.user_id, p.story_id, p.id AS progress_id, p.status AS reading_status, p.current_chapter, p.rating, \
           p.notes, s.title, s.author, coalesce(s.url_typed, s.url) AS url, s.source, s.status, s.description, s.summary, \
           s.chapter_count, s.word_count, s.is_nsfw, {}, {} \
         FROM topaz_progress p JOIN topaz_story s ON s.user_id = p.user_id AND s.id = p.story_id \
         ORDER BY p.user_id COLLATE \"C\", p.story_id",
        of(LabelKind::Tag),
        of(LabelKind::Fandom),
    )
}

/// The rows of one side, in order of user and story.
struct Side<'c, C> {
    cursor: Cursor<'c, C>,
    rows: std::vec::IntoIter<QueryResult>,
    next: Option<QueryResult>,
    is_ended: bool,
}

impl<'c, C: ConnectionTrait> Side<'c, C> {
    async fn open(db: &'c C, name: &str, select: &str) -> Result<Self, DbErr> {
        Ok(Self {
            cursor: Cursor::open(db, &format!("{name}_{SET_ASIDE}"), select).await?,
            rows: Vec::new().into_iter(),
            next: None,
            is_ended: false,
        })
    }

    /// Returns the user and the story of the next row.
    async fn key(&mut self) -> Result<Option<(String, Uuid)>, DbErr> {
        while self.next.is_none() && !self.is_ended {
            self.next = self.rows.next();
            if self.next.is_none() {
                match self.cursor.next().await? {
                    Some(rows) => self.rows = rows.into_iter(),
                    None => self.is_ended = true,
                }
            }
        }
        let key =
            |row: &QueryResult| Ok((row.try_get("", "user_id")?, row.try_get("", "story_id")?));
        self.next.as_ref().map(key).transpose()
    }

    fn take(&mut self) -> Option<QueryResult> {
        self.next.take()
    }
}

/// Returns what differs between an entry and its copy.
fn difference(
    older: Option<&QueryResult>,
    ours: Option<&QueryResult>,
) -> Result<Option<&'static str>, DbErr> {
    let (Some(older), Some(ours)) = (older, ours) else {
        return Ok(Some("has no copy"));
    };
    let now = OffsetDateTime::UNIX_EPOCH;
    let (entry, _) = mapping::entry(OlderRow::of(older)?, now).map_err(report::unusable)?;
    let AdoptedEntry {
        story,
        progress,
        suffix,
        ..
    } = entry;
    let mut content = content(ours)?;
    if is_address_of(&content.url, &story.content.url, &suffix) {
        content.url.clone_from(&story.content.url);
    }
    Ok(if content != story.content {
        Some("the story differs")
    } else if ours.try_get::<Uuid>("", "progress_id")? != progress.id.0
        || state(ours)? != progress.state
    {
        Some("the progress differs")
    } else if folded(older, "tags")? != folded(ours, "tags")? {
        Some("the tags differ")
    } else if folded(older, "fandoms")? != folded(ours, "fandoms")? {
        Some("the fandoms differ")
    } else {
        None
    })
}

fn content(row: &QueryResult) -> Result<StoryContent, DbErr> {
    let (source, status): (String, String) =
        (row.try_get("", "source")?, row.try_get("", "status")?);
    Ok(StoryContent {
        title: row.try_get("", "title")?,
        author: row.try_get("", "author")?,
        url: row.try_get("", "url")?,
        source: Source::from_str(&source).unwrap_or(Source::Other),
        status: StoryStatus::from_str(&status).unwrap_or(StoryStatus::Unknown),
        description: row.try_get("", "description")?,
        summary: row.try_get("", "summary")?,
        chapter_count: row.try_get("", "chapter_count")?,
        word_count: row.try_get("", "word_count")?,
        is_nsfw: row.try_get("", "is_nsfw")?,
    })
}

fn state(row: &QueryResult) -> Result<ProgressState, DbErr> {
    let (status, tenths): (String, Option<i16>) = (
        row.try_get("", "reading_status")?,
        row.try_get("", "rating")?,
    );
    Ok(ProgressState {
        status: ProgressStatus::from_str(&status).unwrap_or_default(),
        current_chapter: row.try_get("", "current_chapter")?,
        rating: tenths.and_then(|tenths| Rating::from_stars(f64::from(tenths) / 10.0).ok()),
        notes: row.try_get("", "notes")?,
    })
}

/// Reads names and folds them by the rules of an adoption.
fn folded(row: &QueryResult, column: &str) -> Result<BTreeSet<String>, DbErr> {
    let names: Option<String> = row.try_get("", column)?;
    let names: Vec<Option<String>> = match names {
        Some(names) => {
            serde_json::from_str(&names).map_err(|error| DbErr::Json(error.to_string()))?
        }
        None => Vec::new(),
    };
    Ok(names
        .iter()
        .map(|name| mapping::folded_name(name.as_deref().unwrap_or_default()))
        .collect())
}
