//! New epochs: after a restore, for a database that has gone back in time, and for a user whose versions are exhausted.
//!
//! In the flow: each read of a head from the primary calls [`Library::settle`] with the head known before. A lower head
//! (failover to a lagging standby, or a restore under a running server) would issue versions again that devices already
//! hold, and their caches would diverge silently. So it begins a new epoch.
//!
//! **Invariant:** an epoch begins once, even if several nodes find the same fault: the update names the head it replaces.
//! **Invariant:** a new epoch is greater than any known epoch of the user, and its first version is greater than any
//! known version, so that clients that compare versions only reset too. Only exhausted versions restart at 1.
//! **Invariant:** users whose epochs begin together get different epochs. If a browser that two users share sends a head
//! of one user for the other, the head is of another epoch and begins none.
//! **Invariant:** a client's claim begins an epoch for that client's user only, at most once per [`CLAIM_INTERVAL`] over
//! all nodes.

use std::time::Duration;

use metrics::counter;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};

use super::{
    database::{
        clock,
        dialect::greatest,
        transaction::{Purpose, Transaction},
    },
    error::Error,
    handle::Library,
    read::head::find_head,
    write::mirror_guard,
};
use crate::version::{Epoch, Head, UserId, Version};

/// Minimum age of an epoch before a client's claim ends it: limits how often a malicious client can reset its own user's
/// devices.
const CLAIM_INTERVAL: Duration = Duration::from_mins(10);

/// Maximum distance, in versions, that a client's claim can move a library ahead. A claim beyond it counts as false.
const MAX_CLAIM_DISTANCE: i32 = 1_000_000;

/// Attempts to begin an epoch for a head that moves meanwhile.
const TRIES: u32 = 3;

/// Users per statement when an epoch begins for all.
const BATCH: u64 = 2_000;

/// Who reported the higher head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeadSource {
    /// This process, or a notice of another node.
    Server,
    /// A client, which can lie.
    Client,
}

impl Library {
    /// Returns the head of `user` given what was just `read` from the primary. A head below the one `known` before the
    /// read, or below what a client `claims` to have received in this epoch, begins a new epoch.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn settle(
        &self,
        user: &UserId,
        read: Head,
        known: Option<Head>,
        claims: Option<Head>,
    ) -> Result<Head, Error> {
        if higher(read, known, claims).is_none() {
            self.known.raise(user, read);
            return Ok(read);
        }
        // Boxed, because the future is large and rarely needed.
        Box::pin(self.settle_lower(user, read, known, claims)).await
    }

    /// Returns the head after one that may have fallen.
    async fn settle_lower(
        &self,
        user: &UserId,
        read: Head,
        known: Option<Head>,
        claims: Option<Head>,
    ) -> Result<Head, Error> {
        let mut head = read;
        for _ in 0..TRIES {
            let Some((reported, source)) = higher(head, known, claims) else {
                break;
            };
            let (db, of) = (self.db.write.clone(), user.clone());
            let begun = async move { begin_after(&db, &of, head, reported, source).await };
            if let Some(begun) = self.write_apart(begun).await? {
                log_begun(user, head, reported, source, begun);
                self.announce(user, begun, None);
                return Ok(begun);
            }
            // Another node was first, the head has moved, or the primary is ahead of what was read.
            let now = find_head(&self.db.write, user);
            let now = self.db.in_time(now).await?;
            let now = now.ok_or_else(|| Error::fault("the user's row is missing"))?;
            if now == head {
                break;
            }
            head = now;
        }
        self.known.raise(user, head);
        Ok(head)
    }

    /// Records the head of a notice. A head of another epoch is ignored: it may come from another installation on the
    /// same broker, and the two would begin epochs for each other endlessly.
    pub fn observe_head(&self, user: &UserId, head: Head) {
        let is_of_epoch = |known: Head| known.epoch == head.epoch;
        if self.known.of(user).is_some_and(is_of_epoch) {
            self.known.raise(user, head);
        }
    }

    /// Begins a new epoch for `user`, or for all users: after a restore from a backup, when clients may hold versions that
    /// the database no longer has. Their devices reset. Returns the number of users.
    pub async fn begin_epoch(&self, user: Option<&UserId>) -> Result<u64, Error> {
        let Some(user) = user else {
            return self.begin_epochs(|_| {}).await;
        };
        let db = &self.db.write;
        let update = begin_one(db.get_database_backend());
        let values = [user.as_str().into()];
        let update = Statement::from_sql_and_values(db.get_database_backend(), update, values);
        let updated = self.db.in_time(db.execute_raw(update)).await?;
        let users = updated.rows_affected();
        if users > 0 {
            // Open streams learn it at once.
            self.ask_to_recheck(user).await?;
        }
        Ok(users)
    }

    /// Begins a new epoch for all users in batches, and reports the running count to `progress`. Returns the number of
    /// users. It can be rerun after an interruption.
    pub async fn begin_epochs(&self, mut progress: impl FnMut(u64)) -> Result<u64, Error> {
        let db = &self.db.write;
        let backend = db.get_database_backend();
        let next = format!(
            "SELECT max(subject), {} FROM \
             (SELECT subject FROM topaz_user WHERE subject > $1 ORDER BY subject LIMIT {BATCH}) AS page",
            clock::sql(backend),
        );
        let update = begin_each(backend);
        let (mut after, mut users, mut unused) = (String::new(), 0, 0);
        loop {
            let values = [after.as_str().into()];
            let select = Statement::from_sql_and_values(backend, &next, values);
            let Some(row) = self.db.in_time(db.query_one_raw(select)).await? else {
                return Ok(users);
            };
            let Some(last) = row.try_get_by_index::<Option<String>>(0)? else {
                return Ok(users);
            };
            let first = Ord::max(unused, row.try_get_by_index::<i64>(1)?);
            let values = [after.into(), last.as_str().into(), first.into()];
            let batch = Statement::from_sql_and_values(backend, &update, values);
            let begun = self
                .db
                .in_time(db.execute_raw(batch))
                .await?
                .rows_affected();
            unused = first + i64::try_from(begun).map_err(Error::fault)?;
            users += begun;
            progress(users);
            after = last;
        }
    }
}

