//! Detects, without a transaction, that a library changed between the statements of a page.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryTrait as _,
    sea_query::Expr,
};

use crate::library::{entity::user, error::Error};

/// The condition that a user's row still has this head and floor. Each change of rows, and each purge of tombstones, changes
/// one of them in the same transaction.
pub(super) fn still_is(row: &user::Model) -> Expr {
    use user::Column::{LibraryEpoch, LibraryFloor, LibraryVersion};
    let now = user::Entity::find_by_id(row.subject.as_str())
        .filter(LibraryVersion.eq(row.library_version))
        .filter(LibraryEpoch.eq(row.library_epoch))
        .filter(LibraryFloor.eq(row.library_floor));
    Expr::exists(now.into_query())
}

/// Returns whether a user's row is still this one.
pub(super) async fn is_unchanged(
    db: &impl ConnectionTrait,
    row: &user::Model,
) -> Result<bool, Error> {
    let now = user::Entity::find_by_id(row.subject.as_str())
        .one(db)
        .await?;
    Ok(now.as_ref() == Some(row))
}
