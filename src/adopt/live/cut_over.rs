//! [`cut_over`]: ends a live adoption, so that library-sync is the only one that writes.

use std::time::Duration;

use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait as _,
};

use super::{
    capture,
    comparison::{Comparison, compare},
    follower::{Follower, LOCK},
};
use crate::{
    adopt::{
        error::Error,
        older_tables::OlderTables,
        record::{self, State},
        set_aside,
    },
    library::{Database, DatabaseOptions, Library},
    schema_migration,
};

/// Attempts to lock the tables while the older app writes, and the pause between two.
const TRIES: u32 = 120;
const PAUSE: Duration = Duration::from_millis(250);

/// What was compared before the cut-over.
#[derive(Debug, Clone, Copy)]
pub struct CutOver {
    /// Entries, equal on both sides.
    pub entries: u64,
}

/// Cuts over: locks the older tables against changes, copies the last changes, compares both sides, and lets library-sync
/// write. From then on the older tables refuse changes.
///
/// # Errors
/// When the database is not in a live adoption, or the sides differ. The live adoption then goes on.
pub async fn cut_over(
    db: &Database,
    options: &DatabaseOptions,
    library: Library,
) -> Result<CutOver, Error> {
    schema_migration::exclusively(db, options, async |connection| {
        let record = record::Record::read(connection).await?;
        record.state.require(State::Live)?;
        let older = OlderTables::set_aside(connection).await?;
        let alone = db.open_alone(options, "library-sync follower", &[]).await?;
        let follower = Follower::new(library, alone, older.labels);
        let tx = begin(connection, &older).await?;
        match finish(&tx, &follower, &older).await {
            Ok(entries) => {
                tx.commit().await?;
                Ok(CutOver { entries })
            }
            Err(error) => {
                tx.rollback().await?;
                Err(error)
            }
        }
    })
    .await
}

/// Begins the transaction, with the older tables locked against changes and no follower at work.
#[expect(clippy::disallowed_methods, reason = "locks, and touches no row")]
async fn begin(
    connection: &DatabaseConnection,
    older: &OlderTables,
) -> Result<DatabaseTransaction, Error> {
    for attempt in 1.. {
        let tx = connection.begin().await?;
        let locked: Result<(), DbErr> = async {
            set_aside::lock_against_changes(&tx, older).await?;
            // Waits for the step of a follower, which only reads the locked tables.
            tx.execute_unprepared(&format!(
                "SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock({LOCK})"
            ))
            .await?;
            Ok(())
        }
        .await;
        match locked {
            Err(error) if attempt < TRIES && schema_migration::is_lock_timeout(&error) => {
                tx.rollback().await?;
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

async fn finish(
    tx: &DatabaseTransaction,
    follower: &Follower,
    older: &OlderTables,
) -> Result<u64, Error> {
    while follower.step().await? > 0 {}
    let Comparison {
        entries,
        differing,
        named,
    } = compare(tx, older.labels).await?;
    if differing > 0 {
        return Err(Error::Differing {
            differing,
            named: named.join("; "),
        });
    }
    capture::close(tx, older).await?;
    State::CutOver.store(tx).await?;
    Ok(entries)
}
