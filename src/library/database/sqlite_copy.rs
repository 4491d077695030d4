//! Copies and integrity checks of a SQLite database.

use std::path::Path;

use sea_orm::sqlx::{Connection as _, SqliteConnection, query, query_scalar};

use super::{
    first_connection::{OpenError, cause},
    options::Opening,
    sqlite_file,
};
use crate::address::SqliteFile;

/// Copies a consistent snapshot of a database, while others write to it, into the empty file `target`.
///
/// # Errors
/// When the database does not exist, or the copy cannot be written.
pub async fn copy_sqlite(file: &SqliteFile, target: &Path) -> Result<(), OpenError> {
    sqlite_file::prepare(file, Opening::Read)?;
    let target = target.to_string_lossy().into_owned();
    let copied = async {
        let mut connection = SqliteConnection::connect_with(&file.options).await?;
        query("VACUUM INTO ?")
            .bind(target)
            .execute(&mut connection)
            .await?;
        connection.close().await
    };
    let copied = copied.await;
    copied.map_err(|error| {
        OpenError(format!(
            "{} cannot be copied: {}",
            file.path.display(),
            cause(&error)
        ))
    })
}

/// Checks the integrity of every page and index of a database.
///
/// # Errors
/// With the first fault in the file.
pub async fn check_sqlite(file: &SqliteFile) -> Result<(), OpenError> {
    let checked = async {
        let mut connection = SqliteConnection::connect_with(&file.options).await?;
        let found: Vec<String> = query_scalar("PRAGMA integrity_check(1)")
            .fetch_all(&mut connection)
            .await?;
        connection.close().await?;
        Ok(found)
    };
    match checked.await {
        Ok(found) if found == ["ok"] => Ok(()),
        Ok(found) => Err(OpenError(found.join("; "))),
        Err(error) => Err(OpenError(cause(&error))),
    }
}

/// Converts a closed database to a single file without a write-ahead log.
///
/// # Errors
/// When another connection has it open.
pub async fn seal_sqlite(file: &SqliteFile) -> Result<(), OpenError> {
    let sealed = async {
        let mut connection = SqliteConnection::connect_with(&file.options).await?;
        query("PRAGMA journal_mode = DELETE")
            .execute(&mut connection)
            .await?;
        connection.close().await
    };
    sealed.await.map_err(|error| OpenError(cause(&error)))
}
