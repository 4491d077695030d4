//! The unique index of the users' subjects.
//!
//! It is apart from the rewrite of `topaz_user`, so that an older app can use the table between the two locks. Databases
//! that were made before have it from that migration.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = r"
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_constraint
      WHERE conrelid = 'topaz_user'::regclass AND conname = 'topaz_user_subject_key') THEN
    -- Sorted in memory, because the table is locked.
    SET LOCAL maintenance_work_mem = '256MB';
    ALTER TABLE topaz_user ADD CONSTRAINT topaz_user_subject_key UNIQUE (subject);
    SET LOCAL maintenance_work_mem = DEFAULT;
  END IF;
END $$;
";

const DOWN: &str = "ALTER TABLE topaz_user DROP CONSTRAINT topaz_user_subject_key";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, DOWN).await
    }
}

/// SQLite's table was made with the index.
async fn on_postgres(manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() == sea_orm::DbBackend::Postgres {
        manager.get_connection().execute_unprepared(sql).await?;
    }
    Ok(())
}
