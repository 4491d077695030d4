//! [`adopt`]: the steps of an adoption, in one transaction.

use std::time::Duration;

use migration::Migrator;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait as _,
};
use sea_orm_migration::MigratorTrait as _;
use time::OffsetDateTime;

use super::{
    copy,
    error::Error,
    labels,
    live::begin_capture,
    older_tables::OlderTables,
    record::{self, Record, State, number},
    report::{self, Lines},
    set_aside, users, verification,
};
use crate::{
    library::{Database, DatabaseOptions, LabelKind, SET_ASIDE},
    schema_migration,
};

/// Attempts to lock the tables while the older app uses them.
const TRIES: u32 = 60;

/// Pause between two attempts, in which the older app uses the tables.
const PAUSE: Duration = Duration::from_millis(500);

/// Settings of the transaction. The sorts of a cursor are worth their memory once.
const SETTINGS: &str = "
SET LOCAL cursor_tuple_fraction = 1;
SET LOCAL work_mem = '32MB';
SET LOCAL idle_in_transaction_session_timeout = 0;
";

/// What an adoption does, and how it reports.
pub struct Adoption<'a> {
    /// Roll everything back at the end.
    pub dry_run: bool,
    /// Let the older app go on, and record its changes for a follower.
    pub live: bool,
    /// Where the report is printed.
    pub report: Lines<'a>,
    /// Called with the number of copied progresses and of all.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// What was adopted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Adopted {
    /// Users of the older app.
    pub users: i64,
    /// Progresses, each with its copy of a story.
    pub progresses: u64,
    /// Tags, counted once per user.
    pub tags: u64,
    /// Fandoms, counted once per user.
    pub fandoms: u64,
    /// Labels on stories.
    pub links: u64,
}

/// Adopts the database.
///
/// # Errors
/// When it is not a database of the older app, or a step fails. Nothing is changed then.
pub async fn adopt(
    db: &Database,
    options: &DatabaseOptions,
    adoption: Adoption<'_>,
) -> Result<Adopted, Error> {
    if options.address.postgres().is_none() {
        return Err(Error::NotPostgres);
    }
    schema_migration::exclusively(db, options, async |connection| {
        let (tx, tables) = begin(db, connection).await?;
        let outcome = within(&tx, &tables, adoption).await;
        match outcome {
            Ok((adopted, true)) => {
                tx.rollback().await?;
                Ok(adopted)
            }
            Ok((adopted, false)) => {
                tx.commit().await?;
                Ok(adopted)
            }
            Err(error) => {
                tx.rollback().await?;
                Err(error)
            }
        }
    })
    .await
}

/// Begins the transaction with the tables of the older app locked.
#[expect(clippy::disallowed_methods, reason = "an adoption is one transaction")]
async fn begin(
    db: &Database,
    connection: &DatabaseConnection,
) -> Result<(DatabaseTransaction, OlderTables), Error> {
    for attempt in 1.. {
        if record::exists(connection).await? {
            return Err(Error::AlreadyAdopted);
        }
        let older = db.find_older_app().await?.ok_or(Error::NothingToAdopt)?;
        let tables = OlderTables::find(connection, older).await?;
        let tx = connection.begin().await?;
        match set_aside::lock(&tx, &tables, &[]).await {
            Err(error) if attempt < TRIES && schema_migration::is_lock_timeout(&error) => {
                tx.rollback().await?;
                tracing::info!("the older app uses its tables; retrying to lock them");
                tokio::time::sleep(PAUSE).await;
            }
            locked => {
                locked?;
                return Ok((tx, tables));
            }
        }
    }
    Err(Error::NothingToAdopt)
}

/// Does all steps. Returns what was adopted, and whether it is a dry run.
#[expect(
    clippy::disallowed_methods,
    reason = "migrates, and sets options of the session"
)]
async fn within(
    tx: &DatabaseTransaction,
    tables: &OlderTables,
    adoption: Adoption<'_>,
) -> Result<(Adopted, bool), Error> {
    tx.execute_unprepared(SETTINGS).await?;
    let state = if adoption.live {
        State::Live
    } else {
        State::Copied
    };
    let record = Record {
        state,
        labels: tables.labels,
        home: tables.schema.clone(),
        migrations_before: record::count_migrations(tx).await?,
        had_migrations_table: record::has_migrations_table(tx).await?,
    };
    set_aside::set_aside(tx, tables).await?;
    verification::refuse_impossible(tx).await?;
    verification::refuse_doubled(tx).await?;
    record.create(tx).await?;
    users::record(tx).await?;
    Migrator::up(tx, None).await?;
    users::begin(tx).await?;
    let adopted = copy_all(tx, tables, &adoption).await?;
    report::note_left_out(tx, tables.labels).await?;
    verification::verify(tx, tables.labels).await?;
    analyze(tx).await?;
    if adoption.live {
        begin_capture(tx, tables.labels).await?;
    }
    report::print(tx, adoption.report).await?;
    Ok((adopted, adoption.dry_run))
}

async fn copy_all(
    tx: &DatabaseTransaction,
    tables: &OlderTables,
    adoption: &Adoption<'_>,
) -> Result<Adopted, Error> {
    let now = OffsetDateTime::now_utc();
    let all = number(
        tx,
        &format!("SELECT count(*) FROM {SET_ASIDE}.topaz_progress"),
    )
    .await?;
    let all = u64::try_from(all).unwrap_or_default();
    (adoption.progress)(0, all);
    let progresses =
        copy::copy_entries(tx, now, &|copied| (adoption.progress)(copied, all)).await?;
    let tags = labels::copy(tx, tables.labels, LabelKind::Tag, now).await?;
    let fandoms = labels::copy(tx, tables.labels, LabelKind::Fandom, now).await?;
    Ok(Adopted {
        users: number(tx, "SELECT count(*) FROM topaz_user").await?,
        progresses,
        tags: tags.labels,
        fandoms: fandoms.labels,
        links: tags.links + fandoms.links,
    })
}

/// Gives the planner the sizes of the new tables.
#[expect(clippy::disallowed_methods, reason = "writes no row")]
async fn analyze(tx: &DatabaseTransaction) -> Result<(), DbErr> {
    let tables = "topaz_user, topaz_story, topaz_progress, topaz_tag, topaz_fandom, topaz_story_tag, topaz_story_fandom";
    tx.execute_unprepared(&format!("ANALYZE {tables}")).await?;
    Ok(())
}
