//! [`AsOf`]: reads rows as they were at an earlier version.
//!
//! It starts with the rows as they are now, or as they were when they were removed, and takes back the recorded changes
//! after the version, newest first. Within one version, labels are removed before fields change.
//!
//! **Invariant:** the version is at or above the floor, so the history after it is complete.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    life::{Life, present, removed_after, state},
    lost_labels::{FEW, lost},
    past_row::{PastEntry, PastLabel, PastProgress, PastStory},
};
use crate::{
    library::{
        database::{any_of::one_of, transaction::Transaction},
        entity::{field_change, tombstone, write},
        error::Error,
        model::{
            id::{LabelId, ProgressId, StoryId},
            kind::Kind,
            label::{LabelKind, LabelName},
        },
    },
    version::{Head, UserId, Version},
};

/// Rows per statement.
const ROWS_A_STATEMENT: usize = 1_000;

/// Reads rows as they were at one version.
pub(in crate::library) struct AsOf<'t> {
    tx: &'t Transaction,
    user: &'t UserId,
    version: Version,
    /// Time of that version, if its record is kept.
    at: Option<OffsetDateTime>,
}

/// One recorded change, to be taken back.
struct Undone {
    id: Uuid,
    stamp: Version,
    field: String,
    /// The value before the change, or the label that a set lost.
    value: Before,
}

enum Before {
    Was(Value),
    Lost(Uuid),
}

impl<'t> AsOf<'t> {
    /// Prepares to read at the version of `head`. `None` if a row was removed since by a release that did not keep it.
    pub async fn find(
        tx: &'t Transaction,
        user: &'t UserId,
        head: Head,
    ) -> Result<Option<Self>, Error> {
        let version = head.version;
        let is_lost = tombstone::Entity::find()
            .filter(tombstone::Column::UserId.eq(user.as_str()))
            .filter(tombstone::Column::Stamp.gt(version.number()))
            .filter(tombstone::Column::Held.is_null())
            .one(tx)
            .await?;
        if is_lost.is_some() {
            return Ok(None);
        }
        let key = (
            user.as_str().to_owned(),
            head.epoch.number(),
            version.number(),
        );
        let write = write::Entity::find_by_id(key).one(tx).await?;
        Ok(Some(Self {
            tx,
            user,
            version,
            at: write.map(|write| write.written_at.0),
        }))
    }

