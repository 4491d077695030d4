//! Erasure of an account: all rows of a user go in one transaction, and a last epoch reports it to their devices.
//!
//! The user's row stays for as long as history is kept, with `library_erased`, the epoch that the erasure began. A device
//! that was offline has a head of an earlier epoch, and is notified to empty its copy and its outbox. After that time,
//! [retention](super::retention) deletes the row.
//!
//! **Invariant:** a confirmation is redeemed in the transaction that erases, so it erases at most once.
//! **Invariant:** a write that waited for the erasure is refused if its device's copy is older than it.

use std::{sync::atomic::Ordering, time::Duration};

use metrics::counter;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement, Value};

use super::{
    database::{
        clock,
        dialect::{greatest, least},
        pools::Database,
        transaction::{Purpose, Transaction},
    },
    error::Error,
    handle::Library,
    read::head_reader::Reason,
};
use crate::version::{Epoch, Head, UserId, Version};

/// The tables with rows of a user, before those that they reference.
const TABLES: [&str; 18] = [
    "topaz_stream",
    "topaz_device",
    "topaz_ticket",
    "topaz_usage",
    "topaz_push_endpoint",
    "topaz_webhook",
    "topaz_receipt",
    "topaz_field_change",
    "topaz_write",
    "topaz_label_removal",
    "topaz_undone_removal",
    "topaz_tombstone",
    "topaz_story_tag",
    "topaz_story_fandom",
    "topaz_progress",
    "topaz_story",
    "topaz_tag",
    "topaz_fandom",
];

/// Rows per statement, so that each statement ends within its time limit.
const BATCH: u64 = 5_000;

/// Attempts to empty SQLite's write-ahead log at once, and the time between them. After them, each purge tries.
const CHECKPOINTS: u32 = 5;
const BETWEEN_CHECKPOINTS: Duration = Duration::from_millis(100);

/// What an erasure did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// The head of the empty library, of a new epoch.
    pub head: Head,
    /// Number of deleted rows.
    pub rows: u64,
}

impl Library {
    /// Erases everything that is stored for `user`, and begins the epoch that reports it. With `confirmation`, the digest
    /// of a ticket, it does so only if the ticket is valid and of this user. `None` if it is not, or if the user does not
    /// exist.
    ///
    /// # Errors
    /// When the database does not answer. Nothing is erased then.
    pub async fn erase_account(
        &self,
        user: &UserId,
        confirmation: Option<String>,
    ) -> Result<Option<Erased>, Error> {
        let (library, user) = (self.clone(), user.clone());
        let erasure = async move {
            library.db.check_file()?;
            let _turn = library.db.admit_write_alone(&user).await?;
            let Some(erased) = erase(&library.db, &user, confirmation).await? else {
                return Ok(None);
            };
            library.device_log.forget_user(&user);
            library.uses.forget_user(&user);
            library.db.wrote();
            library.announce(&user, erased.head, None);
            counter!("library_sync_erasures_total").increment(1);
            tracing::info!(
                user.id = user.as_str(),
                rows = erased.rows,
                "account erased"
            );
            library.scrub_log().await;
            Ok(Some(erased))
        };
        self.writes.spawn(erasure).await.map_err(Error::fault)?
    }

    /// Returns the epoch that the last erasure of the account began, if any. Streams that ask at the same time share a
    /// statement.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn erased_epoch(&self, user: &UserId) -> Result<Option<Epoch>, Error> {
        Ok(self.head_reader.read(user, Reason::Request).await?.erased())
    }

    /// Empties SQLite's write-ahead log, which still holds the erased rows. While other connections read it, it cannot be
    /// emptied; the next purge then tries again.
    async fn scrub_log(&self) {
        self.unscrubbed.store(true, Ordering::Relaxed);
        for _ in 0..CHECKPOINTS {
            if self.scrub_log_once().await {
                return;
            }
            tokio::time::sleep(BETWEEN_CHECKPOINTS).await;
        }
    }

    /// Empties the write-ahead log if an erasure left rows in it. Returns whether none are left.
    pub(super) async fn scrub_log_once(&self) -> bool {
        if self.db.backend() != DbBackend::Sqlite || !self.unscrubbed.load(Ordering::Relaxed) {
            return true;
        }
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        let checkpoint = Statement::from_string(DbBackend::Sqlite, checkpoint);
        let row = self
            .db
            .in_time(self.db.probe.query_one_raw(checkpoint))
            .await;
        let is_busy = row.map(|row| row.map_or(Ok(1), |row| row.try_get_by_index::<i32>(0)));
        let is_done = matches!(is_busy, Ok(Ok(0)));
        if is_done {
            self.unscrubbed.store(false, Ordering::Relaxed);
        }
        is_done
    }
}

