//! Tables in `topaz_before` that record an adoption: what `--undo` restores, and what the report lists.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};

use super::{error::Error, older_tables::Labels};
use crate::library::SET_ASIDE;

/// One row about the adoption, one per user as they were before, and one per line of the report.
const CREATE: &str = "
CREATE TABLE topaz_before.adoption (
  adopted_at timestamptz NOT NULL DEFAULT now(),
  home text NOT NULL,
  labels text NOT NULL,
  state text NOT NULL,
  state_since timestamptz NOT NULL DEFAULT clock_timestamp(),
  migrations_before integer NOT NULL,
  had_migrations_table boolean NOT NULL
);
CREATE TABLE topaz_before.adoption_user (
  subject text PRIMARY KEY,
  was_version integer,
  was_epoch bigint,
  was_floor integer,
  adopted_version integer
);
CREATE TABLE topaz_before.adoption_merged (
  kind text NOT NULL,
  user_id text NOT NULL,
  label_id uuid NOT NULL,
  into_id uuid NOT NULL,
  PRIMARY KEY (kind, user_id, label_id)
);
CREATE TABLE topaz_before.adoption_report (
  line bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  outcome text NOT NULL,
  kind text NOT NULL,
  user_id text,
  id uuid NOT NULL,
  rule text NOT NULL
);
";

/// The tables of [`CREATE`].
pub(super) const TABLES: [&str; 4] = [
    "adoption",
    "adoption_user",
    "adoption_merged",
    "adoption_report",
];

/// How far an adoption is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
pub(super) enum State {
    /// Copied at once. The older app has stopped.
    Copied,
    /// The older app writes, and a follower copies its changes.
    Live,
    /// library-sync writes, and the older app no longer does.
    CutOver,
}

impl State {
    /// Checks that the adoption is in a state.
    ///
    /// # Errors
    /// [`Error::OtherState`].
    pub(super) fn require(self, wanted: Self) -> Result<(), Error> {
        match self {
            state if state == wanted => Ok(()),
            Self::Copied => Err(Error::OtherState("was made at once, without --live")),
            Self::Live => Err(Error::OtherState("is live")),
            Self::CutOver => Err(Error::OtherState("is cut over")),
        }
    }

    /// Stores the state.
    #[expect(clippy::disallowed_methods, reason = "writes no row of a library")]
    pub(super) async fn store(self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        let state: &str = self.into();
        let update = format!(
            "UPDATE {SET_ASIDE}.adoption SET state = '{state}', state_since = clock_timestamp()"
        );
        db.execute_unprepared(&update).await?;
        Ok(())
    }
}

/// What is recorded about an adoption.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// How far it is.
    pub state: State,
    /// Where the older app keeps labels.
    pub labels: Labels,
    /// The schema of the older tables before.
    pub home: String,
    /// The number of migrations that were applied before.
    pub migrations_before: u32,
    /// Whether the table of migrations existed before.
    pub had_migrations_table: bool,
}

impl Record {
    /// Creates the tables.
    #[expect(clippy::disallowed_methods, reason = "writes no row of a library")]
    pub(super) async fn create(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        db.execute_unprepared(CREATE).await?;
        let insert = "INSERT INTO topaz_before.adoption \
             (home, labels, state, migrations_before, had_migrations_table) VALUES ($1, $2, $3, $4, $5)";
        let (labels, state): (&str, &str) = (self.labels.into(), self.state.into());
        let values: [Value; 5] = [
            self.home.as_str().into(),
            labels.into(),
            state.into(),
            i64::from(self.migrations_before).into(),
            self.had_migrations_table.into(),
        ];
        db.execute_raw(Statement::from_sql_and_values(
            DbBackend::Postgres,
            insert,
            values,
        ))
        .await?;
        Ok(())
    }

    /// Reads the record of the adoption.
    ///
    /// # Errors
    /// [`Error::NotAdopted`] if there is none.
    pub(super) async fn read(db: &impl ConnectionTrait) -> Result<Self, Error> {
        if !exists(db).await? {
            return Err(Error::NotAdopted);
        }
        let select = "SELECT home, labels, state, migrations_before, had_migrations_table FROM topaz_before.adoption";
        let row = db
            .query_one_raw(Statement::from_string(DbBackend::Postgres, select))
            .await?;
        let row = row.ok_or(Error::NotAdopted)?;
        let before: i32 = row.try_get("", "migrations_before")?;
        let (labels, state): (String, String) =
            (row.try_get("", "labels")?, row.try_get("", "state")?);
        let unknown = |_| DbErr::Custom("the adoption is of a newer version".to_owned());
        Ok(Self {
            labels: labels.parse().map_err(unknown)?,
            state: state.parse().map_err(unknown)?,
            home: row.try_get("", "home")?,
            migrations_before: u32::try_from(before).unwrap_or_default(),
            had_migrations_table: row.try_get("", "had_migrations_table")?,
        })
    }
}

/// Returns whether an adoption is recorded.
pub(super) async fn exists(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let sql = format!("SELECT to_regclass('{SET_ASIDE}.adoption') IS NOT NULL");
    is_true(db, &sql).await
}

/// Returns the number of applied migrations.
pub(super) async fn count_migrations(db: &impl ConnectionTrait) -> Result<u32, DbErr> {
    if !has_migrations_table(db).await? {
        return Ok(0);
    }
    let count = number(db, "SELECT count(*) FROM seaql_migrations").await?;
    Ok(u32::try_from(count).unwrap_or_default())
}

/// Returns whether the migrator has created its table.
pub(super) async fn has_migrations_table(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    is_true(db, "SELECT to_regclass('seaql_migrations') IS NOT NULL").await
}

/// Returns the boolean that `sql` selects.
pub(super) async fn is_true(db: &impl ConnectionTrait, sql: &str) -> Result<bool, DbErr> {
    let row = db
        .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
        .await?;
    row.map_or(Ok(false), |row| row.try_get_by_index(0))
}

/// Returns the number that `sql` selects.
pub(super) async fn number(db: &impl ConnectionTrait, sql: &str) -> Result<i64, DbErr> {
    let row = db
        .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
        .await?;
    row.map_or(Ok(0), |row| row.try_get_by_index(0))
}