    /// Returns the progresses with these ids that existed.
    pub async fn progresses(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, PastProgress>, Error> {
        let mut found = HashMap::new();
        for life in self.lives(Kind::Progress, Some(ids)).await? {
            let story = life.story.unwrap_or_default();
            let past = PastProgress {
                id: ProgressId(life.id),
                story_id: StoryId(story),
                created_at: life.created_at,
                state: state(life.fields)?,
            };
            found.insert(life.id, past);
        }
        Ok(found)
    }

    /// Returns the stories with these ids that existed.
    pub async fn stories(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, PastStory>, Error> {
        let mut found = HashMap::new();
        let mut lives = self.lives(Kind::Story, Some(ids)).await?;
        for kind in [LabelKind::Tag, LabelKind::Fandom] {
            self.keep_labels_of_the_time(kind, &mut lives).await?;
        }
        for life in lives {
            let past = PastStory {
                id: StoryId(life.id),
                created_at: life.created_at,
                state: state(life.fields)?,
            };
            found.insert(life.id, past);
        }
        Ok(found)
    }

    /// Returns the labels of one kind that existed: those with these `ids`, or all.
    pub async fn labels(
        &self,
        kind: LabelKind,
        ids: Option<&[Uuid]>,
    ) -> Result<HashMap<Uuid, PastLabel>, Error> {
        let mut found = HashMap::new();
        for mut life in self.lives(kind.into(), ids).await? {
            let name = life.fields.remove("name").unwrap_or_default();
            let past = PastLabel {
                id: LabelId(life.id),
                created_at: life.created_at,
                name: LabelName::stored(name.as_str().unwrap_or_default().to_owned()),
            };
            found.insert(life.id, past);
        }
        Ok(found)
    }

    /// Returns the entries with these progress ids that existed, in the order of the ids.
    pub async fn entries(&self, ids: &[Uuid]) -> Result<Vec<PastEntry>, Error> {
        let mut progresses = self.progresses(ids).await?;
        let stories: Vec<_> = progresses.values().map(|past| past.story_id.0).collect();
        let mut stories = self.stories(&stories).await?;
        Ok(ids
            .iter()
            .filter_map(|id| {
                let progress = progresses.remove(id)?;
                let story = stories.remove(&progress.story_id.0)?;
                Some(PastEntry { progress, story })
            })
            .collect())
    }

    /// Returns the lives that include the version, with their fields as of then.
    async fn lives(&self, kind: Kind, ids: Option<&[Uuid]>) -> Result<Vec<Life>, Error> {
        let mut lives = match ids {
            None => present(self.tx, self.user, kind, None).await?,
            Some(ids) => {
                let mut lives = Vec::with_capacity(ids.len());
                for some in ids.chunks(ROWS_A_STATEMENT) {
                    lives.extend(present(self.tx, self.user, kind, Some(some)).await?);
                }
                lives
            }
        };
        lives.extend(removed_after(self.tx, self.user, kind, ids, self.version).await?);
        lives.retain(|life| life.includes(self.version, self.at));
        let changed: Vec<_> = lives
            .iter()
            .filter(|life| life.stamp > self.version || life.removed.is_some())
            .map(|life| life.id)
            .collect();
        if changed.is_empty() {
            return Ok(lives);
        }
        let undone = self.changes_after(kind, &changed).await?;
        let mut by_id: HashMap<_, _> = lives.iter_mut().map(|life| (life.id, life)).collect();
        for change in undone {
            if let Some(life) = by_id.get_mut(&change.id)
                && life.removed.is_none_or(|removed| change.stamp <= removed)
            {
                take_back(life, change);
            }
        }
        Ok(lives)
    }

    /// Returns the changes of these rows after the version, in the order in which they are taken back.
    async fn changes_after(&self, kind: Kind, ids: &[Uuid]) -> Result<Vec<Undone>, Error> {
        let mut select = field_change::Entity::find()
            .filter(field_change::Column::UserId.eq(self.user.as_str()))
            .filter(field_change::Column::Kind.eq(kind.name()))
            .filter(field_change::Column::Stamp.gt(self.version.number()))
            .order_by_desc(field_change::Column::Stamp);
        // For many rows, one scan of the history is cheaper than a search for each.
        if ids.len() <= FEW {
            select = select.filter(one_of(
                self.tx.get_database_backend(),
                field_change::Column::Id,
                ids.iter().copied(),
            ));
        }
        let wanted: HashSet<_> = ids.iter().collect();
        let mut undone = Vec::new();
        for row in select.all(self.tx).await? {
            if wanted.contains(&row.id) {
                undone.push(Undone {
                    id: row.id,
                    stamp: Version::new(row.stamp),
                    field: row.field,
                    value: Before::Was(serde_json::from_str(&row.was).map_err(Error::fault)?),
                });
            }
        }
        if kind == Kind::Story {
            let lost = lost(self.tx, self.user, ids, self.version).await?;
            undone.extend(lost.into_iter().map(|lost| Undone {
                id: lost.story,
                stamp: lost.stamp,
                field: lost.kind.ids_field().to_owned(),
                value: Before::Lost(lost.label),
            }));
            // Stable, so that within one version fields are taken back before losses.
            undone.sort_by_key(|undone| std::cmp::Reverse(undone.stamp));
        }
        Ok(undone)
    }

    /// Leaves out labels that did not exist at the version. A label that was created again went back to its stories
    /// without a change of their sets before that.
    async fn keep_labels_of_the_time(
        &self,
        kind: LabelKind,
        stories: &mut [Life],
    ) -> Result<(), Error> {
        let field = kind.ids_field();
        let ids = |life: &Life| {
            let ids = life.fields.get(field).and_then(Value::as_array);
            let ids = ids.into_iter().flatten().filter_map(Value::as_str);
            ids.filter_map(|id| id.parse().ok())
                .collect::<BTreeSet<Uuid>>()
        };
        let changed = |life: &&mut Life| life.stamp > self.version || life.removed.is_some();
        let named: BTreeSet<_> = stories
            .iter_mut()
            .filter(changed)
            .flat_map(|life| ids(life))
            .collect();
        if named.is_empty() {
            return Ok(());
        }
        let named: Vec<_> = named.into_iter().collect();
        let alive: HashSet<_> = self.labels(kind, Some(&named)).await?.into_keys().collect();
        for life in stories.iter_mut().filter(changed) {
            let kept: BTreeSet<_> = ids(life)
                .into_iter()
                .filter(|id| alive.contains(id))
                .collect();
            life.fields.insert(field.to_owned(), json!(kept));
        }
        Ok(())
    }
}

fn take_back(life: &mut Life, change: Undone) {
    match change.value {
        Before::Was(was) => {
            // `*` marks the beginning of a life, which holds no value.
            if let Some(value) = life.fields.get_mut(&change.field) {
                *value = was;
            }
        }
        Before::Lost(label) => {
            let Some(Value::Array(ids)) = life.fields.get_mut(&change.field) else {
                return;
            };
            let label = Value::from(label.to_string());
            if !ids.contains(&label) {
                ids.push(label);
                ids.sort_unstable_by(|one, other| one.as_str().cmp(&other.as_str()));
            }
        }
    }
}
