//! The user's row, which holds their version.

use sea_orm::{ActiveValue::Set, EntityTrait as _, sea_query::OnConflict};

use crate::{
    library::{
        entity::user,
        error::{Error, sql_code},
    },
    version::UserId,
};

/// Creates the user's row, unless it exists.
///
/// # Errors
/// [`Error::UnknownUser`] when the table belongs to an older app and has mandatory columns that only that app can fill.
pub(in crate::library) async fn insert_user(
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
    sql_code(error).as_deref() == Some("23502")
}
