//! `topaz_field_change` in the order of reads and purges, with a link to the previous change by another device.
//!
//! The key starts with the version, by which history is purged. An index finds the newest change of a field, regardless
//! of the number of changes. `other_stamp` is the version of the newest earlier change of the same field by another
//! device, or 0. With it, the newest change by another device is found in two steps. This migration computes it for
//! existing rows. A change by an unknown device counts as a change by another device.
//!
//! During a rolling upgrade, a server from before this change still inserts rows. They get -1: unknown.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Selects the rows with their `other_stamp`. `boundary` is the previous change, if another device made it.
const LINKED: &str = "
SELECT user_id, kind, id, stamp, field, was, changed_at, coalesce(max(boundary) OVER (
    PARTITION BY user_id, kind, id, field ORDER BY stamp ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  ), 0) AS other_stamp
FROM (
  SELECT c.user_id, c.kind, c.id, c.stamp, c.field, c.was, c.changed_at,
    CASE WHEN w.device_id = lag(w.device_id) OVER changes THEN NULL ELSE lag(c.stamp) OVER changes END AS boundary
  FROM topaz_field_change c
  LEFT JOIN topaz_user u ON u.subject = c.user_id
  LEFT JOIN topaz_write w ON w.user_id = c.user_id AND w.epoch = u.library_epoch AND w.version = c.stamp
  WINDOW changes AS (PARTITION BY c.user_id, c.kind, c.id, c.field ORDER BY c.stamp)
) AS found";

const POSTGRES_UP: &str = "
ALTER TABLE topaz_field_change ADD COLUMN other_stamp integer NOT NULL DEFAULT 0;
UPDATE topaz_field_change c SET other_stamp = linked.other_stamp FROM ({linked}) AS linked
WHERE linked.other_stamp > 0 AND c.user_id = linked.user_id AND c.kind = linked.kind AND c.id = linked.id
  AND c.stamp = linked.stamp AND c.field = linked.field;
ALTER TABLE topaz_field_change ALTER COLUMN other_stamp SET DEFAULT -1;
ALTER TABLE topaz_field_change DROP CONSTRAINT topaz_field_change_pkey,
  ADD PRIMARY KEY (user_id, stamp, kind, id, field);
CREATE INDEX topaz_field_change_field ON topaz_field_change (user_id, kind, id, field, stamp);
";

const POSTGRES_DOWN: &str = "
DROP INDEX topaz_field_change_field;
ALTER TABLE topaz_field_change DROP CONSTRAINT topaz_field_change_pkey,
  ADD PRIMARY KEY (user_id, kind, id, stamp, field);
ALTER TABLE topaz_field_change DROP COLUMN other_stamp;
";

/// SQLite cannot change a primary key, so the table is recreated.
const SQLITE_UP: &str = "
CREATE TABLE topaz_field_change_new (
  user_id text NOT NULL REFERENCES topaz_user (subject) ON UPDATE CASCADE ON DELETE CASCADE,
  kind text NOT NULL,
  id uuid NOT NULL,
  stamp integer NOT NULL,
  field text NOT NULL,
  was text NOT NULL,
  changed_at bigint NOT NULL,
  other_stamp integer NOT NULL DEFAULT -1,
  PRIMARY KEY (user_id, stamp, kind, id, field)
);
INSERT INTO topaz_field_change_new (user_id, kind, id, stamp, field, was, changed_at, other_stamp) {linked};
DROP TABLE topaz_field_change;
ALTER TABLE topaz_field_change_new RENAME TO topaz_field_change;
CREATE INDEX topaz_field_change_changed_at ON topaz_field_change (changed_at);
CREATE INDEX topaz_field_change_field ON topaz_field_change (user_id, kind, id, field, stamp);
";

const SQLITE_DOWN: &str = "
CREATE TABLE topaz_field_change_old (
  user_id text NOT NULL REFERENCES topaz_user (subject) ON UPDATE CASCADE ON DELETE CASCADE,
  kind text NOT NULL,
  id uuid NOT NULL,
  stamp integer NOT NULL,
  field text NOT NULL,
  was text NOT NULL,
  changed_at bigint NOT NULL,
  PRIMARY KEY (user_id, kind, id, stamp, field)
);
INSERT INTO topaz_field_change_old SELECT user_id, kind, id, stamp, field, was, changed_at FROM topaz_field_change;
DROP TABLE topaz_field_change;
ALTER TABLE topaz_field_change_old RENAME TO topaz_field_change;
CREATE INDEX topaz_field_change_changed_at ON topaz_field_change (changed_at);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, POSTGRES_UP, SQLITE_UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, POSTGRES_DOWN, SQLITE_DOWN).await
    }
}

async fn run(manager: &SchemaManager<'_>, postgres: &str, sqlite: &str) -> Result<(), DbErr> {
    let sql = match manager.get_database_backend() {
        DbBackend::Postgres => postgres,
        _ => sqlite,
    };
    let sql = sql.replace("{linked}", LINKED);
    manager.get_connection().execute_unprepared(&sql).await?;
    Ok(())
}
