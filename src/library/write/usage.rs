//! What a library holds: kept in the user's row, and checked against the limits, at the end of each change of it.
//!
//! **Invariant:** the kept counts are exact where `library_counted` is the row's version. The bump moves both, so they
//! part only when something that does not count has bumped the version; then the next change counts anew.

use sea_orm::{ConnectionTrait as _, QueryResult, Statement, Value};

use super::writer::LibraryWriter;
use crate::library::{
    error::Error,
    model::limits::{GrowthFields, Usage},
};

/// Adds to the counts, if they are those of this version.
const ADD: &str = "
UPDATE topaz_user SET
  library_stories = library_stories + $2, library_tags = library_tags + $3,
  library_fandoms = library_fandoms + $4, library_bytes = library_bytes + $5
WHERE subject = $1 AND library_counted = library_version
RETURNING library_stories AS stories, library_tags AS tags, library_fandoms AS fandoms, library_bytes AS bytes";

/// Counts what there is. As [`Usage`] says, a label on a story is 32 bytes.
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

/// Puts counts of this version.
const PUT: &str = "
UPDATE topaz_user SET library_stories = $2, library_tags = $3, library_fandoms = $4, library_bytes = $5,
  library_counted = library_version
WHERE subject = $1";

impl LibraryWriter {
    /// Notes what the change adds to the library.
    pub(super) fn grow(&mut self, by: Usage) {
        self.grown += by;
    }

    /// Notes what the change takes from the library.
    pub(super) fn shrink(&mut self, by: Usage) {
        self.grown -= by;
    }

    /// Notes that the change is an import, whose fields are others.
    pub(super) fn grow_by_import(&mut self) {
        self.growth_fields = GrowthFields::IMPORT;
    }

    /// Keeps what the library holds after the change.
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
            None => self.count_anew().await?,
        };
        holds.allow(self.grown, self.limits, &self.growth_fields)
    }

    async fn count_anew(&self) -> Result<Usage, Error> {
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

fn usage(row: &QueryResult) -> Result<Usage, Error> {
    Ok(Usage {
        stories: row.try_get("", "stories")?,
        tags: row.try_get("", "tags")?,
        fandoms: row.try_get("", "fandoms")?,
        bytes: row.try_get("", "bytes")?,
    })
}