/// The statement that begins an epoch for user $1 at the current version. The new epoch is greater than the last even if
/// the clock went back.
fn begin_one(backend: DbBackend) -> String {
    format!(
        "UPDATE topaz_user SET library_epoch = {}({}, library_epoch + 1), library_floor = library_version \
         WHERE subject = $1",
        greatest(backend),
        clock::sql(backend),
    )
}

/// The statement that begins an epoch for each user after $1 up to $2 at the current version. The first user gets epoch
/// $3, the next one $3 + 1, and so on: the clock alone would give many users the same epoch.
fn begin_each(backend: DbBackend) -> String {
    format!(
        "UPDATE topaz_user SET library_epoch = {}($3 + page.place, library_epoch + 1), \
           library_floor = library_version \
         FROM (SELECT subject AS member, row_number() OVER (ORDER BY subject) - 1 AS place \
           FROM topaz_user WHERE subject > $1 AND subject <= $2) AS page \
         WHERE subject = page.member",
        greatest(backend),
    )
}

/// Returns the reported head above `head`, if any. A client's claim counts only in the current epoch: an older epoch
/// already marks a stale cache, and a later one was never issued.
fn higher(head: Head, known: Option<Head>, claims: Option<Head>) -> Option<(Head, HeadSource)> {
    let known = known.filter(|known| *known > head);
    let claims = claims.filter(|claim| claim.epoch == head.epoch && *claim > head);
    known
        .map(|known| (known, HeadSource::Server))
        .or(claims.map(|claim| (claim, HeadSource::Client)))
}

/// Returns the first version of the epoch that replaces `head` after `reported`. `None` when versions are exhausted.
fn first_version(head: Head, reported: Head, source: HeadSource) -> Option<i32> {
    let (head, reported) = (head.version.number(), reported.version.number());
    let is_far = reported.saturating_sub(head) > MAX_CLAIM_DISTANCE;
    let highest = if source == HeadSource::Client && is_far {
        head
    } else {
        Ord::max(head, reported)
    };
    highest.checked_add(1)
}

/// Begins an epoch in place of `head`, above `reported`. Returns `None` when the head has moved, or when the epoch is too
/// young for a client to end it.
async fn begin_after(
    db: &DatabaseConnection,
    user: &UserId,
    head: Head,
    reported: Head,
    source: HeadSource,
) -> Result<Option<Head>, Error> {
    let backend = db.get_database_backend();
    let now = clock::sql(backend);
    let interval = i64::try_from(CLAIM_INTERVAL.as_millis()).map_err(Error::fault)?;
    let guard = match source {
        HeadSource::Server => String::new(),
        HeadSource::Client => format!(" AND library_epoch <= {now} - {interval}"),
    };
    let version = first_version(head, reported, source);
    let sql = format!(
        "UPDATE topaz_user SET library_epoch = {}({now}, library_epoch + 1, $4), \
           library_version = $5, library_floor = $5 \
         WHERE subject = $1 AND library_epoch = $2 AND library_version = $3{guard} \
         RETURNING library_epoch, library_version",
        greatest(backend)
    );
    let values = [
        user.as_str().into(),
        head.epoch.number().into(),
        head.version.number().into(),
        reported.epoch.number().saturating_add(1).into(),
        version.unwrap_or(head.version.number()).into(),
    ];
    let update = Statement::from_sql_and_values(backend, sql, values);
    let tx = Transaction::begin(db, Purpose::Write).await?;
    let Some(row) = tx.query_one_raw(update).await? else {
        tx.roll_back().await?;
        return Ok(None);
    };
    let begun = if version.is_some() {
        Head {
            epoch: Epoch::new(row.try_get("", "library_epoch")?),
            version: Version::new(row.try_get("", "library_version")?),
        }
    } else {
        renumber(&tx, user).await?
    };
    tx.commit().await?;
    Ok(Some(begun))
}

