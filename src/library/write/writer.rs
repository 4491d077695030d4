//! The writer that a write transaction provides: it bumps the version, stamps rows, and tracks changes.
//!
//! The files beside this one implement the writes of each noun. They use [`LibraryWriter`]'s private fields, and take every
//! stamp from [`LibraryWriter::stamp`].
//!
//! **Invariant:** while a writer exists, its user's row is bumped and locked. What it reads cannot change, so checks
//! followed by writes are free of races.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait as _, EntityTrait as _, Statement};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    history_size::count_history,
    intent::Intent,
    receipt::{self, Once},
    user_row::insert_user,
    written::Written,
};
use crate::{
    library::{
        database::{clock, pools::Database, transaction::Transaction},
        entity::{tombstone, undone_removal, user::usage},
        epoch::renumber,
        error::{Clash, Error},
        model::{
            device::Device,
            kind::Kind,
            limits::{GrowthFields, Limits, Usage},
        },
        read::head::find_head,
        session::IssuedAt,
    },
    trace::TraceParent,
    version::{Epoch, Head, UserId, Version},
};

/// Rows per INSERT statement. SQLite binds at most 32,766 values, and a story has 20.
pub(super) const ROWS_A_STATEMENT: usize = 1_000;

/// One user's library, open for one change.
pub struct LibraryWriter {
    pub(super) tx: Transaction,
    pub(super) user: UserId,
    pub(super) head: Head,
    /// The head after a rollback.
    pub(super) before: Head,
    pub(super) floor: Version,
    /// The epoch that the last erasure of the account began; 0 if none did.
    erased: Epoch,
    /// The database's time.
    pub(super) now: OffsetDateTime,
    /// The sending device.
    pub(super) device: Option<Device>,
    /// The kinds of rows that were stamped or removed.
    pub(super) touched: BTreeSet<Kind>,
    pub(super) limits: Limits,
    /// The size of the library before this change. `None` if it must be recounted.
    pub(super) size: Option<Usage>,
    /// The growth of the library by this change.
    pub(super) grown: Usage,
    /// Bytes of history that the change produces.
    pub(super) history: i64,
    /// Rows of history that the change purges.
    pub(super) purged: u64,
    pub(super) growth_fields: GrowthFields,
    /// The position of the commit in the trace of its request.
    pub(super) trace: Option<TraceParent>,
    /// The progresses that the reader changes.
    pub(super) used: Vec<Uuid>,
    /// Whether the change copies another program's, which no limit refuses.
    pub(super) is_mirror: bool,
}

/// A row after a partial change, and the conflicting fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Updated<T> {
    /// The row after the change.
    pub row: T,
    /// The conflicting fields that were left unchanged.
    #[serde(default)]
    pub left: Vec<Clash>,
}

impl LibraryWriter {
    /// Begins the transaction and bumps the version, which locks the user's row. A long change shares its commit with no
    /// other.
    ///
    /// # Errors
    /// [`Error::SignedOut`] when the sender's session began before their user signed out everywhere.
    pub(in crate::library) async fn begin(
        db: &Database,
        user: UserId,
        intent: &Intent,
        limits: Limits,
    ) -> Result<Self, Error> {
        let tx = db.begin_write(intent.is_long).await?;
        let asked = OffsetDateTime::now_utc();
        let (before, bumped) = match bump_or_create(&tx, &user, intent.issued_at).await {
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
            erased: bumped.erased,
            now: bumped.now,
            device: intent.device.clone(),
            touched: BTreeSet::new(),
            limits,
            size: bumped.size,
            grown: Usage::default(),
            history: 0,
            purged: 0,
            growth_fields: GrowthFields::ONE,
            trace: None,
            used: Vec::new(),
            is_mirror: false,
        })
    }

    /// Returns the head before this change.
    pub(in crate::library) fn head_before(&self) -> Head {
        self.before
    }

    /// Returns whether the account was erased after the copy at `head` was made.
    pub(in crate::library) fn is_erased_since(&self, head: Head) -> bool {
        head.epoch < self.erased
    }

    /// Takes the progresses that the reader changes.
    pub(in crate::library) fn take_used(&mut self) -> Vec<Uuid> {
        std::mem::take(&mut self.used)
    }

    /// Returns whether a row was stamped or removed.
    pub(in crate::library) fn has_changed(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Finds the stored answer of this change.
    pub(in crate::library) async fn find_answer<T: DeserializeOwned>(
        &self,
        once: &Once,
    ) -> Result<Option<Written<T>>, Error> {
        receipt::find(&self.tx, &self.user, once).await
    }

    /// Logs the write, stores the answer, commits, and returns the new head.
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
        count_history(self.history, self.purged);
        Ok(self.head)
    }

    /// Stores the answer of a change that changed nothing, and returns the unchanged head.
    ///
    /// It decrements the version instead of rolling back, because the user's row must stay locked until the answer is
    /// stored. Otherwise a concurrent retry could be executed and answered differently.
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
        if receipt::put(&self.tx, &self.user, receipt, self.limits.max_receipt_bytes).await? {
            return Ok(());
        }
        // Impossible between servers that lock the row like this one. The retry finds the stored answer.
        Err(Error::overtaken())
    }

    /// Rolls back, and returns the unchanged head.
    pub(in crate::library) async fn roll_back(self) -> Result<Head, Error> {
        let head = self.before;
        self.tx.roll_back().await?;
        Ok(head)
    }

    /// Returns the version of this change, for a row of this kind that the caller writes.
    pub(super) fn stamp(&mut self, kind: Kind) -> Version {
        self.touched.insert(kind);
        self.head.version
    }

    /// Writes the tombstone of a removed row, with its content. Its field history stays until it expires: a row that is
    /// recreated under the id is another row, see [`Self::unbury`].
    pub(super) async fn bury(
        &mut self,
        kind: Kind,
        id: Uuid,
        created: Version,
        row: &impl Serialize,
    ) -> Result<(), Error> {
        let tombstone = self.tombstone(kind, id, created, row)?;
        tombstone::Entity::insert(tombstone)
            .exec_without_returning(&self.tx)
            .await?;
        Ok(())
    }

    /// Sets the tombstone of a row aside that a client recreates under the same id. Devices that knew the removed row do not
    /// know this one, so all fields count as changed.
    pub(super) async fn unbury(&mut self, kind: Kind, id: Uuid) -> Result<(), Error> {
        let key = (self.user.as_str().to_owned(), kind.name().to_owned(), id);
        let deleted = tombstone::Entity::delete_by_id(key)
            .exec_with_returning(&self.tx)
            .await?;
        let Some(tombstone) = deleted else {
            return Ok(());
        };
        undone_removal::Entity::insert(undone_removal::ActiveModel::from(tombstone))
            .exec_without_returning(&self.tx)
            .await?;
        self.record_remade(kind, id).await
    }
}

