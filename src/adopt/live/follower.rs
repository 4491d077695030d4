//! [`follow`]: copies the changes of the older app, one user at a time, as ordinary writes of the device "older app".

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbErr, TransactionTrait as _};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::older_entry::{self, KINDS, joined, query};
use crate::{
    adopt::{
        error::Error,
        older_tables::{Labels, name_of},
        record::{self, State},
        report,
    },
    library::{self, Database, DatabaseOptions, Device, Intent, Label, LabelKind, Library},
    version::UserId,
};

/// Key of the advisory lock under which one follower takes a step: "follow" in ASCII.
pub(in crate::adopt) const LOCK: i64 = 0x0066_6f6c_6c6f_7700;

/// Interval at which the log is read.
const POLL: Duration = Duration::from_millis(200);

/// Pause after a failed step.
const PAUSE: Duration = Duration::from_secs(1);

/// Time after which the changes of a user that could not be copied are tried again. The changes of others go on.
const RETRY: Duration = Duration::from_secs(5);

/// Changes that are read at once.
const CHANGES: usize = 2_000;

/// Stories of a user in one write, which is one version.
const STORIES: usize = 500;

/// What a follower reads and writes with.
pub(super) struct Follower {
    pub library: Library,
    /// Reads the older tables outside the transactions of the library.
    pub older: DatabaseConnection,
    pub labels: Labels,
    /// The users whose changes could not be copied, and when.
    failing: Mutex<BTreeMap<String, Instant>>,
}

/// Follows the older app until the cut-over, the end of the adoption, or `stop`. Of several followers, one works at a
/// time. An unreachable database is tried again.
///
/// # Errors
/// When the database is not in a live adoption.
pub async fn follow(
    db: &Database,
    options: &DatabaseOptions,
    library: Library,
    stop: CancellationToken,
) -> Result<(), Error> {
    let lock = db
        .open_alone(options, "library-sync follower lock", &[])
        .await?;
    let older = db.open_alone(options, "library-sync follower", &[]).await?;
    let record = record::Record::read(&older).await?;
    record.state.require(State::Live)?;
    let follower = Follower::new(library, older, record.labels);
    tracing::info!("following the older app");
    loop {
        let pause = match follower.turn(&lock).await {
            Ok(Turn::Ended) => {
                tracing::info!(
                    "the older app is cut over, or the adoption is undone; following ends"
                );
                return Ok(());
            }
            Ok(Turn::Worked) => Duration::ZERO,
            Ok(Turn::Idle) => POLL,
            Err(error) => {
                tracing::warn!(
                    error = crate::error_chain::in_one_line(&error),
                    "a step of the follower failed and is repeated"
                );
                PAUSE
            }
        };
        if tokio::time::timeout(pause, stop.cancelled()).await.is_ok() || stop.is_cancelled() {
            return Ok(());
        }
    }
}

/// What a turn of a follower has done.
enum Turn {
    /// Copied changes.
    Worked,
    /// There was nothing to copy, or another follower works.
    Idle,
    /// The live adoption has ended.
    Ended,
}

impl Follower {
    pub(super) fn new(library: Library, older: DatabaseConnection, labels: Labels) -> Self {
        Self {
            library,
            older,
            labels,
            failing: Mutex::default(),
        }
    }

    /// Takes one step, if no other follower does.
    #[expect(clippy::disallowed_methods, reason = "holds a lock and touches no row")]
    async fn turn(&self, lock: &DatabaseConnection) -> Result<Turn, Error> {
        let turn = lock.begin().await?;
        let mut done = Turn::Idle;
        if record::is_true(&turn, &format!("SELECT pg_try_advisory_xact_lock({LOCK})")).await? {
            done = match record::Record::read(&turn).await {
                Ok(record) if record.state == State::Live => {
                    if self.step().await? > 0 {
                        Turn::Worked
                    } else {
                        Turn::Idle
                    }
                }
                Ok(_) | Err(Error::NotAdopted) => Turn::Ended,
                Err(error) => return Err(error),
            };
        }
        turn.commit().await?;
        Ok(done)
    }

    /// Copies the oldest changes, and returns their number. A user whose changes cannot be copied is skipped for a while.
    ///
    /// # Errors
    /// When the changes of a user could not be copied. Those of the others were.
    pub(super) async fn step(&self) -> Result<usize, Error> {
        let sql = format!(
            "SELECT seq, user_id, story_id, kind, label_id FROM topaz_before.adoption_change \
             WHERE NOT user_id IN (SELECT json_array_elements_text($1::json)) ORDER BY seq LIMIT {CHANGES}"
        );
        let skipped = self.skipped();
        let rows = query(&self.older, &sql, [skipped.to_string().into()]).await?;
        let mut users: BTreeMap<String, Changes> = BTreeMap::new();
        for row in &rows {
            let of_user = users.entry(row.try_get("", "user_id")?).or_default();
            of_user.seqs.push(row.try_get("", "seq")?);
            of_user
                .stories
                .extend(row.try_get::<Option<Uuid>>("", "story_id")?);
            if let Some(label) = row.try_get::<Option<Uuid>>("", "label_id")? {
                let kind: String = row.try_get("", "kind")?;
                let at = KINDS.iter().position(|known| name_of(*known) == kind);
                of_user.labels[at.unwrap_or_default()].insert(label);
            }
        }
        let mut failed = None;
        for (user, changes) in users {
            // One user's failure does not hold up the others.
            if let Err(error) = self.copy_user(&user, changes).await {
                self.failing.lock().insert(user.clone(), Instant::now());
                let source = Box::new(error);
                failed.get_or_insert(Error::User { user, source });
            }
        }
        failed.map_or(Ok(rows.len()), Err)
    }

