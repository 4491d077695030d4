//! Databases as the versions of the older app leave them, and comparisons of what `pg_dump` prints.

use std::process::Command;

use migration::Migrator;
use sea_orm::ConnectionTrait as _;
use sea_orm_migration::MigratorTrait as _;

use crate::support::programs::Finish as _;
use crate::support::test_app::{Db, TestDatabase};

/// The database of the version that is deployed.
const A: &str = include_str!("older-app.sql");

/// Ann and Bob, who have a library, and Carol, who has none.
pub const ANN: &str = "3f0c1a52-6d0e-4b6e-9a57-0c1d2e3f4a51";
pub const BOB: &str = "b7e2d9c4-1f38-4c0a-8d66-5a4b3c2d1e02";
pub const CAROL: &str = "00000000-0000-4000-8000-00000000000c";

/// A later version: more values of its enums, a version of each row, none of the library, and no views.
const B: &str = "
DROP MATERIALIZED VIEW library_mv;
DROP MATERIALIZED VIEW library_stats_mv;
ALTER TYPE reading_status ADD VALUE 'PlanToRead';
ALTER TYPE reading_status ADD VALUE 'DroppedAsAbandoned';
ALTER TYPE story_status ADD VALUE 'Unknown';
ALTER TABLE topaz_user DROP COLUMN library_version;
ALTER TABLE topaz_story ADD COLUMN version integer NOT NULL DEFAULT 0;
ALTER TABLE topaz_progress ADD COLUMN version integer NOT NULL DEFAULT 0;
";

/// Rows with the values that [`B`] adds.
const B_ROWS: &str = "
UPDATE topaz_progress SET reading_status = 'PlanToRead', version = 3 WHERE current_chapter = 0 AND reading_status = 'NotStarted';
UPDATE topaz_progress SET reading_status = 'DroppedAsAbandoned' WHERE reading_status = 'Dropped';
UPDATE topaz_story SET status = 'Unknown' WHERE status = 'Abandoned';
";

/// The last version with stories: tags and fandoms are terms of several kinds.
const C: &str = "
CREATE TYPE taxonomy_kind AS ENUM ('Fandom', 'Tag', 'Genre', 'Character', 'Relationship', 'Warning',
  'SourceCategory', 'Custom');
CREATE TABLE topaz_taxonomy_term (
  id uuid PRIMARY KEY NOT NULL,
  public_id varchar(128) NOT NULL,
  kind taxonomy_kind NOT NULL DEFAULT 'Tag',
  name citext NOT NULL,
  slug varchar(255) NOT NULL,
  description text,
  version integer NOT NULL DEFAULT 0,
  created_at timestamptz DEFAULT CURRENT_TIMESTAMP,
  updated_at timestamptz
);
CREATE UNIQUE INDEX taxonomyterm_kind_name_uidx ON topaz_taxonomy_term (kind, name);
CREATE TABLE topaz_taxonomy_alias (
  id uuid PRIMARY KEY NOT NULL,
  public_id varchar(128) NOT NULL,
  term_id uuid NOT NULL REFERENCES topaz_taxonomy_term (id) ON DELETE CASCADE,
  name citext NOT NULL,
  slug varchar(255) NOT NULL,
  created_at timestamptz DEFAULT CURRENT_TIMESTAMP,
  updated_at timestamptz
);
CREATE TABLE topaz_story_taxonomy_term (
  story_id uuid NOT NULL REFERENCES topaz_story (id) ON DELETE CASCADE,
  term_id uuid NOT NULL REFERENCES topaz_taxonomy_term (id) ON DELETE CASCADE,
  PRIMARY KEY (story_id, term_id)
);
INSERT INTO topaz_taxonomy_term (id, public_id, kind, name, slug, created_at, updated_at)
  SELECT id, public_id, 'Fandom', name, public_id, created_at, updated_at FROM topaz_fandom;
INSERT INTO topaz_taxonomy_term (id, public_id, kind, name, slug, created_at, updated_at)
  SELECT id, public_id, CASE WHEN name > 'H' THEN 'Genre' ELSE 'Tag' END::taxonomy_kind, name, public_id, created_at,
    updated_at FROM topaz_tag;
INSERT INTO topaz_story_taxonomy_term SELECT * FROM topaz_story_fandom;
INSERT INTO topaz_story_taxonomy_term SELECT * FROM topaz_story_tag;
DROP TABLE topaz_story_fandom;
DROP TABLE topaz_story_tag;
DROP TABLE topaz_fandom;
DROP TABLE topaz_tag;
";

/// The rewrite: works instead of stories.
const D: &str = "
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TABLE topaz_user (id uuid PRIMARY KEY NOT NULL, public_id varchar(128) NOT NULL, email varchar(255) NOT NULL);
CREATE TABLE topaz_work (id uuid PRIMARY KEY NOT NULL, title citext NOT NULL);
CREATE TABLE topaz_library_entry (
  id uuid PRIMARY KEY NOT NULL,
  user_id uuid NOT NULL REFERENCES topaz_user (id),
  work_id uuid NOT NULL REFERENCES topaz_work (id)
);
";

/// A version of the older app's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Older {
    A,
    B,
    C,
    D,
    /// [`Older::A`], on which an earlier version of library-sync has applied its first migration and failed.
    HalfMigrated,
}

impl Older {
    /// A database of this version.
    pub async fn database(self) -> TestDatabase {
        let database = TestDatabase::new(Db::Postgres).await;
        self.fill(&database).await;
        database
    }

    /// Creates this version in an empty database.
    pub async fn fill(self, database: &TestDatabase) {
        let db = database.connect().await;
        let execute = async |sql: &str| {
            let done = db.execute_unprepared(sql).await;
            done.unwrap_or_else(|error| panic!("{self:?}: {error}"));
        };
        if self == Self::D {
            execute(D).await;
        } else {
            execute(A).await;
        }
        if matches!(self, Self::B | Self::C) {
            // A new value of an enum may be used only after its transaction.
            for sql in B.split_inclusive(";\n") {
                execute(sql).await;
            }
            execute(B_ROWS).await;
        }
        if self == Self::C {
            execute(C).await;
        }
        db.close().await.unwrap();
        if self == Self::HalfMigrated {
            half_migrate(database).await;
        }
    }
}

/// Migrates as an earlier version did, which fails after the first migration.
pub async fn half_migrate(database: &TestDatabase) {
    let db = database.connect().await;
    let error = Migrator::up(&db, None).await.unwrap_err().to_string();
    assert!(error.contains("topaz_story"), "{error}");
    db.close().await.unwrap();
}

/// The output of `pg_dump`, without the table of migrations, and with the rows of each table sorted.
pub fn dump(database: &TestDatabase) -> String {
    let output = Command::new("pg_dump")
        .args(["--exclude-table=seaql_migrations", &database.url])
        .finish();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (mut printed, mut rows) = (Vec::new(), None::<Vec<&str>>);
    for line in text.lines() {
        match &mut rows {
            Some(of_table) if line == "\\." => {
                of_table.sort_unstable();
                printed.append(of_table);
                rows = None;
            }
            Some(of_table) => of_table.push(line),
            None if line.starts_with("COPY ") => {
                printed.push(line);
                rows = Some(Vec::new());
            }
            // A key that is new in each dump.
            None if line.starts_with("\\restrict") || line.starts_with("\\unrestrict") => {}
            None => printed.push(line),
        }
    }
    printed.join("\n")
}
