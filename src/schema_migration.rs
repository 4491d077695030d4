//! Database migrations, applied by one node at a time.
//!
//! **Invariant:** on PostgreSQL, migrations run under an advisory lock on a separate connection. Of several nodes that start
//! together, one migrates and the others wait.
//! **Invariant:** a database with migrations of a newer version is served unchanged. An older version must be able to start
//! during a rolling upgrade and after a downgrade.

use std::{future::Future, time::Duration};

use migration::Migrator;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbErr, Statement};
use sea_orm_migration::{MigratorTrait as _, SchemaManager};

use crate::library::{Database, DatabaseOptions, sql_code};

/// Key of the advisory lock: "library" in ASCII. All versions must use the same key.
const LOCK: i64 = 0x006c_6962_7261_7279;

/// Table in which sea-orm's migrator records the applied migrations.
const TABLE: &str = "seaql_migrations";

/// Error for a connection pooler in transaction mode, which cannot hold a lock for a session.
const SHARED: &str = "the address is a connection pooler in transaction mode, which cannot hold the migration lock: \
     run `library-sync migrate` with the address of PostgreSQL itself";

/// Maximum number of attempts to get the lock on a table that is in use.
const TRIES: u32 = 60;

/// Pause between two attempts, in which other sessions use the table.
const PAUSE: Duration = Duration::from_millis(500);

/// Applies all pending migrations.
///
/// # Errors
/// When a migration fails, which rolls it back, or when the database has migrations of a newer version and lacks some of
/// this version.
pub async fn up(db: &Database, options: &DatabaseOptions) -> Result<(), DbErr> {
    if db.shares_sessions() && is_up_to_date(db, options).await? {
        return Ok(());
    }
    exclusively(db, options, async |connection| {
        let newer = newer(connection).await?;
        if newer.is_empty() {
            return with_retries(|| Migrator::up(connection, None)).await;
        }
        if changes(connection).await?.iter().all(|(_, applied)| *applied) {
            tracing::warn!(
                changes = newer.join(", "),
                "the database has migrations of a newer version; nothing is migrated"
            );
            return Ok(());
        }
        let newer = newer.join(", ");
        Err(DbErr::Custom(format!(
            "the database has migrations of a newer version ({newer}) and lacks some of this version"
        )))
    })
    .await
}

/// Returns whether all migrations of this version are applied.
pub async fn is_up_to_date(db: &Database, options: &DatabaseOptions) -> Result<bool, DbErr> {
    let changes = status(db, options).await?;
    Ok(changes.iter().all(|(_, applied)| *applied))
}

/// Checks that a database belongs to library-sync and has no migrations of a newer version.
///
/// # Errors
/// When it does not, with the names of the unknown migrations.
pub async fn check_known(db: &Database, options: &DatabaseOptions) -> Result<(), DbErr> {
    let connection = db.open_for_migrations(options).await?;
    if applied(&connection).await?.is_empty() {
        return Err(DbErr::Custom(
            "it is not a library-sync database".to_owned(),
        ));
    }
    let newer = newer(&connection).await?;
    if newer.is_empty() {
        return Ok(());
    }
    Err(DbErr::Custom(format!(
        "it has migrations of a newer version ({}): use that version",
        newer.join(", ")
    )))
}

/// Reverts the newest `steps` migrations.
pub async fn down(db: &Database, options: &DatabaseOptions, steps: u32) -> Result<(), DbErr> {
    exclusively(db, options, async |connection| {
        with_retries(|| Migrator::down(connection, Some(steps))).await
    })
    .await
}

/// Returns the migrations of this version, oldest first, and whether each is applied.
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

/// Returns the applied migrations that this version does not know.
async fn newer(connection: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let known = Migrator::migrations();
    let mut applied = applied(connection).await?;
    applied.retain(|name| known.iter().all(|change| change.name() != name));
    Ok(applied)
}

/// Returns the applied migrations. Unlike sea-orm's migrator, creates no table.
async fn applied(connection: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    if !SchemaManager::new(connection).has_table(TABLE).await? {
        return Ok(Vec::new());
    }
    let select = format!("SELECT version FROM {TABLE} ORDER BY version");
    let select = Statement::from_string(connection.get_database_backend(), select);
    let rows = connection.query_all_raw(select).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Runs `work` on a separate connection while no other node migrates. The lock ends with its connection, even if this
/// process dies.
///
/// # Errors
/// Those of `work`, and when no connection can hold the lock.
pub async fn exclusively<T, E: From<DbErr>>(
    db: &Database,
    options: &DatabaseOptions,
    work: impl AsyncFnOnce(&DatabaseConnection) -> Result<T, E>,
) -> Result<T, E> {
    if options.address.postgres().is_none() {
        return work(&db.open_for_migrations(options).await?).await;
    }
    if db.shares_sessions() {
        return Err(DbErr::Custom(SHARED.to_owned()).into());
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

/// Retries `change` while other sessions hold a lock that it needs.
async fn with_retries<F: Future<Output = Result<(), DbErr>>>(
    change: impl Fn() -> F,
) -> Result<(), DbErr> {
    for _ in 1..TRIES {
        match change().await {
            Err(error) if is_lock_timeout(&error) => {
                tracing::info!("a table is in use; retrying its migration");
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
    change().await
}

/// Returns whether a lock was not available in time: SQLSTATE 55P03.
pub fn is_lock_timeout(error: &DbErr) -> bool {
    sql_code(error).as_deref() == Some("55P03")
}
