//! `topaz_user`: the version counter, in a new table or in the existing table of an older app.
//!
//! The older app identifies users by `id`, of any type. The server never reads that column. It identifies users by
//! `subject`, the token's `sub`, which is the row's id as text. A trigger fills the missing column of later rows: the
//! older app inserts without `subject`, the server without `id`.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const POSTGRES_UP: &str = r"
CREATE TABLE IF NOT EXISTS topaz_user (id uuid PRIMARY KEY);

-- Constant defaults, which do not rewrite the table.
ALTER TABLE topaz_user
  ADD COLUMN subject text,
  ADD COLUMN IF NOT EXISTS library_version integer,
  ADD COLUMN library_epoch bigint NOT NULL DEFAULT 0,
  ADD COLUMN library_floor integer NOT NULL DEFAULT 0;

-- Rewrite the table instead of UPDATE, which would fire the older app's triggers. It is locked meanwhile, so it is
-- rewritten once, and the next migration makes the index.
ALTER TABLE topaz_user
  ALTER COLUMN subject TYPE text USING id::text,
  ALTER COLUMN subject SET NOT NULL,
  ALTER COLUMN library_version DROP DEFAULT,
  ALTER COLUMN library_version TYPE integer USING coalesce(library_version, 1),
  ALTER COLUMN library_version SET DEFAULT 1,
  ALTER COLUMN library_version SET NOT NULL,
  ALTER COLUMN library_epoch DROP DEFAULT,
  ALTER COLUMN library_epoch TYPE bigint USING (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
  ALTER COLUMN library_epoch SET DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::bigint;

CREATE FUNCTION topaz_user_subject() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  drawn text := NEW.id;
  kind regtype := pg_typeof(NEW.id);
BEGIN
  IF NEW.subject IS NULL THEN
    NEW.subject := NEW.id;
    RETURN NEW;
  END IF;
  -- The subject is the row's id as text, wherever some id reads so: the older app would look for it there.
  BEGIN
    NEW.id := NEW.subject;
    IF NEW.id::text = NEW.subject THEN
      IF drawn IS NOT NULL AND kind IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype) THEN
        RAISE not_null_violation USING MESSAGE = 'a sequence numbers the users, and has not come to this one';
      END IF;
      RETURN NEW;
    END IF;
  EXCEPTION WHEN data_exception THEN
    NULL; -- no id reads so
  END;
  NEW.id := coalesce(drawn, CASE WHEN kind = 'uuid'::regtype THEN gen_random_uuid()::text END);
  RETURN NEW;
END $$;
CREATE TRIGGER topaz_user_subject BEFORE INSERT ON topaz_user
  FOR EACH ROW EXECUTE FUNCTION topaz_user_subject();
";

/// Comments in the catalog by which `down` recognises the table and column that `up` created.
const OUR_TABLE: &str = "COMMENT ON TABLE topaz_user IS 'created by library-sync'";
const OUR_VERSION: &str = "COMMENT ON COLUMN topaz_user.library_version IS 'added by library-sync'";

const POSTGRES_DOWN: &str = r"
DROP TRIGGER topaz_user_subject ON topaz_user;
DROP FUNCTION topaz_user_subject();
DO $$
DECLARE
  version_column smallint := attnum FROM pg_attribute
    WHERE attrelid = 'topaz_user'::regclass AND attname = 'library_version';
BEGIN
  IF obj_description('topaz_user'::regclass, 'pg_class') = 'created by library-sync' THEN
    DROP TABLE topaz_user;
    RETURN;
  END IF;
  ALTER TABLE topaz_user DROP COLUMN subject, DROP COLUMN library_epoch, DROP COLUMN library_floor;
  IF col_description('topaz_user'::regclass, version_column) = 'added by library-sync' THEN
    ALTER TABLE topaz_user DROP COLUMN library_version;
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
        let had_table = manager.has_table("topaz_user").await?;
        let had_version = had_table && manager.has_column("topaz_user", "library_version").await?;
        db.execute_unprepared(POSTGRES_UP).await?;
        if !had_table {
            db.execute_unprepared(OUR_TABLE).await?;
        } else if !had_version {
            db.execute_unprepared(OUR_VERSION).await?;
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
