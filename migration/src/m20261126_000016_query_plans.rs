//! What keeps the plans of a large library's statements as good as those of a small one's.
//!
//! PostgreSQL plans a statement that it has run five times for the average user. Where most users have a handful of
//! rows, that plan reads all labels of a large library, or joins all its rows, for each page. So the planner is told
//! to expect 2,000 rows a user (a negative `n_distinct` is a share of the rows; the setting survives every `ANALYZE`),
//! at which it chooses the plans that read by index and stop at the limit. They are good for small users too.
//!
//! The list by update gets the index that the other orders of a table have.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The tables with many rows a user.
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

/// Changes what PostgreSQL expects of the users of each table, from now on.
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
