//! Lets a transaction change the rows of a library that the older app still writes. Triggers of a live adoption refuse all
//! other changes.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

/// Allows the changes of the transaction, or refuses them again.
pub(in crate::library) async fn allow(
    tx: &impl ConnectionTrait,
    is_allowed: bool,
) -> Result<(), DbErr> {
    if tx.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let value = if is_allowed { "on" } else { "off" };
    let set = format!("SELECT set_config('library_sync.follows', '{value}', true)");
    tx.query_one_raw(Statement::from_string(DbBackend::Postgres, set))
        .await?;
    Ok(())
}
