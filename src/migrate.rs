//! Bringing the database's tables up to date, one node at a time.
//!
//! **Invariant:** on PostgreSQL a change runs under an advisory lock held by a connection of its own, so that of
//! several nodes starting at once one migrates and the others wait.

use migration::Migrator;
use sea_orm::{ConnectOptions, ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr};
use sea_orm_migration::MigratorTrait as _;

use crate::library::{Database, DatabaseOptions};

/// "library" in hexadecimal digits that fit: any number will do, as long as all nodes use the same.
const LOCK: i64 = 0x006c_6962_7261_7279;

/// Applies every change that the database has not had.
pub async fn up(db: &Database, options: &DatabaseOptions) -> Result<(), DbErr> {
    let lock = lock(options).await?;
    let migrated = Migrator::up(db.migration_connection(), None).await;
    release(lock).await?;
    migrated
}

/// Undoes the newest `steps` changes.
pub async fn down(db: &Database, options: &DatabaseOptions, steps: u32) -> Result<(), DbErr> {
    let lock = lock(options).await?;
    let migrated = Migrator::down(db.migration_connection(), Some(steps)).await;
    release(lock).await?;
    migrated
}

/// Every change, oldest first, and whether the database has had it.
pub async fn status(db: &Database) -> Result<Vec<(String, bool)>, DbErr> {
    let applied = Migrator::get_applied_migrations(db.migration_connection()).await?;
    let applied: Vec<_> = applied
        .iter()
        .map(|change| change.name().to_owned())
        .collect();
    let all = Migrator::migrations()
        .into_iter()
        .map(|change| change.name().to_owned());
    Ok(all
        .map(|name| (name.clone(), applied.contains(&name)))
        .collect())
}

#[expect(clippy::disallowed_methods, reason = "takes a lock and touches no row")]
/// Waits for the lock; it is held until the connection closes, even if this process dies.
async fn lock(options: &DatabaseOptions) -> Result<Option<DatabaseConnection>, DbErr> {
    let mut connect = ConnectOptions::new(&options.url);
    connect
        .max_connections(1)
        .acquire_timeout(options.acquire_timeout)
        .sqlx_logging(false);
    if !options.url.starts_with("postgres") {
        return Ok(None);
    }
    let connection = sea_orm::Database::connect(connect).await?;
    debug_assert_eq!(connection.get_database_backend(), DbBackend::Postgres);
    connection
        .execute_unprepared(&format!("SELECT pg_advisory_lock({LOCK})"))
        .await?;
    Ok(Some(connection))
}

async fn release(lock: Option<DatabaseConnection>) -> Result<(), DbErr> {
    match lock {
        Some(connection) => connection.close().await,
        None => Ok(()),
    }
}
