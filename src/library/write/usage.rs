//! The size of a library: stored in the user's row, and checked against the limits at the end of each change.
//!
//! **Invariant:** the stored counts are exact while `library_counted` equals `library_version`. The bump moves both. They
//! differ only after another program bumped the version; the next change then recounts.

use sea_orm::{ConnectionTrait as _, QueryResult, Statement, Value};

use super::writer::LibraryWriter;
use crate::library::{
    error::Error,
    model::limits::{GrowthFields, Usage},
};

/// Adds to the counts, if they belong to this version.
const ADD: &str = "
UPDATE topaz_user SET
  library_stories = library_stories + $2, library_tags = library_tags + $3,
  library_fandoms = library_fandoms + $4, library_bytes = library_bytes + $5
WHERE subject = $1 AND library_counted = library_version
RETURNING library_stories AS stories, library_tags AS tags, library_fandoms AS fandoms, library_bytes AS bytes";

/// Counts the rows and bytes. As in [`Usage`], a label on a story is 32 bytes.
const COUNT: &str = "
SELECT
  (SELECT count(*) FROM topaz_story WHERE user_id = $1) AS stories,
  (SELECT count(*) FROM topaz_tag WHERE user_id = $1) AS tags,
  (SELECT count(*) FROM topaz_fandom WHERE user_id = $1) AS fandoms,
  CAST((SELECT coalesce(sum(octet_length(title) + octet_length(author) + octet_length(coalesce(url_typed, url))
      + coalesce(octet_length(description), 0) + coalesce(octet_length(summary), 0)), 0)
    FROM topaz_story WHERE user_id = $1)
  + (SELECT coalesce(sum(octet_length(notes)), 0) FROM topaz_progress WHERE user_id = $1)
  + (SELECT coalesce(sum(octet_length(name)), 0) FROM topaz_tag WHERE user_id = $1)
  + (SELECT coalesce(sum(octet_length(name)), 0) FROM topaz_fandom WHERE user_id = $1)
  + 32 * (SELECT count(*) FROM topaz_story_tag WHERE user_id = $1)
  + 32 * (SELECT count(*) FROM topaz_story_fandom WHERE user_id = $1) AS bigint) AS bytes";

/// Stores the counts of this version.
const PUT: &str = "
UPDATE topaz_user SET library_stories = $2, library_tags = $3, library_fandoms = $4, library_bytes = $5,
  library_counted = library_version
WHERE subject = $1";

impl LibraryWriter {
    /// Adds to the growth of the library by this change.
    pub(super) fn grow(&mut self, by: Usage) {
        self.grown += by;
    }

    /// Subtracts from the growth of the library by this change.
    pub(super) fn shrink(&mut self, by: Usage) {
        self.grown -= by;
    }

    /// Marks the change as an import, which has other input fields.
    pub(super) fn grow_by_import(&mut self) {
        self.growth_fields = GrowthFields::IMPORT;
    }

    /// Stores the size of the library after the change.
    ///
    /// # Errors
    /// Refused when the library has grown past a limit.
    pub(in crate::library) async fn keep_usage(&self) -> Result<(), Error> {
        if self.grown == Usage::default() {
            return Ok(());
        }
        let holds = match self
            .tx
            .query_one_raw(self.statement(ADD, self.grown))
            .await?
        {
            Some(row) => usage(&row)?,
            None => self.recount().await?,
        };
        if self.is_mirror {
            return Ok(());
        }
        holds.allow(self.grown, self.limits, &self.growth_fields)
    }

    async fn recount(&self) -> Result<Usage, Error> {
        let backend = self.tx.get_database_backend();
        let count = Statement::from_sql_and_values(backend, COUNT, [self.user.as_str().into()]);
        let row = self.tx.query_one_raw(count).await?;
        let holds = usage(&row.ok_or_else(|| Error::fault("a count has no row"))?)?;
        self.tx.execute_raw(self.statement(PUT, holds)).await?;
        Ok(holds)
    }

    fn statement(&self, sql: &str, usage: Usage) -> Statement {
        let Usage {
            stories,
            tags,
            fandoms,
            bytes,
        } = usage;
        let counts = [stories, tags, fandoms, bytes].map(Value::from);
        let values = [Value::from(self.user.as_str())].into_iter().chain(counts);
        Statement::from_sql_and_values(self.tx.get_database_backend(), sql, values)
    }
}

pub(super) fn usage(row: &QueryResult) -> Result<Usage, Error> {
    Ok(Usage {
        stories: row.try_get("", "stories")?,
        tags: row.try_get("", "tags")?,
        fandoms: row.try_get("", "fandoms")?,
        bytes: row.try_get("", "bytes")?,
    })
}
