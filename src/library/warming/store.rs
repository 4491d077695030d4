//! Stores uses of entries in batches: one statement reads the scores, and one writes those that change.
//!
//! **Invariant:** an error of the database delays this and fails nothing else. A crash loses the uses of the last minute.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{score::UsageScore, uses::Used};
use crate::{
    library::{
        consecutive_failures::ConsecutiveFailures, database::dialect::json_rows, error::Error,
        handle::Library, model::id::ProgressId,
    },
    version::UserId,
};

/// Time between two rounds.
const ROUND: Duration = Duration::from_mins(1);

/// Rows per statement.
const BATCH: usize = 500;

/// Minimum time between two counted uses of an entry on any node, in milliseconds.
const COUNTED_AFTER: i64 = 60_000;

/// The progresses that exist, with their scores and with their last use.
const SCORES: &str = "
SELECT p.user_id, p.id, s.score, s.used_at AS counted_at, {now} - r.age AS used_at
FROM {rows} JOIN topaz_progress p ON p.user_id = r.of_user AND p.id = {id}
LEFT JOIN topaz_usage s ON s.user_id = p.user_id AND s.progress_id = p.id";

/// Writes scores, unless another node has counted a use since they were read.
const STORE: &str = "
INSERT INTO topaz_usage AS s (user_id, progress_id, score, used_at)
SELECT p.user_id, p.id, r.score, r.used_at
FROM {rows} JOIN topaz_progress p ON p.user_id = r.of_user AND p.id = {id} WHERE true ORDER BY p.user_id, p.id
ON CONFLICT (user_id, progress_id) DO UPDATE SET score = excluded.score, used_at = excluded.used_at
WHERE s.used_at <= excluded.used_at - $2";

/// The columns of a row of JSON array $1.
const COLUMNS: [(&str, &str); 5] = [
    ("of_user", "text"),
    ("progress", "text"),
    ("age", "bigint"),
    ("score", "bigint"),
    ("used_at", "bigint"),
];

/// A score that counts a use that is not stored.
pub(super) struct Scored {
    pub user: UserId,
    pub progress: Uuid,
    pub score: UsageScore,
    /// Time of the last use by the database's clock, in milliseconds.
    used_at: i64,
}

impl Library {
    /// Records that the user opened an entry.
    pub fn opened(&self, user: &UserId, progress: ProgressId) {
        self.uses.record(user, [progress.0]);
    }

    /// Stores uses every minute until `ended`, then stores the rest.
    pub async fn keep_uses(&self, ended: CancellationToken) {
        let mut failures = ConsecutiveFailures::default();
        loop {
            let is_last = timeout(ROUND, ended.cancelled()).await.is_ok();
            let saved = self.save_uses().await;
            if let Some(error) = failures.first(&saved) {
                tracing::warn!(
                    error.causes = error.causes(),
                    "uses of entries wait for the database"
                );
            }
            if is_last {
                return;
            }
        }
    }

    /// Stores the uses that wait.
    ///
    /// # Errors
    /// When the database does not answer. The uses then wait for the next time.
    pub async fn save_uses(&self) -> Result<(), Error> {
        let taken = self.uses.take();
        for (number, batch) in taken.chunks(BATCH).enumerate() {
            if let Err(error) = self.save_batch_of_uses(batch).await {
                self.uses.put_back(&taken[number * BATCH..]);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn save_batch_of_uses(&self, batch: &[Used]) -> Result<(), Error> {
        let scored = self.scores_with(batch).await?;
        if scored.is_empty() {
            return Ok(());
        }
        let rows = scored.iter().map(|scored| {
            let mut row = row(&scored.user, scored.progress);
            row["score"] = scored.score.millis().into();
            row["used_at"] = scored.used_at.into();
            row
        });
        let rows = json!(rows.collect::<Vec<_>>()).to_string();
        let values = [rows.into(), COUNTED_AFTER.into()];
        self.run_statement(&self.usage_sql(STORE), values).await?;
        Ok(())
    }

    /// Returns the scores of entries that exist, with their last use. Leaves out those that had another one within a minute.
    pub(super) async fn scores_with(&self, uses: &[Used]) -> Result<Vec<Scored>, Error> {
        let rows = uses.iter().map(|used| {
            let mut row = row(&used.user, used.progress);
            row["age"] = json!(u64::try_from(used.at.elapsed().as_millis()).unwrap_or(0));
            row
        });
        let rows = json!(rows.collect::<Vec<_>>()).to_string();
        let select = self.usage_sql(SCORES);
        let mut scored = Vec::new();
        for row in self.run_statement(&select, [rows.into()]).await? {
            let used_at: i64 = row.try_get("", "used_at")?;
            let counted_at: Option<i64> = row.try_get("", "counted_at")?;
            if counted_at.is_some_and(|at| used_at < at + COUNTED_AFTER) {
                continue;
            }
            let score: Option<i64> = row.try_get("", "score")?;
            let one = UsageScore::of_use(used_at);
            let owner: String = row.try_get("", "user_id")?;
            scored.push(Scored {
                user: UserId::new(&owner).map_err(Error::fault)?,
                progress: row.try_get("", "id")?,
                score: score.map_or(one, |score| UsageScore::stored(score).plus(one)),
                used_at,
            });
        }
        Ok(scored)
    }

    fn usage_sql(&self, template: &str) -> String {
        let backend = self.db.backend();
        let id = match backend {
            sea_orm::DbBackend::Sqlite => "unhex(r.progress)",
            _ => "CAST(r.progress AS uuid)",
        };
        template
            .replace("{rows}", &json_rows(backend, "r", &COLUMNS))
            .replace("{id}", id)
    }
}

fn row(user: &UserId, progress: Uuid) -> Value {
    json!({"of_user": user.as_str(), "progress": progress.simple()})
}
