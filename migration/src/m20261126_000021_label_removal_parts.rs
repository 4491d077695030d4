//! Splits `topaz_label_removal` into parts, so that a look-up of one story reads one part per removal.
//!
//! A part holds the ids of its stories in order, from `first_story` to `last_story`. An existing row becomes a single
//! part that spans all stories.
//!
//! During a rolling upgrade, a server from before this change still inserts rows. They span all stories too.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "
CREATE TABLE topaz_label_removal_new (
  user_id text NOT NULL REFERENCES topaz_user (subject) ON UPDATE CASCADE ON DELETE CASCADE,
  stamp integer NOT NULL,
  kind text NOT NULL,
  id uuid NOT NULL,
  first_story uuid NOT NULL DEFAULT {first},
  last_story uuid NOT NULL DEFAULT {last},
  removed_at bigint NOT NULL,
  carriers text NOT NULL,
  PRIMARY KEY (user_id, stamp, kind, id, first_story)
);
INSERT INTO topaz_label_removal_new (user_id, stamp, kind, id, first_story, last_story, removed_at, carriers)
SELECT user_id, stamp, kind, id, {first}, {last}, removed_at, carriers FROM topaz_label_removal;
DROP TABLE topaz_label_removal;
ALTER TABLE topaz_label_removal_new RENAME TO topaz_label_removal;
CREATE INDEX topaz_label_removal_removed_at ON topaz_label_removal (removed_at);
";

/// Joins the parts of each removal into one row.
const DOWN: &str = "
CREATE TABLE topaz_label_removal_old (
  user_id text NOT NULL REFERENCES topaz_user (subject) ON UPDATE CASCADE ON DELETE CASCADE,
  stamp integer NOT NULL,
  kind text NOT NULL,
  id uuid NOT NULL,
  carriers text NOT NULL,
  removed_at bigint NOT NULL,
  PRIMARY KEY (user_id, stamp, kind, id)
);
INSERT INTO topaz_label_removal_old (user_id, stamp, kind, id, removed_at, carriers)
SELECT user_id, stamp, kind, id, max(removed_at), {joined} FROM topaz_label_removal GROUP BY user_id, stamp, kind, id;
DROP TABLE topaz_label_removal;
ALTER TABLE topaz_label_removal_old RENAME TO topaz_label_removal;
CREATE INDEX topaz_label_removal_removed_at ON topaz_label_removal (removed_at);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (first, last) = match manager.get_database_backend() {
            DbBackend::Postgres => (
                "'00000000-0000-0000-0000-000000000000'::uuid",
                "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid",
            ),
            _ => (
                "x'00000000000000000000000000000000'",
                "x'ffffffffffffffffffffffffffffffff'",
            ),
        };
        let sql = TABLE.replace("{first}", first).replace("{last}", last);
        manager.get_connection().execute_unprepared(&sql).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let joined = match manager.get_database_backend() {
            DbBackend::Postgres => "string_agg(carriers, ' ')",
            _ => "group_concat(carriers, ' ')",
        };
        let sql = DOWN.replace("{joined}", joined);
        manager.get_connection().execute_unprepared(&sql).await?;
        Ok(())
    }
}