/// Bumps the version, also for a new user and for exhausted versions. The latter also returns the head before.
async fn bump_or_create(
    tx: &Transaction,
    user: &UserId,
    issued_at: IssuedAt,
) -> Result<(Option<Head>, Bumped), Error> {
    let mut before = None;
    let mut bumped = bump(tx, user).await?;
    if bumped.is_none() {
        before = find_head(tx, user).await?;
        match before {
            Some(_) => {
                renumber(tx, user).await?;
            }
            None => insert_user(tx, user).await?,
        }
        bumped = bump(tx, user).await?;
    }
    let bumped = bumped.ok_or_else(|| Error::fault("the user's row is missing"))?;
    if issued_at.is_signed_out(bumped.signed_out_at) {
        return Err(Error::SignedOut);
    }
    Ok((before, bumped))
}

/// A user's row after the bump.
struct Bumped {
    head: Head,
    floor: Version,
    erased: Epoch,
    signed_out_at: i64,
    size: Option<Usage>,
    now: OffsetDateTime,
}

/// Moves the version by 1, which locks the row, and reads the database's clock. `None` if the user does not exist, or the
/// versions are exhausted. Also keeps an exact size of the library exact, and reads it.
async fn bump(tx: &Transaction, user: &UserId) -> Result<Option<Bumped>, Error> {
    let backend = tx.get_database_backend();
    let sql = format!(
        "UPDATE topaz_user SET library_version = library_version + 1, library_counted = \
         CASE WHEN library_counted = library_version THEN library_version + 1 ELSE 0 END \
         WHERE subject = $1 AND library_version < {} \
         RETURNING library_version, library_epoch, library_floor, library_erased, signed_out_at, library_counted, \
         library_stories AS stories, library_tags AS tags, library_fandoms AS fandoms, library_bytes AS bytes, {} AS {}",
        i32::MAX,
        clock::sql(backend),
        clock::NOW,
    );
    let values = [user.as_str().into()];
    let update = Statement::from_sql_and_values(backend, sql, values);
    let Some(row) = tx.query_one_raw(update).await? else {
        return Ok(None);
    };
    let version: i32 = row.try_get("", "library_version")?;
    let counted: i32 = row.try_get("", "library_counted")?;
    Ok(Some(Bumped {
        head: Head {
            epoch: Epoch::new(row.try_get("", "library_epoch")?),
            version: Version::new(version),
        },
        floor: Version::new(row.try_get("", "library_floor")?),
        erased: Epoch::new(row.try_get("", "library_erased")?),
        signed_out_at: row.try_get("", "signed_out_at")?,
        size: (counted == version).then(|| usage(&row)).transpose()?,
        now: clock::of_row(&row)?,
    }))
}

/// Returns the head before `head`.
fn below(head: Head) -> Head {
    Head {
        version: Version::new(head.version.number() - 1),
        ..head
    }
}
