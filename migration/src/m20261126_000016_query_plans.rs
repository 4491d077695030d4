//! Index scans for large libraries in generic query plans.
//!
//! After five executions PostgreSQL uses a generic plan, which assumes the average number of rows per user. If most
//! users have few rows, that plan reads all labels or joins all rows of a large library for each page. This migration
//! sets the expected number to 2,000 rows per user. (A negative `n_distinct` is a fraction of the rows; the setting
//! survives `ANALYZE`.) The planner then chooses index scans that stop at the limit. These plans are fast for small
//! users too.
//!
//! It also adds the missing index for lists sorted by the time of the last update.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The tables with many rows per user.
const TABLES: [&str; 8] = [
    "topaz_story",
    "topaz_progress",
    "topaz_tag",
    "topaz_fandom",
    "topaz_story_tag",
    "topaz_story_fandom",
    "topaz_tombstone",
    "topaz_field_change",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index =
            "CREATE INDEX topaz_progress_updated ON topaz_progress (user_id, updated_at, id)";
        super::run(manager, index).await?;
        expect(manager, "SET (n_distinct = -0.0005)").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, "DROP INDEX topaz_progress_updated").await?;
        expect(manager, "RESET (n_distinct)").await
    }
}

/// Changes PostgreSQL's estimate of distinct users in each table.
async fn expect(manager: &SchemaManager<'_>, change: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() != sea_orm::DbBackend::Postgres {
        return Ok(());
    }
    for table in TABLES {
        let sql = format!("ALTER TABLE {table} ALTER COLUMN user_id {change}; ANALYZE {table}");
        manager.get_connection().execute_unprepared(&sql).await?;
    }
    Ok(())
}
