//! New epochs: after a restore, on a database that has gone back in time, and for a user whose versions are used up.
//!
//! In the flow: whoever reads a head from the primary hands it to [`Library::settle`] with what it knows the head to
//! have been. A head below that (a failover to a standby that lagged, a restore under a running server) would give
//! versions out again that devices hold already, and their copies would diverge in silence. So it begins an epoch.
//!
//! **Invariant:** an epoch begins once, however many nodes find the same fault: the update names the head it replaces.
//! **Invariant:** a new epoch is greater than any that is known of the user, and its first version than any version,
//! so that clients which compare versions alone start afresh too. Only a user whose versions are used up starts at 1.
//! **Invariant:** a client's word begins an epoch of its own user at most once in [`CLAIM_REST`], over all nodes.

use std::time::Duration;

use metrics::counter;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};

use super::{
    database::{
        clock,
        transaction::{Purpose, Transaction},
    },
    error::Error,
    handle::Library,
    read::rows::find_head,
};
use crate::version::{Epoch, Head, UserId, Version};

/// How old an epoch must be before a client's word ends it. Devices that a client makes start afresh, its own user's
/// alone, do so no more often than this.
const CLAIM_REST: Duration = Duration::from_mins(10);

/// How many versions a client's word may take a library ahead. One that says more does not know.
const CLAIM_REACH: i32 = 1_000_000;

/// How often a head is looked at again that moves while an epoch is to begin.
const TRIES: u32 = 3;

/// How many users one statement begins an epoch for.
const BATCH: u64 = 2_000;

/// Who says that a head was higher than it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Witness {
    /// This process, or a notice of another.
    Server,
    /// A client, which may make it up.
    Client,
}

impl Library {
    /// The head of `user` given what was just `read` from the primary: the same, unless it is below what was `known`
    /// before the read or below what a client `claims` to have been told in this epoch. Then a new epoch begins.
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
        let mut head = read;
        for _ in 0..TRIES {
            let Some((told, witness)) = higher(head, known, claims) else {
                break;
            };
            let (db, of) = (self.db.write.clone(), user.clone());
            let begun = async move { begin_after(&db, &of, head, told, witness).await };
            if let Some(begun) = self.write_apart(begun).await? {
                report(user, head, told, witness, begun);
                self.announce(user, begun);
                return Ok(begun);
            }
            // Another was first, the head has moved, or the primary knows better than what was read.
            let now = find_head(&self.db.write, user);
            let now = self.db.in_time(now).await?;
            let now = now.ok_or_else(|| Error::fault("a user has gone"))?;
            if now == head {
                break;
            }
            head = now;
        }
        self.known.raise(user, head);
        Ok(head)
    }

    /// Takes note that `user` was at `head`, as a notice says. One of another epoch is no witness: it may come from
    /// another installation on the same broker, and each of the two would begin epochs without end.
    pub fn heard(&self, user: &UserId, head: Head) {
        let is_of_epoch = |known: Head| known.epoch == head.epoch;
        if self.known.of(user).is_some_and(is_of_epoch) {
            self.known.raise(user, head);
        }
    }

    /// Begins a new epoch for `user`, or for everybody: after a restore from a backup, when clients may hold versions
    /// that the database has forgotten. Each of them starts afresh. Returns how many users there were.
    pub async fn begin_epoch(&self, user: Option<&UserId>) -> Result<u64, Error> {
        let Some(user) = user else {
            return self.begin_epochs(|_| {}).await;
        };
        let db = &self.db.write;
        let update = begin_where(db.get_database_backend(), "subject = $1");
        let values = [user.as_str().into()];
        let update = Statement::from_sql_and_values(db.get_database_backend(), update, values);
        let updated = self.db.in_time(db.execute_raw(update)).await?;
        Ok(updated.rows_affected())
    }

    /// Begins a new epoch for everybody, some users a statement, telling `progress` how many have theirs so far.
    /// Returns how many there were. It may be run again when it was interrupted.
    pub async fn begin_epochs(&self, mut progress: impl FnMut(u64)) -> Result<u64, Error> {
        let db = &self.db.write;
        let backend = db.get_database_backend();
        let next = format!(
            "SELECT max(subject) FROM \
             (SELECT subject FROM topaz_user WHERE subject > $1 ORDER BY subject LIMIT {BATCH}) AS page"
        );
        let update = begin_where(backend, "subject > $1 AND subject <= $2");
        let (mut after, mut users) = (String::new(), 0);
        loop {
            let values = [after.as_str().into()];
            let select = Statement::from_sql_and_values(backend, &next, values);
            let row = self.db.in_time(db.query_one_raw(select)).await?;
            let last = row.map(|row| row.try_get_by_index::<Option<String>>(0));
            let Some(last) = last.transpose()?.flatten() else {
                return Ok(users);
            };
            let values = [after.into(), last.as_str().into()];
            let batch = Statement::from_sql_and_values(backend, &update, values);
            let begun = self.db.in_time(db.execute_raw(batch)).await?;
            users += begun.rows_affected();
            progress(users);
            after = last;
        }
    }
}

