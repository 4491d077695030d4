//! Reads the rows of a large result in batches, within a transaction.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};

/// Rows that are read and written at once.
pub(super) const BATCH: usize = 1_000;

/// A cursor of the transaction. At most [`BATCH`] rows are in memory.
pub(super) struct Cursor<'c, C> {
    db: &'c C,
    fetch: String,
    close: String,
}

impl<'c, C: ConnectionTrait> Cursor<'c, C> {
    /// Opens a cursor. Its name must be unique in the transaction: sqlx 0.9.0 caches the columns of each FETCH by its text
    /// (no issue is filed).
    #[expect(clippy::disallowed_methods, reason = "reads")]
    pub(super) async fn open(db: &'c C, name: &str, select: &str) -> Result<Self, DbErr> {
        db.execute_unprepared(&format!("DECLARE {name} NO SCROLL CURSOR FOR {select}"))
            .await?;
        Ok(Self {
            db,
            fetch: format!("FETCH {BATCH} FROM {name}"),
            close: format!("CLOSE {name}"),
        })
    }

    /// Returns the next rows. `None` at the end, which closes the cursor.
    #[expect(clippy::disallowed_methods, reason = "reads")]
    pub(super) async fn next(&mut self) -> Result<Option<Vec<QueryResult>>, DbErr> {
        let fetch = Statement::from_string(DbBackend::Postgres, self.fetch.as_str());
        let rows = self.db.query_all_raw(fetch).await?;
        if rows.is_empty() {
            self.db.execute_unprepared(&self.close).await?;
            return Ok(None);
        }
        Ok(Some(rows))
    }
}
