//! Forgetting: what is kept for clients that come back is kept for a time, and then purged in small steps.
//!
//! **Invariant:** the floor is raised in the transaction that purges, over everything that it purges, so that no client
//! is answered from a history with a hole in it.

use std::time::Duration;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DatabaseConnection, EntityTrait as _, ExprTrait as _,
    QueryFilter as _, Statement, TransactionTrait as _,
    sea_query::{Expr, Query},
};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::{
    Library,
    database::write_transaction,
    entity::{millis, now, user},
    error::Error,
};
use crate::version::UserId;

/// After how many steps in a row that the database did not answer the rest is left for the next time.
const UNANSWERED: u32 = 3;

/// How many users one statement finds, and how many rows one transaction purges.
const BATCH: u64 = 500;

/// The tables of the users' histories, what tells the rows of one user apart, and when each was written.
const HISTORY: [(&str, &str, &str); 3] = [
    ("topaz_tombstone", "kind, id", "removed_at"),
    ("topaz_label_removal", "stamp, kind, id", "removed_at"),
    ("topaz_field_change", "kind, id, stamp, field", "changed_at"),
];

/// How long what a client may come back for is kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Tombstones, what fields held, and which device made which change: how long a client may be away and still be
    /// brought up to date rather than start afresh.
    pub history: Duration,
    /// Receipts: how long a mutation may wait to be replayed.
    pub receipts: Duration,
}