    /// Returns the users whose changes are not tried again yet, as a JSON array.
    fn skipped(&self) -> serde_json::Value {
        let mut failing = self.failing.lock();
        failing.retain(|_, failed_at| failed_at.elapsed() < RETRY);
        failing.keys().cloned().collect()
    }

    async fn copy_user(&self, user: &str, changes: Changes) -> Result<(), Error> {
        let user = UserId::new(user).map_err(report::unusable)?;
        self.copy(&user, changes).await
    }

    /// Copies the changes of one user, then deletes them from the log.
    async fn copy(&self, user: &UserId, changes: Changes) -> Result<(), Error> {
        let mut stories = changes.stories;
        for (kind, labels) in KINDS.into_iter().zip(&changes.labels) {
            for label in labels {
                let carriers = older_entry::carriers(&self.older, self.labels, user, kind, *label);
                stories.extend(carriers.await?);
            }
        }
        let known = "SELECT 1 FROM topaz_user WHERE subject = $1";
        // The older app deletes a user with their progresses; the copies go with the user.
        if !query(&self.older, known, [user.as_str().into()])
            .await?
            .is_empty()
        {
            let mut rest: Vec<Uuid> = stories.into_iter().collect();
            loop {
                let some: BTreeSet<Uuid> = rest
                    .split_off(rest.len().saturating_sub(STORIES))
                    .into_iter()
                    .collect();
                self.write(user, some, changes.labels.clone()).await?;
                if rest.is_empty() {
                    break;
                }
            }
        }
        self.forget(&changes.seqs).await
    }

    /// Writes the present state of some stories and labels, as one version. A state that is copied already changes nothing.
    async fn write(
        &self,
        user: &UserId,
        stories: BTreeSet<Uuid>,
        labels: [BTreeSet<Uuid>; 2],
    ) -> Result<(), Error> {
        let intent = Intent {
            device: Some(Device::older_app()),
            is_long: true,
            ..Intent::default()
        };
        let (older, tables, owner) = (self.older.clone(), self.labels, user.clone());
        let written = self.library.write(user, intent, move |writer| {
            Box::pin(async move {
                let entries = older_entry::read(&older, tables, &owner, &stories).await?;
                let mut names = [Vec::new(), Vec::new()];
                for (at, kind) in KINDS.into_iter().enumerate() {
                    let carried = entries.iter().flat_map(|entry| entry.labels[at].clone());
                    let of_kind =
                        current_names(&older, tables, &owner, kind, carried.collect(), &labels[at]);
                    names[at] = of_kind.await?;
                }
                writer.mirror(entries, names).await
            })
        });
        match written.await {
            Ok(written) => written
                .outcome
                .map_err(|refusal| DbErr::Custom(refusal.message).into()),
            Err(library::Error::UnknownUser) => Ok(()),
            Err(error) => Err(Error::Library(error)),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "writes no row of a library")]
    async fn forget(&self, seqs: &[i64]) -> Result<(), Error> {
        let seqs: Vec<_> = seqs.iter().map(i64::to_string).collect();
        let sql = format!(
            "DELETE FROM topaz_before.adoption_change WHERE seq IN ({})",
            seqs.join(", ")
        );
        self.older.execute_unprepared(&sql).await?;
        Ok(())
    }
}

/// What changed for one user.
#[derive(Default)]
struct Changes {
    seqs: Vec<i64>,
    stories: BTreeSet<Uuid>,
    /// Renamed labels, by kind.
    labels: [BTreeSet<Uuid>; 2],
}

/// Returns the present names of the labels that are `carried` or `renamed`, and of each label whose copy holds one of
/// these names, because that copy may be outdated.
async fn current_names(
    older: &DatabaseConnection,
    tables: Labels,
    user: &UserId,
    kind: LabelKind,
    carried: Vec<Label>,
    renamed: &BTreeSet<Uuid>,
) -> Result<Vec<Label>, DbErr> {
    let mut known: BTreeMap<Uuid, Label> = carried
        .into_iter()
        .map(|label| (label.id.0, label))
        .collect();
    let mut seen: BTreeSet<Uuid> = known.keys().copied().collect();
    let mut wanted: BTreeSet<Uuid> = renamed - &seen;
    let sql = format!(
        "SELECT id FROM topaz_{} WHERE user_id = $1 AND name_key IN (SELECT json_array_elements_text($2::json)) \
         AND NOT id = ANY (string_to_array($3, ',')::uuid[])",
        name_of(kind)
    );
    loop {
        for label in older_entry::labels(older, tables, kind, &wanted).await? {
            known.insert(label.id.0, label);
        }
        seen.append(&mut wanted);
        let keys: Vec<_> = known.values().map(|label| label.name.key()).collect();
        let keys = serde_json::to_string(&keys).map_err(|error| DbErr::Json(error.to_string()))?;
        let values = [user.as_str().into(), keys.into(), joined(&seen).into()];
        for row in query(older, &sql, values).await? {
            wanted.insert(row.try_get("", "id")?);
        }
        if wanted.is_empty() {
            return Ok(known.into_values().collect());
        }
    }
}
