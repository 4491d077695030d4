//! Logs each write, and limits the size of a user's history.
//!
//! Each log row contains the running total of the history that the user's writes produced. The stored size is the
//! difference between the newest and the oldest total. Rows purged by age count until the log rows up to them are gone,
//! so the limit takes effect early rather than late.
//!
//! **Invariant:** a write is never refused because of history. A write above the limit purges the oldest history, at most
//! [`BATCH`] versions, and raises the floor in the same transaction.

use sea_orm::{ConnectionTrait as _, Statement, Value};

use super::writer::LibraryWriter;
use crate::library::{entity::columns::millis, error::Error};

/// Versions that one write purges at most.
const BATCH: u32 = 256;

/// A purge frees this fraction of the limit below it, so that not every write purges.
const SLACK: i64 = 16;

const RECORD: &str = "
INSERT INTO topaz_write (user_id, epoch, version, kinds, device_id, device_name, written_at, traceparent, total)
VALUES ($1, $2, $3, $4, $5, $6, $7, $9, $8 + coalesce(
  (SELECT total FROM topaz_write WHERE user_id = $1 ORDER BY epoch DESC, version DESC LIMIT 1), 0))
RETURNING total, (SELECT total FROM topaz_write WHERE user_id = $1 ORDER BY epoch, version LIMIT 1) AS oldest";

/// The newest of the oldest writes up to a total.
const NEWEST_TO_PURGE: &str = "
SELECT epoch, version FROM (
  SELECT epoch, version, total FROM topaz_write WHERE user_id = $1 ORDER BY epoch, version LIMIT $2
) AS oldest
WHERE total <= $3 ORDER BY epoch DESC, version DESC LIMIT 1";

const PURGES: [&str; 4] = [
    "DELETE FROM topaz_field_change WHERE user_id = $1 AND stamp <= $2",
    "DELETE FROM topaz_tombstone WHERE user_id = $1 AND stamp <= $2",
    "DELETE FROM topaz_undone_removal WHERE user_id = $1 AND stamp <= $2",
    "DELETE FROM topaz_label_removal WHERE user_id = $1 AND stamp <= $2",
];

const RAISE_FLOOR: &str =
    "UPDATE topaz_user SET library_floor = $2 WHERE subject = $1 AND library_floor < $2";

impl LibraryWriter {
    /// Logs the write, stores the size of the library, and purges the oldest history if the limit is exceeded.
    pub(super) async fn log(&mut self) -> Result<(), Error> {
        self.leave_history(0);
        let device = self.device.as_ref();
        let kinds: Vec<_> = self.touched.iter().map(|kind| kind.name()).collect();
        let values = vec![
            self.user.as_str().into(),
            self.head.epoch.number().into(),
            self.head.version.number().into(),
            kinds.join(" ").into(),
            device.map(|device| device.id().to_owned()).into(),
            device
                .and_then(|device| device.name().map(str::to_owned))
                .into(),
            millis(self.now).into(),
            self.history.into(),
            self.trace.map(|trace| trace.to_string()).into(),
        ];
        let insert = self.with_size(RECORD, values);
        let row = self.tx.query_one_raw(insert).await?;
        let row = row.ok_or_else(|| Error::fault("an insert returned no row"))?;
        let total: i64 = row.try_get("", "total")?;
        let oldest: Option<i64> = row.try_get("", "oldest")?;
        let most = self.limits.max_history_bytes;
        if most > 0 && oldest.is_some_and(|oldest| total - oldest > most) {
            self.purge_history(total - (most - most / SLACK)).await?;
        }
        Ok(())
    }

    /// Purges the history of the oldest versions, up to the running total `upto`.
    async fn purge_history(&mut self, upto: i64) -> Result<(), Error> {
        let owner = self.user.clone();
        let user = || Value::from(owner.as_str());
        let oldest = [user(), i64::from(BATCH).into(), upto.into()];
        let backend = self.tx.get_database_backend();
        let select = Statement::from_sql_and_values(backend, NEWEST_TO_PURGE, oldest);
        let Some(row) = self.tx.query_one_raw(select).await? else {
            return Ok(());
        };
        let (epoch, version): (i64, i32) = (row.try_get("", "epoch")?, row.try_get("", "version")?);
        // Versions of an older epoch are not comparable, but the floor is above everything of that epoch.
        let purged = if epoch == self.head.epoch.number() {
            version
        } else {
            Ord::min(version, self.floor.number())
        };
        for sql in PURGES {
            let purge = Statement::from_sql_and_values(backend, sql, [user(), purged.into()]);
            self.purged += self.tx.execute_raw(purge).await?.rows_affected();
        }
        let raise = Statement::from_sql_and_values(backend, RAISE_FLOOR, [user(), purged.into()]);
        self.tx.execute_raw(raise).await?;
        let sql = "DELETE FROM topaz_write WHERE user_id = $1 AND (epoch, version) <= ($2, $3)";
        let values = [user(), epoch.into(), version.into()];
        let purge = Statement::from_sql_and_values(backend, sql, values);
        self.tx.execute_raw(purge).await?;
        Ok(())
    }
}