/// Restarts the exhausted versions of `user` at 1 in a new epoch, within the transaction that locks the user's row. Every
/// row is restamped as if version 1 had made it.
pub(super) async fn renumber(tx: &Transaction, user: &UserId) -> Result<Head, Error> {
    let backend = tx.get_database_backend();
    let begin = format!(
        "UPDATE topaz_user SET library_epoch = {}({}, library_epoch + 1), library_version = 1, library_floor = 1 \
         WHERE subject = $1",
        greatest(backend),
        clock::sql(backend),
    );
    // Earlier field values are looked up by version, and the new epoch has none yet.
    let forget = ["field_change", "label_removal", "undone_removal"]
        .map(|table| format!("DELETE FROM topaz_{table} WHERE user_id = $1"));
    let stamped = ["story", "progress", "tag", "fandom", "tombstone"];
    let restamp = stamped.map(|table| {
        format!("UPDATE topaz_{table} SET stamp = 1, created_stamp = 1 WHERE user_id = $1")
    });
    // A new stamp does not change the library, so it is allowed while the older app writes it.
    mirror_guard::allow(tx, true).await?;
    for sql in [begin].into_iter().chain(forget).chain(restamp) {
        let values = [user.as_str().into()];
        tx.execute_raw(Statement::from_sql_and_values(backend, sql, values))
            .await?;
    }
    mirror_guard::allow(tx, false).await?;
    counter!("library_sync_epochs_begun_total", "reason" => "versions_used_up").increment(1);
    tracing::warn!(
        user.id = user.as_str(),
        "the library's versions are exhausted: a new epoch begins at version 1"
    );
    let head = find_head(tx, user).await?;
    head.ok_or_else(|| Error::fault("the locked user's row is missing"))
}

/// Logs and counts that a database has gone back in time.
fn log_begun(user: &UserId, head: Head, reported: Head, source: HeadSource, begun: Head) {
    let reason = match source {
        HeadSource::Server => "head_fell",
        HeadSource::Client => "client_ahead",
    };
    counter!("library_sync_epochs_begun_total", "reason" => reason).increment(1);
    tracing::error!(
        user.id = user.as_str(),
        library.known = %reported,
        library.head = %head,
        library.begun = %begun,
        epoch.reason = reason,
        "the database has gone back in time: acknowledged versions are missing, as after a failover to a lagging standby \
         or a restore without `library-sync epoch new`; this user's devices reset in a new epoch"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::testing::head;

    #[test]
    fn only_a_head_below_a_known_or_claimed_one_is_lower() {
        let (server, client) = (HeadSource::Server, HeadSource::Client);
        for (known, claims, expected) in [
            (None, None, None),
            (Some(head(7, 5)), Some(head(7, 5)), None),
            (Some(head(6, 9)), Some(head(6, 9)), None),
            (Some(head(7, 9)), None, Some((head(7, 9), server))),
            (Some(head(8, 1)), None, Some((head(8, 1), server))),
            (None, Some(head(7, 9)), Some((head(7, 9), client))),
            (None, Some(head(8, 1)), None),
            (
                Some(head(7, 6)),
                Some(head(7, 9)),
                Some((head(7, 6), server)),
            ),
        ] {
            assert_eq!(
                higher(head(7, 5), known, claims),
                expected,
                "{known:?} {claims:?}"
            );
        }
    }

    #[test]
    fn versions_continue_above_the_reported_one_but_not_far_on_a_clients_claim() {
        let first = |reported, source| first_version(head(7, 5), head(7, reported), source);
        assert_eq!(first(9, HeadSource::Server), Some(10));
        assert_eq!(first(9, HeadSource::Client), Some(10));
        assert_eq!(first(2_000_000, HeadSource::Server), Some(2_000_001));
        assert_eq!(first(2_000_000, HeadSource::Client), Some(6));
        assert_eq!(first(i32::MAX, HeadSource::Client), Some(6));
        assert_eq!(first(i32::MAX, HeadSource::Server), None);
        assert_eq!(
            first_version(head(7, 5), head(8, 2), HeadSource::Server),
            Some(6)
        );
    }
}
