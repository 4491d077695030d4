//! Forgetting: what is kept for clients that come back is kept for a time, and then purged in small steps.
//!
//! **Invariant:** the floor is raised in the transaction that purges, over everything that it purges, so that no client
//! is answered from a history with a hole in it.

use std::time::Duration;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, ExprTrait as _, QueryFilter as _,
    QuerySelect as _, Statement, TransactionTrait as _,
    sea_query::{Expr, Query},
};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::{
    Library,
    database::write_transaction,
    entity::{field_change, millis, now, tombstone, user},
    error::Error,
};
use crate::version::UserId;

/// How many users, receipts or log entries one step purges.
const BATCH: u64 = 500;

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
        loop {
            if let Err(error) = self.purge(retention).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "old history could not be purged"
                );
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(period) => {}
            }
        }
    }

    /// Purges everything that is too old, a batch at a time, and the tickets that have lapsed.
    pub async fn purge(&self, retention: Retention) -> Result<(), Error> {
        let (history, receipts) = (now() - retention.history, now() - retention.receipts);
        loop {
            let users = self.users_with_history_before(history).await?;
            if users.is_empty() {
                break;
            }
            for user in users {
                self.purge_history(user, history).await?;
            }
        }
        self.purge_rows(
            "topaz_receipt",
            "user_id, idempotency_key",
            "created_at",
            receipts,
        )
        .await?;
        self.purge_rows("topaz_ticket", "digest", "lapses_at", now())
            .await?;
        self.purge_rows(
            "topaz_write",
            "user_id, epoch, version",
            "written_at",
            history,
        )
        .await
    }

    async fn users_with_history_before(
        &self,
        cutoff: OffsetDateTime,
    ) -> Result<Vec<UserId>, Error> {
        let mut users: Vec<String> = tombstone::Entity::find()
            .select_only()
            .column(tombstone::Column::UserId)
            .filter(tombstone::Column::RemovedAt.lt(millis(cutoff)))
            .distinct()
            .limit(BATCH)
            .into_tuple()
            .all(&self.db.fresh)
            .await?;
        if users.is_empty() {
            users = field_change::Entity::find()
                .select_only()
                .column(field_change::Column::UserId)
                .filter(field_change::Column::ChangedAt.lt(millis(cutoff)))
                .distinct()
                .limit(BATCH)
                .into_tuple()
                .all(&self.db.fresh)
                .await?;
        }
        users
            .iter()
            .map(|user| UserId::new(user).map_err(Error::fault))
            .collect()
    }

    /// Purges one user's history up to the newest version that is all too old, and raises their floor to it. In a task
    /// of its own, as every write is.
    async fn purge_history(&self, user: UserId, cutoff: OffsetDateTime) -> Result<(), Error> {
        let library = self.clone();
        let purge = async move {
            let tx = library
                .db
                .write
                .begin_with_options(write_transaction())
                .await?;
            let newest_tombstone: Option<Option<i32>> = tombstone::Entity::find()
                .select_only()
                .column_as(tombstone::Column::Stamp.max(), "stamp")
                .filter(tombstone::Column::UserId.eq(user.as_str()))
                .filter(tombstone::Column::RemovedAt.lt(millis(cutoff)))
                .into_tuple()
                .one(&tx)
                .await?;
            let newest_change: Option<Option<i32>> = field_change::Entity::find()
                .select_only()
                .column_as(field_change::Column::Stamp.max(), "stamp")
                .filter(field_change::Column::UserId.eq(user.as_str()))
                .filter(field_change::Column::ChangedAt.lt(millis(cutoff)))
                .into_tuple()
                .one(&tx)
                .await?;
            let Some(floor) = Ord::max(newest_tombstone.flatten(), newest_change.flatten()) else {
                return Ok(tx.rollback().await?);
            };
            user::Entity::update_many()
                .col_expr(user::Column::LibraryFloor, Expr::value(floor))
                .filter(user::Column::Subject.eq(user.as_str()))
                .filter(user::Column::LibraryFloor.lt(floor))
                .exec(&tx)
                .await?;
            tombstone::Entity::delete_many()
                .filter(tombstone::Column::UserId.eq(user.as_str()))
                .filter(tombstone::Column::Stamp.lte(floor))
                .exec(&tx)
                .await?;
            field_change::Entity::delete_many()
                .filter(field_change::Column::UserId.eq(user.as_str()))
                .filter(field_change::Column::Stamp.lte(floor))
                .exec(&tx)
                .await?;
            Ok(tx.commit().await?)
        };
        self.writes.spawn(purge).await.map_err(Error::fault)?
    }

    /// Deletes the rows of `table` whose `time` is before `cutoff`, a batch a statement. They are told apart by `key`.
    async fn purge_rows(
        &self,
        table: &str,
        key: &str,
        time: &str,
        cutoff: OffsetDateTime,
    ) -> Result<(), Error> {
        let sql = format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {time} < $1 LIMIT {BATCH})"
        );
        let db = &self.db.write;
        loop {
            let values = [millis(cutoff).into()];
            let delete = Statement::from_sql_and_values(db.get_database_backend(), &sql, values);
            if db.execute_raw(delete).await?.rows_affected() == 0 {
                return Ok(());
            }
        }
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
