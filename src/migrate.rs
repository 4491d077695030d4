//! Bringing the database's tables up to date, one node at a time.
//!
//! **Invariant:** on PostgreSQL a change runs under an advisory lock held by a connection of its own, so that of
//! several nodes starting at once one migrates and the others wait.
//! **Invariant:** a database that a newer version has changed is left alone and served all the same: during a rolling
//! upgrade, and after a step back, the older version must be able to start.

use std::{future::Future, time::Duration};

use migration::Migrator;
use sea_orm::{ConnectOptions, ConnectionTrait as _, DatabaseConnection, DbErr};
use sea_orm_migration::MigratorTrait as _;

use crate::library::{Database, DatabaseOptions, sql_code};

/// "library" in hexadecimal digits that fit: any number will do, as long as all nodes use the same.
const LOCK: i64 = 0x006c_6962_7261_7279;

/// How often a change is tried that could not get the lock on a table, which those who use it hold.
const TRIES: u32 = 60;

/// How long those who use the table have it for themselves in between.
const PAUSE: Duration = Duration::from_millis(500);

/// Applies every change that the database has not had.
///
/// # Errors
/// When a change fails, which undoes it, or the database has had changes of a newer version but lacks some of this.
pub async fn up(db: &Database, options: &DatabaseOptions) -> Result<(), DbErr> {
    in_turn(db, options, async |connection| {
        let newer = newer(connection).await?;
        if newer.is_empty() {
            return patiently(|| Migrator::up(connection, None)).await;
        }
        if changes(connection).await?.iter().all(|(_, applied)| *applied) {
            tracing::warn!(
                changes = newer.join(", "),
                "a newer version has changed the database; nothing is migrated"
            );
            return Ok(());
        }
        let newer = newer.join(", ");
        Err(DbErr::Custom(format!(
            "the database has had changes that this version does not know ({newer}), and lacks some that it does"
        )))
    })
    .await
}

/// Undoes the newest `steps` changes.
pub async fn down(db: &Database, options: &DatabaseOptions, steps: u32) -> Result<(), DbErr> {
    in_turn(db, options, async |connection| {
        patiently(|| Migrator::down(connection, Some(steps))).await
    })
    .await
}

/// Every change that this version knows, oldest first, and whether the database has had it.
pub async fn status(
    db: &Database,
    options: &DatabaseOptions,
) -> Result<Vec<(String, bool)>, DbErr> {
    changes(&db.open_for_migrations(options).await?).await
}

async fn changes(connection: &DatabaseConnection) -> Result<Vec<(String, bool)>, DbErr> {
    let applied = applied(connection).await?;
    let all = Migrator::migrations().into_iter();
    Ok(all
        .map(|change| change.name().to_owned())
        .map(|name| (name.clone(), applied.contains(&name)))
        .collect())
}

/// The changes that the database has had and this version does not know.
async fn newer(connection: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let known = Migrator::migrations();
    let mut applied = applied(connection).await?;
    applied.retain(|name| known.iter().all(|change| change.name() != name));
    Ok(applied)
}

async fn applied(connection: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let had = Migrator::get_migration_models(connection).await?;
    Ok(had.into_iter().map(|change| change.version).collect())
}

/// Waits until no other node migrates, and does `work`. The lock goes with its connection, even if this process dies.
async fn in_turn(
    db: &Database,
    options: &DatabaseOptions,
    work: impl AsyncFnOnce(&DatabaseConnection) -> Result<(), DbErr>,
) -> Result<(), DbErr> {
    if !options.url.starts_with("postgres") {
        return work(&db.open_for_migrations(options).await?).await;
    }
    let lock = lock(options).await?;
    let connection = db.open_for_migrations(options).await?;
    let done = work(&connection).await;
    connection.close().await?;
    lock.close().await?;
    done
}

#[expect(clippy::disallowed_methods, reason = "takes a lock and touches no row")]
async fn lock(options: &DatabaseOptions) -> Result<DatabaseConnection, DbErr> {
    let mut connect = ConnectOptions::new(&options.url);
    connect
        .max_connections(1)
        .acquire_timeout(options.acquire_timeout)
        // Idle as long as the migration takes, and never closed for it: the lock would be gone.
        .idle_timeout(None)
        .max_lifetime(None)
        .sqlx_logging(false);
    let connection = sea_orm::Database::connect(connect).await?;
    connection
        .execute_unprepared(&format!("SELECT pg_advisory_lock({LOCK})"))
        .await?;
    Ok(connection)
}

/// Does `change` again while others hold a lock that it needs.
async fn patiently<F: Future<Output = Result<(), DbErr>>>(
    change: impl Fn() -> F,
) -> Result<(), DbErr> {
    for _ in 1..TRIES {
        match change().await {
            Err(error) if is_lock_timeout(&error) => {
                tracing::info!("a table is in use; its change is tried again");
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
    change().await
}

/// SQLSTATE 55P03, lock not available.
fn is_lock_timeout(error: &DbErr) -> bool {
    sql_code(error).as_deref() == Some("55P03")
}
