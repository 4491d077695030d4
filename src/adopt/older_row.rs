//! A story of the older app with one user's progress on it, as read from its tables.

use sea_orm::{DbErr, QueryResult};
use uuid::Uuid;

use super::older_tables::millis;
use crate::library::SET_ASIDE;

/// A progress of the older app with its story. Every text and number may break a rule of library-sync.
#[derive(Debug, Clone)]
pub(super) struct OlderRow {
    /// The owner: `topaz_user.subject`.
    pub user: String,
    /// The user's version after the adoption.
    pub stamp: i32,
    pub progress_id: Uuid,
    pub reading_status: Option<String>,
    pub current_chapter: Option<i32>,
    /// In tenths.
    pub rating: Option<i32>,
    pub notes: Option<String>,
    /// In milliseconds since the Unix epoch, as all times.
    pub progress_created: Option<i64>,
    pub progress_updated: Option<i64>,
    pub story_id: Uuid,
    pub public_id: String,
    pub title: Option<String>,
    pub author: Option<String>,
    pub url: Option<String>,
    pub source: Option<String>,
    pub status: Option<String>,
    pub description: Option<String>,
    pub summary: Option<String>,
    pub chapter_count: Option<i32>,
    pub word_count: Option<i32>,
    pub is_nsfw: Option<bool>,
    pub story_created: Option<i64>,
    pub story_updated: Option<i64>,
}

/// SQL that selects the columns of [`OlderRow`] from the set-aside tables `p`, `s` and `u`. The caller adds conditions
/// and an order.
pub(super) fn select() -> String {
    format!(
        "SELECT u.subject AS user_id, u.library_version AS stamp, p.id AS progress_id, \
           p.reading_status::text AS reading_status, p.current_chapter, (p.rating * 10)::integer AS rating, p.notes, \
           {} AS progress_created, {} AS progress_updated, s.id AS story_id, s.public_id::text AS public_id, \
           s.title::text AS title, s.author::text AS author, s.url, s.source::text AS source, s.status::text AS status, \
           s.description::text AS description, s.summary::text AS summary, s.chapter_count, s.word_count, s.is_nsfw, \
           {} AS story_created, {} AS story_updated \
         FROM {SET_ASIDE}.topaz_progress p \
         JOIN {SET_ASIDE}.topaz_story s ON s.id = p.story_id \
         JOIN topaz_user u ON u.id = p.user_id",
        millis("p.created_at"),
        millis("p.updated_at"),
        millis("s.created_at"),
        millis("s.updated_at"),
    )
}

impl OlderRow {
    pub(super) fn of(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            user: row.try_get("", "user_id")?,
            stamp: row.try_get("", "stamp")?,
            progress_id: row.try_get("", "progress_id")?,
            reading_status: row.try_get("", "reading_status")?,
            current_chapter: row.try_get("", "current_chapter")?,
            rating: row.try_get("", "rating")?,
            notes: row.try_get("", "notes")?,
            progress_created: row.try_get("", "progress_created")?,
            progress_updated: row.try_get("", "progress_updated")?,
            story_id: row.try_get("", "story_id")?,
            public_id: row.try_get("", "public_id")?,
            title: row.try_get("", "title")?,
            author: row.try_get("", "author")?,
            url: row.try_get("", "url")?,
            source: row.try_get("", "source")?,
            status: row.try_get("", "status")?,
            description: row.try_get("", "description")?,
            summary: row.try_get("", "summary")?,
            chapter_count: row.try_get("", "chapter_count")?,
            word_count: row.try_get("", "word_count")?,
            is_nsfw: row.try_get("", "is_nsfw")?,
            story_created: row.try_get("", "story_created")?,
            story_updated: row.try_get("", "story_updated")?,
        })
    }
}