async fn erase(
    db: &Database,
    user: &UserId,
    confirmation: Option<String>,
) -> Result<Option<Erased>, Error> {
    let tx = Transaction::begin(&db.write, Purpose::Write).await?;
    let Some(head) = begin_last_epoch(&tx, user).await? else {
        tx.roll_back().await?;
        return Ok(None);
    };
    if let Some(digest) = confirmation
        && !redeem(&tx, user, digest).await?
    {
        tx.roll_back().await?;
        return Ok(None);
    }
    let mut rows = 0;
    for table in TABLES {
        rows += empty(&tx, user, table).await?;
    }
    tx.commit().await?;
    Ok(Some(Erased { head, rows }))
}

/// Locks the user's row, and begins the epoch of the empty library. The version grows too, for clients that compare
/// versions only.
async fn begin_last_epoch(tx: &Transaction, user: &UserId) -> Result<Option<Head>, Error> {
    let backend = tx.get_database_backend();
    let (greatest, least) = (greatest(backend), least(backend));
    let next = format!("{least}(library_version, {} - 1) + 1", i32::MAX);
    let begin = format!(
        "UPDATE topaz_user SET library_epoch = {greatest}({}, library_epoch + 1), library_version = {next}, \
           library_floor = {next}, library_counted = 0, library_stories = 0, library_tags = 0, library_fandoms = 0, \
           library_bytes = 0 WHERE subject = $1",
        clock::sql(backend),
    );
    let mark = "UPDATE topaz_user SET library_erased = library_epoch WHERE subject = $1 \
         RETURNING library_epoch, library_version";
    let statement =
        |sql: &str| Statement::from_sql_and_values(backend, sql, [user.as_str().into()]);
    tx.execute_raw(statement(&begin)).await?;
    let Some(row) = tx.query_one_raw(statement(mark)).await? else {
        return Ok(None);
    };
    Ok(Some(Head {
        epoch: Epoch::new(row.try_get("", "library_epoch")?),
        version: Version::new(row.try_get("", "library_version")?),
    }))
}

/// Deletes the ticket of this user. Returns whether it was valid.
async fn redeem(tx: &Transaction, user: &UserId, digest: String) -> Result<bool, Error> {
    let backend = tx.get_database_backend();
    let now = clock::sql(backend);
    let take = format!(
        "DELETE FROM topaz_ticket WHERE digest = $1 AND user_id = $2 AND lapses_at > {now} AND expires_at > {now}"
    );
    let values: [Value; 2] = [digest.into(), user.as_str().into()];
    let taken = Statement::from_sql_and_values(backend, take, values);
    Ok(tx.execute_raw(taken).await?.rows_affected() > 0)
}

/// Deletes the user's rows of a table. Returns their number.
async fn empty(tx: &Transaction, user: &UserId, table: &str) -> Result<u64, Error> {
    let backend = tx.get_database_backend();
    let page = |place| format!("SELECT {place} FROM {table} WHERE user_id = $1 LIMIT {BATCH}");
    let sql = match backend {
        DbBackend::Sqlite => format!("DELETE FROM {table} WHERE rowid IN ({})", page("rowid")),
        _ => format!(
            "DELETE FROM {table} WHERE ctid = ANY(ARRAY({}))",
            page("ctid")
        ),
    };
    let mut rows = 0;
    loop {
        let delete = Statement::from_sql_and_values(backend, &sql, [user.as_str().into()]);
        let deleted = tx.execute_raw(delete).await?.rows_affected();
        rows += deleted;
        if deleted < BATCH {
            return Ok(rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::database::schema_check::NEEDED;

    #[test]
    fn every_table_with_rows_of_a_user_is_erased() {
        for (table, columns) in NEEDED {
            let has_user = columns.split_whitespace().any(|column| column == "user_id");
            assert_eq!(TABLES.contains(&table), has_user, "{table}");
        }
    }
}
