//! The entries with the highest scores.

use std::collections::{HashMap, HashSet};

use sea_orm::{ColumnTrait as _, ConnectionTrait, QueryFilter as _, Statement, Value};
use uuid::Uuid;

use super::score::UsageScore;
use crate::{
    library::{
        database::any_of::one_of, entity::progress, error::Error, handle::Library,
        model::progress::Progress,
    },
    version::{Head, UserId},
};

/// Number of entries that events and push messages count as warm.
pub const WARM: u32 = 20;

/// The entries with the highest scores, and those that changed last.
const CANDIDATES: &str = "
SELECT id, score, stamp FROM (
  SELECT progress_id AS id, score, 0 AS stamp FROM topaz_usage WHERE user_id = $1
  ORDER BY score DESC, progress_id DESC LIMIT $2
) AS scored
UNION ALL
SELECT id, score, stamp FROM (
  SELECT id, CAST(NULL AS bigint) AS score, stamp FROM topaz_progress WHERE user_id = $1
  ORDER BY stamp DESC, id DESC LIMIT $2
) AS newest";

/// The order in which entries are opened next: by score, and those without one by the stamp of their last change.
type Rank = (Option<UsageScore>, i32, Uuid);

impl Library {
    /// Returns the progresses that the user most likely opens next, the likeliest first: those with the highest scores, then
    /// those that were never used, by their last change.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn warm(&self, user: &UserId, first: u32) -> Result<Vec<Progress>, Error> {
        let ids = self.likeliest(user, first).await?;
        let reader = self.db.fresh_reader(user).await?;
        let rows = progress::find()
            .filter(progress::Column::UserId.eq(user.as_str()))
            .filter(one_of(
                self.db.backend(),
                progress::Column::Id,
                ids.iter().copied(),
            ))
            .all(&reader);
        let rows = self.db.in_time(rows).await?.into_iter();
        let rows = rows.map(|row| Ok((row.id, Progress::try_from(row)?)));
        let mut rows = rows.collect::<Result<HashMap<_, _>, Error>>()?;
        Ok(ids.iter().filter_map(|id| rows.remove(id)).collect())
    }

    /// Returns those of the progresses `changed` that are among the [`WARM`] likeliest, the likeliest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(in crate::library) async fn warm_among(
        &self,
        user: &UserId,
        changed: &[Uuid],
    ) -> Result<Vec<Uuid>, Error> {
        if changed.is_empty() {
            return Ok(Vec::new());
        }
        let mut ids = self.likeliest(user, WARM).await?;
        ids.retain(|id| changed.contains(id));
        Ok(ids)
    }

    /// Returns the progresses that changed after `known`, or whose story did, and that are among the [`WARM`] likeliest.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn warm_since(&self, user: &UserId, known: Head) -> Result<Vec<Uuid>, Error> {
        let changed = self.entries_since(user, known).await?;
        self.warm_among(user, &changed).await
    }

    async fn likeliest(&self, user: &UserId, first: u32) -> Result<Vec<Uuid>, Error> {
        let reader = self.db.fresh_reader(user).await?;
        let mut ranks = self.db.in_time(candidates(&reader, user, first)).await?;
        drop(reader);
        // The uses that this node has not stored.
        let waiting = self.uses.of(user);
        if !waiting.is_empty() {
            let waiting = self.scores_with(&waiting).await?.into_iter();
            ranks.extend(waiting.map(|scored| (Some(scored.score), 0, scored.progress)));
        }
        ranks.sort_unstable_by(|one, other| other.cmp(one));
        let mut known = HashSet::new();
        let ids = ranks.into_iter().map(|(_, _, id)| id);
        Ok(ids
            .filter(|id| known.insert(*id))
            .take(first as usize)
            .collect())
    }
}

async fn candidates(
    db: &impl ConnectionTrait,
    user: &UserId,
    first: u32,
) -> Result<Vec<Rank>, Error> {
    let values: [Value; 2] = [user.as_str().into(), i64::from(first).into()];
    let select = Statement::from_sql_and_values(db.get_database_backend(), CANDIDATES, values);
    let rows = db.query_all_raw(select).await?;
    let ranks = rows.iter().map(|row| {
        let score: Option<i64> = row.try_get("", "score")?;
        let (stamp, id) = (row.try_get("", "stamp")?, row.try_get("", "id")?);
        Ok((score.map(UsageScore::stored), stamp, id))
    });
    ranks.collect()
}
