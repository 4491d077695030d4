//! The size of a library: stored in the user's row, and checked against the limits at the end of each change.
//!
//! In the flow: the bump reads the counts. The [log](super::history_limit) stores them with the change, in one statement.
//!
//! **Invariant:** the stored counts are exact while `library_counted` equals `library_version`. The bump moves both. They
//! differ only after another program bumped the version; the next change then recounts.

use sea_orm::{ConnectionTrait as _, DbBackend, Statement, Value};

use super::writer::LibraryWriter;
use crate::library::{
    entity::user::usage,
    error::Error,
    model::limits::{GrowthFields, Usage},
};

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

    /// Checks the size of the library after the change.
    ///
    /// # Errors
    /// Refused when the library has grown past a limit.
    pub(in crate::library) async fn check_size(&self) -> Result<(), Error> {
        if self.grown == Usage::default() {
            return Ok(());
        }
        let holds = match self.size {
            Some(size) => size + self.grown,
            None => self.recount().await?,
        };
        if self.is_mirror {
            return Ok(());
        }
        holds.allow(self.grown, self.limits, &self.growth_fields)
    }

    /// Counts and stores the size after the change.
    async fn recount(&self) -> Result<Usage, Error> {
        let backend = self.tx.get_database_backend();
        let user = || Value::from(self.user.as_str());
        let count = Statement::from_sql_and_values(backend, COUNT, [user()]);
        let row = self.tx.query_one_raw(count).await?;
        let holds = usage(&row.ok_or_else(|| Error::fault("a count has no row"))?)?;
        let values = std::iter::once(user()).chain(parameters(holds));
        let put = Statement::from_sql_and_values(backend, PUT, values);
        self.tx.execute_raw(put).await?;
        Ok(holds)
    }

    /// Returns a statement that also stores the size. The first of its `values` is the user.
    pub(super) fn with_size(&self, sql: &str, mut values: Vec<Value>) -> Statement {
        let backend = self.tx.get_database_backend();
        if self.size.is_none() || self.grown == Usage::default() {
            // Recounted, or unchanged.
            return Statement::from_sql_and_values(backend, sql, values);
        }
        let first = values.len() + 1;
        let add = format!(
            "UPDATE topaz_user SET library_stories = library_stories + ${first}, library_tags = library_tags + ${}, \
             library_fandoms = library_fandoms + ${}, library_bytes = library_bytes + ${} WHERE subject = $1",
            first + 1,
            first + 2,
            first + 3,
        );
        values.extend(parameters(self.grown));
        let both = match backend {
            DbBackend::Postgres => format!("WITH sized AS ({add}) {sql}"),
            // SQLite has no statements that change two tables. sqlx sends both at once, with the same parameters.
            _ => format!("{add}; {sql}"),
        };
        Statement::from_sql_and_values(backend, both, values)
    }
}

fn parameters(usage: Usage) -> [Value; 4] {
    let Usage {
        stories,
        tags,
        fandoms,
        bytes,
    } = usage;
    [stories, tags, fandoms, bytes].map(Value::from)
}