impl Library {
    /// Purges what is too old, now and then every `period`, until `stop`.
    pub async fn keep_purging(
        &self,
        retention: Retention,
        period: Duration,
        stop: CancellationToken,
    ) {
        while !stop.is_cancelled() {
            // What went wrong is logged, and left for the next time.
            let _ = self.purge_until(retention, &stop).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(period) => {}
            }
        }
    }

    /// Purges everything that is too old, and the tickets that have lapsed. What cannot be purged now is left for the
    /// next time, and holds up nothing else.
    ///
    /// # Errors
    /// The last of what went wrong. All of it is logged.
    pub async fn purge(&self, retention: Retention) -> Result<(), Error> {
        self.purge_until(retention, &CancellationToken::new()).await
    }

    async fn purge_until(
        &self,
        retention: Retention,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let (history, receipts) = (ago(retention.history), ago(retention.receipts));
        let mut outcome = Ok(());
        // One user's rows may be too many to be purged in time; the database that answers for nobody is away.
        let mut unanswered = 0;
        let mut note = |step: Result<(), Error>| {
            let Err(error) = step else {
                unanswered = 0;
                return true;
            };
            warn(&error);
            unanswered += u32::from(matches!(error, Error::Unavailable(_)));
            outcome = Err(error);
            unanswered < UNANSWERED
        };
        for (table, key, time, cutoff) in [
            ("topaz_ticket", "digest", "lapses_at", now()),
            (
                "topaz_receipt",
                "user_id, idempotency_key",
                "created_at",
                receipts,
            ),
            (
                "topaz_write",
                "user_id, epoch, version",
                "written_at",
                history,
            ),
        ] {
            if !note(self.purge_rows(table, key, time, cutoff, stop).await) {
                return outcome;
            }
        }
        for (table, _, time) in HISTORY {
            let mut last = String::new();
            while !stop.is_cancelled() {
                let users = match self.users_before(table, time, history, &last).await {
                    Ok(users) => users,
                    Err(error) => {
                        note(Err(error));
                        break;
                    }
                };
                let Some(user) = users.last() else { break };
                user.as_str().clone_into(&mut last);
                for user in users {
                    if stop.is_cancelled() || !note(self.purge_history(user, history, stop).await) {
                        return outcome;
                    }
                }
            }
        }
        outcome
    }

    /// The next users after `last` with something in `table` whose `time` is before `cutoff`.
    async fn users_before(
        &self,
        table: &str,
        time: &str,
        cutoff: OffsetDateTime,
        last: &str,
    ) -> Result<Vec<UserId>, Error> {
        let sql = format!(
            "SELECT DISTINCT user_id FROM {table} WHERE {time} < $1 AND user_id > $2 ORDER BY user_id LIMIT {BATCH}"
        );
        let db = &self.db.fresh;
        let values = [millis(cutoff).into(), last.into()];
        let select = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
        let rows = self.db.in_time(db.query_all_raw(select)).await?;
        rows.iter()
            .map(|row| UserId::new(&row.try_get_by_index::<String>(0)?).map_err(Error::fault))
            .collect()
    }

    /// Purges one user's history up to the newest version that is all too old, a batch a transaction. Each is a task of
    /// its own, as every write is.
    async fn purge_history(
        &self,
        user: UserId,
        cutoff: OffsetDateTime,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let Some(floor) = self.newest_before(&user, cutoff).await? else {
            return Ok(());
        };
        while !stop.is_cancelled() {
            let purge = purge_batch(self.db.write.clone(), user.clone(), floor);
            if self.write_apart(purge).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// The newest version of which something is to be purged.
    async fn newest_before(
        &self,
        user: &UserId,
        cutoff: OffsetDateTime,
    ) -> Result<Option<i32>, Error> {
        let db = &self.db.fresh;
        let mut newest = None;
        for (table, _, time) in HISTORY {
            let sql = format!("SELECT max(stamp) FROM {table} WHERE user_id = $1 AND {time} < $2");
            let values = [user.as_str().into(), millis(cutoff).into()];
            let select = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
            if let Some(row) = self.db.in_time(db.query_one_raw(select)).await? {
                newest = Ord::max(newest, row.try_get_by_index(0)?);
            }
        }
        Ok(newest)
    }

    /// Deletes the rows of `table` whose `time` is before `cutoff`, a batch a statement. They are told apart by `key`.
    async fn purge_rows(
        &self,
        table: &str,
        key: &str,
        time: &str,
        cutoff: OffsetDateTime,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let sql = format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {time} < $1 LIMIT {BATCH})"
        );
        let db = &self.db.write;
        while !stop.is_cancelled() {
            let values = [millis(cutoff).into()];
            let delete = Statement::from_sql_and_values(db.get_database_backend(), &sql, values);
            let deleted = self.db.in_time(db.execute_raw(delete)).await?;
            if deleted.rows_affected() == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Begins a new epoch for `user`, or for everybody: after a restore from a backup, when clients may hold versions
    /// that the database has forgotten. Each of them starts afresh. Returns how many users there were.
    pub async fn begin_epoch(&self, user: Option<&UserId>) -> Result<u64, Error> {
        let (epoch, version) = (user::Column::LibraryEpoch, user::Column::LibraryVersion);
        let now = i64::try_from(now().unix_timestamp_nanos() / 1_000_000).map_err(Error::fault)?;
        // Greater than before, even if this clock is behind the one that began the last.
        let next = Expr::case(Expr::col(epoch).lt(now), now).finally(Expr::col(epoch).add(1));
        let mut update = Query::update();
        update
            .table(user::Entity)
            .value(epoch, next)
            .value(user::Column::LibraryFloor, Expr::col(version));
        if let Some(user) = user {
            update.and_where(user::Column::Subject.eq(user.as_str()));
        }
        Ok(self.db.write.execute(&update).await?.rows_affected())
    }
}

/// Raises the floor of `user` and purges a batch of what is not above it. Returns how many rows there were.
async fn purge_batch(db: DatabaseConnection, user: UserId, floor: i32) -> Result<u64, Error> {
    let tx = db.begin_with_options(write_transaction()).await?;
    // Raised or not, the user's row is locked, so that this and a write of the user do not meet halfway.
    let lower = Expr::col(user::Column::LibraryFloor).lt(floor);
    let raised = Expr::case(lower, floor).finally(Expr::col(user::Column::LibraryFloor));
    user::Entity::update_many()
        .col_expr(user::Column::LibraryFloor, raised.into())
        .filter(user::Column::Subject.eq(user.as_str()))
        .exec(&tx)
        .await?;
    let mut purged = 0;
    for (table, key, _) in HISTORY {
        let sql = format!(
            "DELETE FROM {table} WHERE user_id = $1 AND ({key}) IN \
             (SELECT {key} FROM {table} WHERE user_id = $1 AND stamp <= $2 LIMIT {BATCH})"
        );
        let values = [user.as_str().into(), floor.into()];
        let delete = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
        purged += tx.execute_raw(delete).await?.rows_affected();
    }
    tx.commit().await?;
    Ok(purged)
}

/// The time so long ago; the beginning of time when it would be before that.
fn ago(duration: Duration) -> OffsetDateTime {
    let duration = time::Duration::try_from(duration).unwrap_or(time::Duration::MAX);
    let ago = now().checked_sub(duration);
    ago.map_or(OffsetDateTime::UNIX_EPOCH, |ago| {
        Ord::max(ago, OffsetDateTime::UNIX_EPOCH)
    })
}

fn warn(error: &Error) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "old history could not be purged"
    );
}
