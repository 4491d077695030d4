//! The writer that a write transaction hands out: it bumps, stamps, and remembers whether anything changed.
//!
//! What it can do to each noun is in the files beside this one; they reach the database through [`LibraryWriter`]'s
//! private fields and take every stamp from [`LibraryWriter::stamp`].
//!
//! **Invariant:** a writer exists only while its user's row is bumped and locked, so what it reads cannot change
//! under it, and a check followed by a write is free of races.

use std::collections::BTreeSet;

use sea_orm::{ActiveValue::Set, ConnectionTrait as _, EntityTrait as _, Statement};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    intent::Intent,
    receipt::{self, Once},
    user_row::insert_user,
    written::Written,
};
use crate::{
    library::{
        database::{
            clock,
            pools::Database,
            transaction::{Purpose, Transaction},
        },
        entity::{columns::millis, tombstone},
        epoch::renumber,
        error::{Clash, Error},
        model::{
            device::Device,
            kind::Kind,
            limits::{GrowthFields, Limits, Usage},
        },
        read::rows::find_head,
    },
    version::{Epoch, Head, UserId, Version},
};

/// How many rows one statement inserts. SQLite binds 32,766 values at the most, and a story has 18.
pub(super) const ROWS_A_STATEMENT: usize = 1_000;

/// One user's library, open for one change.
pub struct LibraryWriter {
    pub(super) tx: Transaction,
    pub(super) user: UserId,
    pub(super) head: Head,
    /// The head that a rollback leaves.
    before: Head,
    pub(super) floor: Version,
    /// By the database's clock.
    pub(super) now: OffsetDateTime,
    /// The device that asks for the change.
    pub(super) device: Option<Device>,
    /// What kinds of rows were stamped or removed.
    pub(super) touched: BTreeSet<Kind>,
    pub(super) limits: Limits,
    /// By how much the change makes the library grow.
    pub(super) grown: Usage,
    /// How many bytes of history the change leaves.
    pub(super) history: i64,
    pub(super) growth_fields: GrowthFields,
}

/// A row after a change of some of its fields, and what of the change was left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Updated<T> {
    /// The row as it is now.
    pub row: T,
    /// The fields that clashed and were left as they are.
    #[serde(default)]
    pub left: Vec<Clash>,
}

impl LibraryWriter {
    /// Begins the transaction and bumps the version, which locks the user's row.
    pub(in crate::library) async fn begin(
        db: &Database,
        user: UserId,
        device: Option<Device>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let tx = Transaction::begin(&db.write, Purpose::Write).await?;
        let asked = OffsetDateTime::now_utc();
        let (before, bumped) = match bump_or_make(&tx, &user).await {
            Ok(bumped) => bumped,
            Err(error) => {
                let _ = tx.roll_back().await;
                return Err(error);
            }
        };
        db.skew.observe(asked, bumped.now);
        Ok(Self {
            tx,
            user,
            head: bumped.head,
            before: before.unwrap_or_else(|| below(bumped.head)),
            floor: bumped.floor,
            now: bumped.now,
            device,
            touched: BTreeSet::new(),
            limits,
            grown: Usage::default(),
            history: 0,
            growth_fields: GrowthFields::ONE,
        })
    }

    /// The head as it was before this change.
    pub(in crate::library) fn head_before(&self) -> Head {
        self.before
    }

    /// Whether a row was stamped or removed.
    pub(in crate::library) fn has_changed(&self) -> bool {
        !self.touched.is_empty()
    }

    /// The answer that this change got when it was made before.
    pub(in crate::library) async fn find_answer<T: DeserializeOwned>(
        &self,
        once: &Once,
    ) -> Result<Option<Written<T>>, Error> {
        receipt::find(&self.tx, &self.user, once).await
    }

    /// Records what was changed and from where, keeps the answer, commits, and returns the head that was made.
    pub(in crate::library) async fn commit(
        mut self,
        intent: &Intent,
        answer: Option<String>,
    ) -> Result<Head, Error> {
        self.log().await?;
        if let (Some(once), Some(answer)) = (&intent.once, answer) {
            self.put_receipt(once, self.head, answer).await?;
        }
        self.tx.commit().await?;
        Ok(self.head)
    }

    /// Keeps the answer of a change that changed nothing, and returns the head as it was and is.
    ///
    /// The bump is taken back rather than rolled back, because the user's row must stay locked until the answer is kept:
    /// the same change sent again could otherwise be made in between, and be answered otherwise.
    pub(in crate::library) async fn keep(self, once: &Once, answer: String) -> Result<Head, Error> {
        let head = below(self.head);
        let sql = "UPDATE topaz_user SET library_version = $2, library_counted = library_counted - 1 \
             WHERE subject = $1";
        let values = [self.user.as_str().into(), head.version.number().into()];
        let backend = self.tx.get_database_backend();
        self.tx
            .execute_raw(Statement::from_sql_and_values(backend, sql, values))
            .await?;
        self.put_receipt(once, head, answer).await?;
        self.tx.commit().await?;
        Ok(head)
    }

