//! `topaz_user`: the counter itself, in a table of our own or in the one an older app already has.
//!
//! The older app keyed its users by some `id` of its own type. We never read that column: a user is known by
//! `subject`, the token's `sub`, which begins as the row's id as text. A trigger keeps it so for rows that the
//! older app inserts later, since it does not know the column.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const POSTGRES_UP: &str = r"
CREATE TABLE IF NOT EXISTS topaz_user (id uuid PRIMARY KEY DEFAULT gen_random_uuid());

ALTER TABLE topaz_user
  ADD COLUMN IF NOT EXISTS subject text,
  ADD COLUMN IF NOT EXISTS library_version integer NOT NULL DEFAULT 1,
  ADD COLUMN IF NOT EXISTS library_epoch bigint NOT NULL
    DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
  ADD COLUMN IF NOT EXISTS library_floor integer NOT NULL DEFAULT 0;

UPDATE topaz_user SET subject = id::text WHERE subject IS NULL;
ALTER TABLE topaz_user ALTER COLUMN subject SET NOT NULL;
ALTER TABLE topaz_user ADD CONSTRAINT topaz_user_subject_key UNIQUE (subject);

CREATE FUNCTION topaz_user_subject() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.subject := coalesce(NEW.subject, NEW.id::text);
  RETURN NEW;
END $$;
CREATE TRIGGER topaz_user_subject BEFORE INSERT ON topaz_user
  FOR EACH ROW EXECUTE FUNCTION topaz_user_subject();

-- An app that makes its ids itself has no default; our own inserts name only the subject.
DO $$
DECLARE kind text;
BEGIN
  SELECT data_type INTO kind FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name = 'topaz_user' AND column_name = 'id'
      AND column_default IS NULL AND is_identity = 'NO';
  IF kind = 'uuid' THEN
    ALTER TABLE topaz_user ALTER COLUMN id SET DEFAULT gen_random_uuid();
  ELSIF kind IN ('text', 'character varying') THEN
    ALTER TABLE topaz_user ALTER COLUMN id SET DEFAULT gen_random_uuid()::text;
  END IF;
END $$;
";

const POSTGRES_DOWN: &str = r"
DROP TRIGGER topaz_user_subject ON topaz_user;
DROP FUNCTION topaz_user_subject();
DO $$
BEGIN
  IF obj_description('topaz_user'::regclass, 'pg_class') = 'created by library-sync' THEN
    DROP TABLE topaz_user;
  ELSE
    ALTER TABLE topaz_user DROP COLUMN subject, DROP COLUMN library_version,
      DROP COLUMN library_epoch, DROP COLUMN library_floor;
  END IF;
END $$;
";

const SQLITE_UP: &str = r"
CREATE TABLE topaz_user (
  id text PRIMARY KEY DEFAULT (lower(hex(randomblob(16)))),
  subject text NOT NULL UNIQUE,
  library_version integer NOT NULL DEFAULT 1,
  library_epoch bigint NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS integer)),
  library_floor integer NOT NULL DEFAULT 0
);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        if manager.get_database_backend() == sea_orm::DbBackend::Sqlite {
            db.execute_unprepared(SQLITE_UP).await?;
            return Ok(());
        }
        let adopted = manager.has_table("topaz_user").await?;
        db.execute_unprepared(POSTGRES_UP).await?;
        // The mark by which `down` drops a table of ours, but only strips an adopted one.
        if !adopted {
            db.execute_unprepared("COMMENT ON TABLE topaz_user IS 'created by library-sync'")
                .await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let down = match manager.get_database_backend() {
            sea_orm::DbBackend::Sqlite => "DROP TABLE topaz_user",
            _ => POSTGRES_DOWN,
        };
        manager.get_connection().execute_unprepared(down).await?;
        Ok(())
    }
}
