//! [`undo`]: reverts the migrations of an adoption, and moves the older tables back, in one transaction.
#![expect(
    clippy::disallowed_methods,
    reason = "drops the copies and moves the older app's tables back"
)]

use std::time::Duration;

use migration::Migrator;
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait as _,
};
use sea_orm_migration::MigratorTrait as _;

use super::{
    error::Error,
    live::{FOLLOWER_LOCK, end_capture},
    older_tables::{LIBRARY_TABLES, OlderTables},
    record::{self, Record, number},
    set_aside, users,
};
use crate::{
    library::{Database, DatabaseOptions, OlderApp, SET_ASIDE},
    schema_migration,
};

/// Attempts to lock the tables while others use them, and the pause between two.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);

/// The other tables that the migrations create, except that of users. They are emptied first with [`LIBRARY_TABLES`],
/// because some migrations rewrite every row when they are reverted.
const OTHER_TABLES: [&str; 13] = [
    "topaz_tombstone",
    "topaz_undone_removal",
    "topaz_receipt",
    "topaz_write",
    "topaz_field_change",
    "topaz_label_removal",
    "topaz_ticket",
    "topaz_push_endpoint",
    "topaz_webhook",
    "topaz_stream",
    "topaz_node",
    "topaz_device",
    "topaz_usage",
];

/// Users with changes that the follower did not make. A client may name its device as the follower does, but its changes
/// are refused until the cut-over.
const CHANGED: &str = "
SELECT count(DISTINCT w.user_id) FROM topaz_write w, topaz_before.adoption a
WHERE w.device_id IS DISTINCT FROM 'older-app'
  OR (a.state <> 'Live' AND w.written_at > extract(epoch FROM a.state_since) * 1000)";

/// What was undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undone {
    /// The adoption: the older app's tables are where they were.
    Adoption,
    /// The migrations of an earlier version, which had failed half way.
    HalfMigration,
}

/// Gives the database back to the older app, as the adoption found it.
///
/// # Errors
/// When it was not adopted; when readers have changed their libraries since, unless `discard_changes`; or when a step
/// fails. Nothing is changed then.
pub async fn undo(
    db: &Database,
    options: &DatabaseOptions,
    discard_changes: bool,
) -> Result<Undone, Error> {
    if options.address.postgres().is_none() {
        return Err(Error::NotPostgres);
    }
    schema_migration::exclusively(db, options, async |connection| {
        let is_adopted = record::exists(connection).await?;
        if !is_adopted && db.find_older_app().await? != Some(OlderApp::Stories) {
            return Err(Error::NotAdopted);
        }
        if !is_adopted && record::count_migrations(connection).await? == 0 {
            return Err(Error::NotAdopted);
        }
        let tx = begin(connection, is_adopted).await?;
        let done = if is_adopted {
            give_back(&tx, discard_changes)
                .await
                .map(|()| Undone::Adoption)
        } else {
            Migrator::down(&tx, None)
                .await
                .map_err(Error::from)
                .map(|()| Undone::HalfMigration)
        };
        match done {
            Ok(_) => tx.commit().await?,
            Err(_) => tx.rollback().await?,
        }
        done
    })
    .await
}

/// Begins the transaction with all tables locked.
async fn begin(
    connection: &DatabaseConnection,
    is_adopted: bool,
) -> Result<DatabaseTransaction, Error> {
    let older = OlderTables::set_aside(connection).await?;
    let ours = if is_adopted {
        migrated_tables()
    } else {
        Vec::new()
    };
    for attempt in 1.. {
        let tx = connection.begin().await?;
        match lock(&tx, &older, &ours).await {
            Err(error) if attempt < TRIES && schema_migration::is_lock_timeout(&error) => {
                tx.rollback().await?;
                tracing::info!("the tables are in use; retrying to lock them");
                tokio::time::sleep(PAUSE).await;
            }
            locked => {
                locked?;
                return Ok(tx);
            }
        }
    }
    Err(Error::NotAdopted)
}

/// The tables that the migrations create, except that of users.
fn migrated_tables() -> Vec<&'static str> {
    [&LIBRARY_TABLES[..], &OTHER_TABLES].concat()
}

/// Waits for the step of a follower, and locks the tables.
async fn lock(tx: &DatabaseTransaction, older: &OlderTables, ours: &[&str]) -> Result<(), DbErr> {
    let wait = format!("SELECT pg_advisory_xact_lock({FOLLOWER_LOCK})");
    tx.execute_unprepared(&wait).await?;
    set_aside::lock(tx, older, ours).await
}

async fn give_back(tx: &DatabaseTransaction, discard_changes: bool) -> Result<(), Error> {
    let record = Record::read(tx).await?;
    if !discard_changes {
        let users = number(tx, CHANGED).await?;
        if users > 0 {
            return Err(Error::ChangedSince { users });
        }
    }
    let older = OlderTables::set_aside(tx).await?;
    end_capture(tx, &older).await?;
    tx.execute_unprepared(&format!("TRUNCATE {}", migrated_tables().join(", ")))
        .await?;
    let applied = record::count_migrations(tx).await?;
    let steps = applied.saturating_sub(record.migrations_before);
    Migrator::down(tx, Some(steps)).await?;
    if !record.had_migrations_table {
        tx.execute_unprepared("DROP TABLE seaql_migrations").await?;
    }
    set_aside::put_back(tx, &older, &record.home).await?;
    users::restore(tx).await?;
    for table in record::TABLES {
        tx.execute_unprepared(&format!("DROP TABLE {SET_ASIDE}.{table}"))
            .await?;
    }
    tx.execute_unprepared(&format!("DROP SCHEMA {SET_ASIDE}"))
        .await?;
    Ok(())
}
