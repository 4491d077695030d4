//! Bringing the database's tables up to date, one node at a time.
//!
//! **Invariant:** on PostgreSQL a change runs under an advisory lock held by a connection of its own, so that of
//! several nodes starting at once one migrates and the others wait.
//! **Invariant:** a database that a newer version has changed is left alone and served all the same: during a rolling
//! upgrade, and after a step back, the older version must be able to start.

use std::{future::Future, time::Duration};

use migration::Migrator;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbErr, Statement};
use sea_orm_migration::{MigratorTrait as _, SchemaManager};

use crate::library::{Database, DatabaseOptions, sql_code};

/// "library" in hexadecimal digits that fit: any number will do, as long as all nodes use the same.
const LOCK: i64 = 0x006c_6962_7261_7279;

/// Where sea-orm's migrator notes the changes.
const TABLE: &str = "seaql_migrations";

/// Why a connection pooler is no way to change tables.
const SHARED: &str = "the address leads to a connection pooler in transaction mode, which keeps no lock for a migration: \
     run `library-sync migrate` with the address of PostgreSQL itself";

/// How often a change is tried that could not get the lock on a table, which those who use it hold.
const TRIES: u32 = 60;

/// How long those who use the table have it for themselves in between.
const PAUSE: Duration = Duration::from_millis(500);

/// Applies every change that the database has not had.
///
/// # Errors
/// When a change fails, which undoes it, or the database has had changes of a newer version but lacks some of this.
pub async fn up(db: &Database, options: &DatabaseOptions) -> Result<(), DbErr> {
    if db.shares_sessions() && is_up_to_date(db, options).await? {
        return Ok(());
    }
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

/// Whether the database has had every change that this version knows.
pub async fn is_up_to_date(db: &Database, options: &DatabaseOptions) -> Result<bool, DbErr> {
    let changes = status(db, options).await?;
    Ok(changes.iter().all(|(_, applied)| *applied))
}

/// Checks that a database is one of ours, and not of a newer version.
///
/// # Errors
/// Names the changes that this version does not know.
pub async fn check_known(db: &Database, options: &DatabaseOptions) -> Result<(), DbErr> {
    let connection = db.open_for_migrations(options).await?;
    if applied(&connection).await?.is_empty() {
        return Err(DbErr::Custom(
            "it is not a database of library-sync".to_owned(),
        ));
    }
    let newer = newer(&connection).await?;
    if newer.is_empty() {
        return Ok(());
    }
    Err(DbErr::Custom(format!(
        "a newer version has changed it ({}): use that version",
        newer.join(", ")
    )))
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

/// The changes that the database has had. Reads and makes no table, unlike sea-orm's migrator.
async fn applied(connection: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    if !SchemaManager::new(connection).has_table(TABLE).await? {
        return Ok(Vec::new());
    }
    let select = format!("SELECT version FROM {TABLE} ORDER BY version");
    let select = Statement::from_string(connection.get_database_backend(), select);
    let rows = connection.query_all_raw(select).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Waits until no other node migrates, and does `work`. The lock goes with its connection, even if this process dies.
async fn in_turn(
    db: &Database,
    options: &DatabaseOptions,
    work: impl AsyncFnOnce(&DatabaseConnection) -> Result<(), DbErr>,
) -> Result<(), DbErr> {
    if options.address.postgres().is_none() {
        return work(&db.open_for_migrations(options).await?).await;
    }
    if db.shares_sessions() {
        return Err(DbErr::Custom(SHARED.to_owned()));
    }
    let lock = lock(db, options).await?;
    let connection = db.open_for_migrations(options).await?;
    let done = work(&connection).await;
    connection.close().await?;
    lock.close().await?;
    done
}

#[expect(clippy::disallowed_methods, reason = "takes a lock and touches no row")]
async fn lock(db: &Database, options: &DatabaseOptions) -> Result<DatabaseConnection, DbErr> {
    let connection = db
        .open_alone(options, "library-sync migration lock", &[])
        .await?;
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
