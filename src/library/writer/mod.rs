//! The writer that a write transaction hands out: it bumps, stamps, and remembers whether anything changed.
//!
//! What it can do to each noun is in the files beside this one; they reach the database through [`LibraryWriter`]'s
//! private fields and take every stamp from [`LibraryWriter::stamp`].
//!
//! **Invariant:** a writer exists only while its user's row is bumped and locked, so what it reads cannot change
//! under it, and a check followed by a write is free of races.

mod label;
mod progress;
mod story;

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, ExprTrait as _, QueryFilter as _,
    TransactionTrait as _,
    sea_query::{Expr, OnConflict},
};
use time::OffsetDateTime;
use uuid::Uuid;

pub use self::story::{Entry, NewEntry};
use super::{
    database::{Database, write_transaction},
    entity::{now, tombstone, user},
    error::Error,
};
use crate::version::{Head, UserId, Version};

/// One user's library, open for one change.
pub struct LibraryWriter {
    tx: DatabaseTransaction,
    user: UserId,
    head: Head,
    now: OffsetDateTime,
    changed: bool,
}

/// What a tombstone says was removed.
#[derive(Debug, Clone, Copy, strum::IntoStaticStr)]
pub(super) enum Kind {
    Story,
    Progress,
}

impl LibraryWriter {
    /// Begins the transaction and bumps the version, which locks the user's row.
    pub(super) async fn begin(db: &Database, user: UserId) -> Result<Self, Error> {
        let tx = db.write.begin_with_options(write_transaction()).await?;
        let bumped = if let Some(bumped) = bump(&tx, &user).await? {
            bumped
        } else {
            insert_user(&tx, &user).await?;
            let missing = || Error::fault("a user just inserted is not there");
            bump(&tx, &user).await?.ok_or_else(missing)?
        };
        Ok(Self {
            tx,
            user,
            head: bumped.head(),
            now: now(),
            changed: false,
        })
    }

    /// Whether a row was stamped or removed.
    pub(super) fn has_changed(&self) -> bool {
        self.changed
    }

    /// Commits, and returns the head that the change made.
    pub(super) async fn commit(self) -> Result<Head, Error> {
        self.tx.commit().await?;
        Ok(self.head)
    }

    /// Undoes everything, and returns the head as it was and is.
    pub(super) async fn roll_back(self) -> Result<Head, Error> {
        self.tx.rollback().await?;
        let version = Version::new(self.head.version.number() - 1);
        Ok(Head {
            version,
            ..self.head
        })
    }

    /// The version that this change makes, for a row it is about to touch.
    fn stamp(&mut self) -> Version {
        self.changed = true;
        self.head.version
    }

    /// Records that a row was removed.
    async fn bury(&mut self, kind: Kind, id: Uuid) -> Result<(), Error> {
        let tombstone = tombstone::ActiveModel {
            user_id: Set(self.user.as_str().to_owned()),
            kind: Set(<&str>::from(kind).to_owned()),
            id: Set(id),
            stamp: Set(self.stamp().number()),
            removed_at: Set(sea_orm::prelude::TimeUnixTimestampMillis(self.now)),
        };
        tombstone::Entity::insert(tombstone)
            .exec_without_returning(&self.tx)
            .await?;
        Ok(())
    }

    /// Forgets that a row was removed, because a client makes it again under the same id.
    async fn unbury(&mut self, kind: Kind, id: Uuid) -> Result<(), Error> {
        tombstone::Entity::delete_many()
            .filter(tombstone::Column::UserId.eq(self.user.as_str()))
            .filter(tombstone::Column::Kind.eq(<&str>::from(kind)))
            .filter(tombstone::Column::Id.eq(id))
            .exec(&self.tx)
            .await?;
        Ok(())
    }
}

async fn bump(tx: &DatabaseTransaction, user: &UserId) -> Result<Option<user::Model>, Error> {
    let next = Expr::col(user::Column::LibraryVersion).add(1);
    let bumped = user::Entity::update_many()
        .col_expr(user::Column::LibraryVersion, next)
        .filter(user::Column::Subject.eq(user.as_str()))
        .exec_with_returning(tx)
        .await?;
    Ok(bumped.into_iter().next())
}

/// Makes the user's row at their first request; leaves one that is there alone.
///
/// # Errors
/// [`Error::UnknownUser`] when the table is an older app's and wants columns that only that app can fill.
pub(super) async fn insert_user(
    db: &impl sea_orm::ConnectionTrait,
    user: &UserId,
) -> Result<(), Error> {
    let row = user::ActiveModel {
        subject: Set(user.as_str().to_owned()),
        ..Default::default()
    };
    let inserted = user::Entity::insert(row)
        .on_conflict(
            OnConflict::column(user::Column::Subject)
                .do_nothing()
                .to_owned(),
        )
        .exec_without_returning(db)
        .await;
    match inserted {
        Ok(_) | Err(sea_orm::DbErr::RecordNotInserted) => Ok(()),
        Err(error) if is_not_null_violation(&error) => Err(Error::UnknownUser),
        Err(error) => Err(error.into()),
    }
}

fn is_not_null_violation(error: &sea_orm::DbErr) -> bool {
    use sea_orm::{DbErr, RuntimeErr, SqlxError};
    let (DbErr::Exec(RuntimeErr::SqlxError(source)) | DbErr::Query(RuntimeErr::SqlxError(source))) =
        error
    else {
        return false;
    };
    matches!(source.as_ref(), SqlxError::Database(db) if db.code().as_deref() == Some("23502"))
}
