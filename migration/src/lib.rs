//! Database migrations, one change per file, oldest first.
//!
//! Each migration runs up and down, on SQLite and PostgreSQL, mostly with the same SQL: `uuid`, `text`, `integer`,
//! `bigint`, `smallint` and `boolean` have the same meaning in both. Times are `bigint`, in milliseconds since the Unix
//! epoch, UTC.
//!
//! **Invariant:** the schema that a released migration makes is never edited; a new file corrects it.
//! **Invariant:** sort keys are compared as bytes (`COLLATE BINARY`), so both databases return the same order.
//! **Invariant:** every key of a library row starts with `user_id`, so ids of different users never collide.

use sea_orm_migration::prelude::*;

/// Implements a migration whose SQL is the same for both databases.
macro_rules! plain_sql {
    (up: $up:literal, down: $down:literal $(,)?) => {
        use sea_orm_migration::prelude::*;

        #[derive(DeriveMigrationName)]
        pub(crate) struct Migration;

        #[async_trait::async_trait]
        impl MigrationTrait for Migration {
            fn use_transaction(&self) -> Option<bool> {
                Some(true)
            }

            async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
                super::run(manager, $up).await
            }

            async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
                super::run(manager, $down).await
            }
        }
    };
}
use plain_sql;

/// Runs SQL for both databases, with the PostgreSQL name of the bytewise collation, `"C"`.
async fn run(manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    let sql = match manager.get_database_backend() {
        sea_orm::DbBackend::Postgres => sql.replace("COLLATE BINARY", r#"COLLATE "C""#),
        _ => sql.to_owned(),
    };
    manager.get_connection().execute_unprepared(&sql).await?;
    Ok(())
}

mod m20261122_000001_user;
mod m20261122_000001_user_subject;
mod m20261122_000002_story;
mod m20261122_000003_progress;
mod m20261122_000004_label;
mod m20261122_000005_tombstone;
mod m20261122_000006_receipt;
mod m20261122_000007_write;
mod m20261122_000008_field_change;
mod m20261124_000009_ticket;
mod m20261126_000012_unicode_keys;
mod m20261126_000013_tombstone_held;
mod m20261126_000015_label_removal;
mod m20261126_000016_query_plans;
mod m20261126_000017_library_usage;
mod m20261126_000018_receipt_total;
mod m20261126_000019_story_address;
mod m20261126_000020_field_change_order;
mod m20261126_000021_label_removal_parts;
mod m20261126_000022_write_total;
mod m20261126_000028_push_endpoint;
mod m20261126_000029_webhook;
mod m20261126_000033_created_stamp;
mod m20261126_000034_undone_removal;
mod m20261126_000035_device;
mod m20261126_000036_node;
mod m20261126_000037_session_end;
mod m20261126_000038_erased_epoch;
mod m20261126_000039_usage;
mod m20261126_000041_traceparent;

/// All migrations, in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_user::Migration),
            Box::new(m20261122_000001_user_subject::Migration),
            Box::new(m20261122_000002_story::Migration),
            Box::new(m20261122_000003_progress::Migration),
            Box::new(m20261122_000004_label::Migration),
            Box::new(m20261122_000005_tombstone::Migration),
            Box::new(m20261122_000006_receipt::Migration),
            Box::new(m20261122_000007_write::Migration),
            Box::new(m20261122_000008_field_change::Migration),
            Box::new(m20261124_000009_ticket::Migration),
            Box::new(m20261126_000012_unicode_keys::Migration),
            Box::new(m20261126_000013_tombstone_held::Migration),
            Box::new(m20261126_000015_label_removal::Migration),
            Box::new(m20261126_000016_query_plans::Migration),
            Box::new(m20261126_000017_library_usage::Migration),
            Box::new(m20261126_000018_receipt_total::Migration),
            Box::new(m20261126_000019_story_address::Migration),
            Box::new(m20261126_000020_field_change_order::Migration),
            Box::new(m20261126_000021_label_removal_parts::Migration),
            Box::new(m20261126_000022_write_total::Migration),
            Box::new(m20261126_000028_push_endpoint::Migration),
            Box::new(m20261126_000029_webhook::Migration),
            Box::new(m20261126_000033_created_stamp::Migration),
            Box::new(m20261126_000034_undone_removal::Migration),
            Box::new(m20261126_000035_device::Migration),
            Box::new(m20261126_000036_node::Migration),
            Box::new(m20261126_000037_session_end::Migration),
            Box::new(m20261126_000038_erased_epoch::Migration),
            Box::new(m20261126_000039_usage::Migration),
            Box::new(m20261126_000041_traceparent::Migration),
        ]
    }
}
