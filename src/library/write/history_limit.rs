//! The record of each write, and the limit of the history that one user's writes leave.
//!
//! Each record has the total of the history that the user's writes have left so far, so the size of what is kept is the
//! difference of the newest and the oldest total. What was removed in between (by age) is counted until the records up
//! to it are gone, so the limit is kept, if anything, too early.
//!
//! **Invariant:** a write is never refused because of history. One that finds more than the limit purges some of the
//! oldest, at most [`BATCH`] versions, and raises the floor over them in the same transaction.

use sea_orm::{ConnectionTrait as _, Statement, Value};

use super::writer::LibraryWriter;
use crate::library::{entity::columns::millis, error::Error};

/// What a row of history counts beside its text, in bytes.
pub(super) const HISTORY_ROW: i64 = 200;

/// How many versions one write purges.
const BATCH: u32 = 256;

/// A purge goes on below the limit by this part of it, so that not every write purges.
const SLACK: i64 = 16;

const RECORD: &str = "
INSERT INTO topaz_write (user_id, epoch, version, kinds, device_id, device_name, written_at, total)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8 + coalesce(
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
    "DELETE FROM topaz_label_removal WHERE user_id = $1 AND stamp <= $2",
    "UPDATE topaz_user SET library_floor = $2 WHERE subject = $1 AND library_floor < $2",
];

impl LibraryWriter {
    /// Records what was changed and from where, and purges the oldest history if there is too much.
    pub(super) async fn log(&mut self) -> Result<(), Error> {
        self.leave_history(0);
        let device = self.device.as_ref();
        let kinds: Vec<_> = self.touched.iter().map(|kind| kind.name()).collect();
        let values = [
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
        ];
        let backend = self.tx.get_database_backend();
        let insert = Statement::from_sql_and_values(backend, RECORD, values);
        let row = self.tx.query_one_raw(insert).await?;
        let row = row.ok_or_else(|| Error::fault("an insert returned no row"))?;
        let total: i64 = row.try_get("", "total")?;
        let oldest: Option<i64> = row.try_get("", "oldest")?;
        let most = self.limits.history_bytes;
        if most > 0 && oldest.is_some_and(|oldest| total - oldest > most) {
            self.purge_history(total - (most - most / SLACK)).await?;
        }
        Ok(())
    }

    /// Purges the history of the oldest versions, up to the total `upto`.
    async fn purge_history(&self, upto: i64) -> Result<(), Error> {
        let user = || Value::from(self.user.as_str());
        let oldest = [user(), i64::from(BATCH).into(), upto.into()];
        let backend = self.tx.get_database_backend();
        let select = Statement::from_sql_and_values(backend, NEWEST_TO_PURGE, oldest);
        let Some(row) = self.tx.query_one_raw(select).await? else {
            return Ok(());
        };
        let (epoch, version): (i64, i32) = (row.try_get("", "epoch")?, row.try_get("", "version")?);
        // A version of an older epoch says nothing of this one's, but the floor is above all that an epoch left.
        let purged = if epoch == self.head.epoch.number() {
            version
        } else {
            Ord::min(version, self.floor.number())
        };
        for sql in PURGES {
            let purge = Statement::from_sql_and_values(backend, sql, [user(), purged.into()]);
            self.tx.execute_raw(purge).await?;
        }
        let sql = "DELETE FROM topaz_write WHERE user_id = $1 AND (epoch, version) <= ($2, $3)";
        let values = [user(), epoch.into(), version.into()];
        let purge = Statement::from_sql_and_values(backend, sql, values);
        self.tx.execute_raw(purge).await?;
        Ok(())
    }
}