/// The statement that begins an epoch for some users, at the versions that they have. It is greater than the last even
/// if the clock is behind the one that began that.
fn begin_where(backend: DbBackend, users: &str) -> String {
    format!(
        "UPDATE topaz_user SET library_epoch = {}({}, library_epoch + 1), library_floor = library_version \
         WHERE {users}",
        greatest(backend),
        clock::sql(backend),
    )
}

fn greatest(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Sqlite => "max",
        _ => "greatest",
    }
}

/// What says that a head was higher than `head`, if anything does. A client's word counts in the present epoch alone:
/// a copy of an older one is told apart by its epoch, and nobody was told of a later one.
fn higher(head: Head, known: Option<Head>, claims: Option<Head>) -> Option<(Head, Witness)> {
    let known = known.filter(|known| *known > head);
    let claims = claims.filter(|claim| claim.epoch == head.epoch && *claim > head);
    known
        .map(|known| (known, Witness::Server))
        .or(claims.map(|claim| (claim, Witness::Client)))
}

/// The first version of the epoch that follows when `head` was found where `told` had been; none when versions are used
/// up.
fn first_version(head: Head, told: Head, witness: Witness) -> Option<i32> {
    let (head, told) = (head.version.number(), told.version.number());
    let is_far = told.saturating_sub(head) > CLAIM_REACH;
    let highest = if witness == Witness::Client && is_far {
        head
    } else {
        Ord::max(head, told)
    };
    highest.checked_add(1)
}

/// Begins an epoch in place of `head`, above `told`. `None` when the head is another by now, or the epoch is too young
/// for a client to end it.
async fn begin_after(
    db: &DatabaseConnection,
    user: &UserId,
    head: Head,
    told: Head,
    witness: Witness,
) -> Result<Option<Head>, Error> {
    let backend = db.get_database_backend();
    let now = clock::sql(backend);
    let rest = i64::try_from(CLAIM_REST.as_millis()).map_err(Error::fault)?;
    let guard = match witness {
        Witness::Server => String::new(),
        Witness::Client => format!(" AND library_epoch <= {now} - {rest}"),
    };
    let version = first_version(head, told, witness);
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
        told.epoch.number().saturating_add(1).into(),
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

/// Starts the versions of `user` over in a new epoch, within the transaction that holds the user's row: for one whose
/// versions are used up. Every row is as if it had been made by version 1.
pub(super) async fn renumber(tx: &Transaction, user: &UserId) -> Result<Head, Error> {
    let backend = tx.get_database_backend();
    let begin = format!(
        "UPDATE topaz_user SET library_epoch = {}({}, library_epoch + 1), library_version = 1, library_floor = 1 \
         WHERE subject = $1",
        greatest(backend),
        clock::sql(backend),
    );
    // What fields held before is asked for by versions, and there are none of this epoch yet.
    let forget = ["field_change", "label_removal"]
        .map(|table| format!("DELETE FROM topaz_{table} WHERE user_id = $1"));
    let stamped = ["story", "progress", "tag", "fandom", "tombstone"];
    let restamp =
        stamped.map(|table| format!("UPDATE topaz_{table} SET stamp = 1 WHERE user_id = $1"));
    for sql in [begin].into_iter().chain(forget).chain(restamp) {
        let values = [user.as_str().into()];
        tx.execute_raw(Statement::from_sql_and_values(backend, sql, values))
            .await?;
    }
    counter!("library_sync_epochs_begun_total", "reason" => "versions_used_up").increment(1);
    tracing::warn!(
        user.id = user.as_str(),
        "a library has used up its versions: a new epoch begins at version 1"
    );
    let head = find_head(tx, user).await?;
    head.ok_or_else(|| Error::fault("a user whose row is locked has gone"))
}

/// Says that a database has gone back in time.
fn report(user: &UserId, head: Head, told: Head, witness: Witness, begun: Head) {
    let reason = match witness {
        Witness::Server => "head_fell",
        Witness::Client => "client_ahead",
    };
    counter!("library_sync_epochs_begun_total", "reason" => reason).increment(1);
    tracing::error!(
        user.id = user.as_str(),
        library.known = %told,
        library.head = %head,
        library.begun = %begun,
        epoch.reason = reason,
        "the database has gone back in time: versions that were answered are gone, as after a failover to a standby \
         that lagged, or a restore without `library-sync epoch new`; this user's devices start afresh in a new epoch"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(epoch: i64, version: i32) -> Head {
        Head {
            epoch: Epoch::new(epoch),
            version: Version::new(version),
        }
    }

    #[test]
    fn a_head_that_fell_is_told_from_one_that_did_not() {
        let (server, client) = (Witness::Server, Witness::Client);
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
    fn versions_go_on_above_what_was_told_but_not_far_on_a_clients_word() {
        let first = |told, witness| first_version(head(7, 5), head(7, told), witness);
        assert_eq!(first(9, Witness::Server), Some(10));
        assert_eq!(first(9, Witness::Client), Some(10));
        assert_eq!(first(2_000_000, Witness::Server), Some(2_000_001));
        assert_eq!(first(2_000_000, Witness::Client), Some(6));
        assert_eq!(first(i32::MAX, Witness::Client), Some(6));
        assert_eq!(first(i32::MAX, Witness::Server), None);
        assert_eq!(
            first_version(head(7, 5), head(8, 2), Witness::Server),
            Some(6)
        );
    }
}