    async fn put_receipt(&self, once: &Once, head: Head, answer: String) -> Result<(), Error> {
        let receipt = receipt::Receipt {
            once,
            head,
            answer,
            at: self.now,
        };
        if receipt::put(&self.tx, &self.user, receipt, self.limits.receipt_bytes).await? {
            return Ok(());
        }
        // Not by a server that locks the row as this one does. Begun again, the change finds the answer that was kept.
        Err(Error::overtaken())
    }

    /// Undoes everything, and returns the head as it was and is.
    pub(in crate::library) async fn roll_back(self) -> Result<Head, Error> {
        let head = self.before;
        self.tx.roll_back().await?;
        Ok(head)
    }

    /// The version that this change makes, for a row of this kind that it is about to touch.
    pub(super) fn stamp(&mut self, kind: Kind) -> Version {
        self.touched.insert(kind);
        self.head.version
    }

    /// Records that a row was removed, with the row. What its fields held before is left to age: who makes the row again
    /// under its id makes another row, see [`Self::unbury`].
    pub(super) async fn bury(
        &mut self,
        kind: Kind,
        id: Uuid,
        row: &impl Serialize,
    ) -> Result<(), Error> {
        let held = serde_json::to_string(row).map_err(Error::fault)?;
        self.leave_history(held.len());
        let tombstone = tombstone::ActiveModel {
            user_id: Set(self.user.as_str().to_owned()),
            kind: Set(kind.name().to_owned()),
            id: Set(id),
            stamp: Set(self.stamp(kind).number()),
            removed_at: Set(millis(self.now)),
            held: Set(Some(held)),
        };
        tombstone::Entity::insert(tombstone)
            .exec_without_returning(&self.tx)
            .await?;
        Ok(())
    }

    /// Forgets that a row was removed, because a client makes it again under the same id. Who knew the row that was
    /// removed does not know this one, so all of it counts as changed.
    pub(super) async fn unbury(&mut self, kind: Kind, id: Uuid) -> Result<(), Error> {
        let key = (self.user.as_str().to_owned(), kind.name().to_owned(), id);
        let dug_up = tombstone::Entity::delete_by_id(key).exec(&self.tx).await?;
        if dug_up.rows_affected == 0 {
            return Ok(());
        }
        self.record_remade(kind, id).await
    }
}

/// Bumps, for a user who is new or has used up the versions of the epoch too: then with the head before.
async fn bump_or_make(tx: &Transaction, user: &UserId) -> Result<(Option<Head>, Bumped), Error> {
    if let Some(bumped) = bump(tx, user).await? {
        return Ok((None, bumped));
    }
    let before = find_head(tx, user).await?;
    match before {
        Some(_) => {
            renumber(tx, user).await?;
        }
        None => insert_user(tx, user).await?,
    }
    let missing = || Error::fault("a user just looked for is not there");
    Ok((before, bump(tx, user).await?.ok_or_else(missing)?))
}

/// A user's row after the bump.
struct Bumped {
    head: Head,
    floor: Version,
    now: OffsetDateTime,
}

/// Moves the version by 1, which locks the row, and reads the database's clock. `None` when there is no such user, or no
/// version is left.
///
/// What is kept of the library's size stays exact, unless the change says otherwise.
async fn bump(tx: &Transaction, user: &UserId) -> Result<Option<Bumped>, Error> {
    let backend = tx.get_database_backend();
    let sql = format!(
        "UPDATE topaz_user SET library_version = library_version + 1, library_counted = \
         CASE WHEN library_counted = library_version THEN library_version + 1 ELSE 0 END \
         WHERE subject = $1 AND library_version < {} \
         RETURNING library_version, library_epoch, library_floor, {} AS {}",
        i32::MAX,
        clock::sql(backend),
        clock::NOW,
    );
    let values = [user.as_str().into()];
    let update = Statement::from_sql_and_values(backend, sql, values);
    let Some(row) = tx.query_one_raw(update).await? else {
        return Ok(None);
    };
    Ok(Some(Bumped {
        head: Head {
            epoch: Epoch::new(row.try_get("", "library_epoch")?),
            version: Version::new(row.try_get("", "library_version")?),
        },
        floor: Version::new(row.try_get("", "library_floor")?),
        now: clock::of_row(&row)?,
    }))
}

/// The head of which `head` is the next.
fn below(head: Head) -> Head {
    Head {
        version: Version::new(head.version.number() - 1),
        ..head
    }
}
