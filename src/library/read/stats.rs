//! Statistics of a library, counted in one statement and so at one version.

use sea_orm::{ConnectionTrait as _, EntityTrait as _, Statement};

use crate::{
    library::{entity::user, error::Error, handle::Library},
    version::{Head, UserId, Version},
};

/// Statistics of a library.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// The version that was counted.
    pub version: Version,
    /// Number of entries: stories with their progress.
    pub stories: i64,
    /// Entries by reading status.
    pub by_status: StatusCounts,
    /// Entries with a rating.
    pub rated: i64,
    /// Mean rating in stars; `None` without ratings.
    pub average_rating: Option<f64>,
    /// Entries with notes.
    pub with_notes: i64,
    /// Entries that are not safe for work.
    pub nsfw: i64,
    /// Sum of the chapters read.
    pub chapters_read: i64,
    /// Sum of the published chapters, where known.
    pub chapters: i64,
    /// Sum of the published words, where known.
    pub words: i64,
    /// Number of tags, used or not.
    pub tags: i64,
    /// Number of fandoms, used or not.
    pub fandoms: i64,
}

/// Entries by reading status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the names of ProgressStatus")]
pub struct StatusCounts {
    pub not_started: i64,
    pub reading: i64,
    pub paused: i64,
    pub completed: i64,
    pub dropped: i64,
    pub plan_to_read: i64,
    pub dropped_as_abandoned: i64,
}

/// Counts without a join of stories and progresses, because every story has one progress.
const COUNT: &str = "
SELECT u.library_version, p.*, s.*,
  (SELECT count(*) FROM topaz_tag WHERE user_id = $1) AS tags,
  (SELECT count(*) FROM topaz_fandom WHERE user_id = $1) AS fandoms
FROM topaz_user AS u, (
  SELECT count(*) AS stories,
    count(*) FILTER (WHERE status = 'NotStarted') AS not_started,
    count(*) FILTER (WHERE status = 'Reading') AS reading,
    count(*) FILTER (WHERE status = 'Paused') AS paused,
    count(*) FILTER (WHERE status = 'Completed') AS completed,
    count(*) FILTER (WHERE status = 'Dropped') AS dropped,
    count(*) FILTER (WHERE status = 'PlanToRead') AS plan_to_read,
    count(*) FILTER (WHERE status = 'DroppedAsAbandoned') AS dropped_as_abandoned,
    count(rating) AS rated,
    coalesce(sum(rating), 0) AS tenths,
    count(*) FILTER (WHERE search_key <> '') AS with_notes,
    coalesce(sum(current_chapter), 0) AS chapters_read
  FROM topaz_progress WHERE user_id = $1
) AS p, (
  SELECT count(*) FILTER (WHERE is_nsfw) AS nsfw,
    coalesce(sum(chapter_count), 0) AS chapters,
    coalesce(sum(word_count), 0) AS words
  FROM topaz_story WHERE user_id = $1
) AS s
WHERE u.subject = $1";

impl Library {
    /// Counts the user's library.
    pub async fn stats(&self, user: &UserId) -> Result<Stats, Error> {
        let reader = self.db.reader(user).await?;
        let backend = reader.get_database_backend();
        let count = Statement::from_sql_and_values(backend, COUNT, [user.as_str().into()]);
        let row = reader.query_one_raw(count).await?;
        drop(reader);
        let row = row.ok_or_else(|| Error::fault("the viewer's row is missing"))?;
        let number = |column: &str| row.try_get::<i64>("", column);
        let (rated, tenths) = (number("rated")?, number("tenths")?);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a library has far fewer than 2^52 entries"
        )]
        let average_rating = (rated > 0).then(|| tenths as f64 / rated as f64 / 10.0);
        Ok(Stats {
            version: Version::new(row.try_get("", "library_version")?),
            stories: number("stories")?,
            by_status: StatusCounts {
                not_started: number("not_started")?,
                reading: number("reading")?,
                paused: number("paused")?,
                completed: number("completed")?,
                dropped: number("dropped")?,
                plan_to_read: number("plan_to_read")?,
                dropped_as_abandoned: number("dropped_as_abandoned")?,
            },
            rated,
            average_rating,
            with_notes: number("with_notes")?,
            nsfw: number("nsfw")?,
            chapters_read: number("chapters_read")?,
            chapters: number("chapters")?,
            words: number("words")?,
            tags: number("tags")?,
            fandoms: number("fandoms")?,
        })
    }

    /// Returns the user's head, and the floor: the oldest version since which changes are known.
    pub async fn head_and_floor(&self, user: &UserId) -> Result<(Head, Version), Error> {
        let reader = self.db.fresh_reader(user).await?;
        let row = user::Entity::find_by_id(user.as_str()).one(&reader);
        let row = self.db.in_time(row).await?;
        let row = row.ok_or_else(|| Error::fault("the viewer's row is missing"))?;
        Ok((row.head(), Version::new(row.library_floor)))
    }
}
