//! The user's row, which holds their version.

use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DbBackend, EntityTrait as _, FromQueryResult as _,
    IdenStatic as _, Iterable as _, QueryFilter as _, QueryResult, QueryTrait as _, Statement,
    sea_query::OnConflict,
};

use crate::{
    library::{
        database::{
            any_of::one_of, clock, kept_connections::KeptConnections, transaction::autocommit,
        },
        entity::user,
        error::{Error, sql_code},
    },
    version::UserId,
};

/// Time that an INSERT of several users waits for a locked row. A transaction that creates one of the users may be long.
const LOCK_TIMEOUT: &str = "100ms";

/// Creates the user's row, unless it exists.
///
/// # Errors
/// [`Error::UnknownUser`] when the table belongs to an older app and has mandatory columns that only that app can fill.
pub(in crate::library) async fn insert_user(
    db: &impl ConnectionTrait,
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

/// Creates the rows of those `users` that have none, in one statement, and returns the new rows. Their epochs differ, and
/// are at least `first_epoch`.
///
/// # Errors
/// As [`insert_user`]. If one of several users cannot be created, or is being created by a transaction that does not
/// end soon, none is.
pub(in crate::library) async fn insert_users(
    db: &impl ConnectionTrait,
    users: impl IntoIterator<Item = &UserId> + Send,
    first_epoch: i64,
) -> Result<Vec<user::Model>, Error> {
    let mut users: Vec<_> = users.into_iter().map(UserId::as_str).collect();
    // In one order on every node, so that two of them do not wait for each other.
    users.sort_unstable();
    let mut values = vec![
        serde_json::json!(users).to_string().into(),
        first_epoch.into(),
    ];
    let backend = db.get_database_backend();
    if backend == DbBackend::Postgres {
        values.push((users.len() > 1).then_some(LOCK_TIMEOUT).into());
    }
    let insert = Statement::from_sql_and_values(backend, insert_each(backend), values);
    let rows = match db.query_all_raw(insert).await {
        Err(error) if is_not_null_violation(&error) => return Err(Error::UnknownUser),
        rows => rows?,
    };
    rows.iter().map(row).collect()
}

/// Finds the rows of `users` in one statement.
pub(in crate::library) async fn find_rows(
    kept: &KeptConnections,
    users: impl IntoIterator<Item = &UserId> + Send,
) -> Result<Vec<user::Model>, Error> {
    let backend = kept.pool().get_database_backend();
    let users = users.into_iter().map(UserId::as_str);
    let select = user::Entity::find().filter(one_of(backend, user::Column::Subject, users));
    let select = select.build(backend);
    let rows = autocommit::query_all(kept, &select).await?;
    rows.iter().map(row).collect()
}

fn row(row: &QueryResult) -> Result<user::Model, Error> {
    Ok(user::Model::from_query_result(row, "")?)
}

/// The statement that creates the users of the JSON array $1. The first one gets the current time as its epoch, at least
/// $2; each later one gets a greater epoch. On PostgreSQL it waits at most $3 for a locked row.
fn insert_each(backend: DbBackend) -> String {
    let now = clock::sql(backend);
    let page = match backend {
        DbBackend::Sqlite => format!("value, max({now}, $2) + key FROM json_each($1) WHERE true"),
        _ => format!(
            "page.subject, greatest({now}, $2) + page.place \
             FROM (SELECT set_config('lock_timeout', coalesce($3, current_setting('lock_timeout')), true)) AS setting, \
               json_array_elements_text(CAST($1 AS json)) WITH ORDINALITY AS page (subject, place)"
        ),
    };
    let columns: Vec<_> = user::Column::iter().map(|column| column.as_str()).collect();
    format!(
        "INSERT INTO topaz_user (subject, library_epoch) SELECT {page} ON CONFLICT (subject) DO NOTHING RETURNING {}",
        columns.join(", ")
    )
}

fn is_not_null_violation(error: &sea_orm::DbErr) -> bool {
    sql_code(error).as_deref() == Some("23502")
}
