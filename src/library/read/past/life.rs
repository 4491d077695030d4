//! The life of a row: from its creation to its removal. A row that is created again under its id begins another life.

use std::collections::{BTreeSet, HashSet};

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, sea_query::Expr,
};
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::lost_labels::{FEW, label_kind, links};
use crate::{
    library::{
        database::{any_of::one_of, transaction::Transaction},
        entity::{
            label::{Column, labels_in, select_by_name},
            progress, story, tombstone, undone_removal,
        },
        error::Error,
        model::{
            kind::Kind,
            label::{Label, LabelKind},
            patch::{self, Fields},
            progress::Progress,
            story::{RemovedStory, Story},
        },
    },
    version::{UserId, Version},
};

/// The life of a row, with its fields at the end: as they are now, or as they were when it was removed.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub id: Uuid,
    /// The version that created the row; 0 when unknown.
    pub created: Version,
    pub created_at: OffsetDateTime,
    /// The version of the last change.
    pub stamp: Version,
    /// The version that removed the row; `None` while it exists.
    pub removed: Option<Version>,
    /// The story of a progress.
    pub story: Option<Uuid>,
    pub fields: Fields,
}

impl Life {
    /// Whether the row existed at `version`, which was written at `at`.
    pub fn includes(&self, version: Version, at: Option<OffsetDateTime>) -> bool {
        let is_created = if self.created.number() > 0 {
            self.created <= version
        } else {
            at.is_none_or(|at| self.created_at <= at)
        };
        is_created && self.removed.is_none_or(|removed| removed > version)
    }

    fn of_story(
        story: &Story,
        labels: &[(&'static str, BTreeSet<Uuid>); 2],
    ) -> Result<Self, Error> {
        let mut fields = patch::fields(&story.content)?;
        for (field, ids) in labels {
            fields.insert((*field).to_owned(), json!(ids));
        }
        Ok(Self {
            id: story.id.0,
            created: story.created_stamp,
            created_at: story.created_at,
            stamp: story.stamp,
            removed: None,
            story: None,
            fields,
        })
    }

    fn of_progress(progress: &Progress) -> Result<Self, Error> {
        Ok(Self {
            id: progress.id.0,
            created: progress.created_stamp,
            created_at: progress.created_at,
            stamp: progress.stamp,
            removed: None,
            story: Some(progress.story_id.0),
            fields: patch::fields(&progress.state)?,
        })
    }

    fn of_label(label: &Label) -> Self {
        let name = Value::from(label.name.as_str());
        Self {
            id: label.id.0,
            created: label.created_stamp,
            created_at: label.created_at,
            stamp: label.stamp,
            removed: None,
            story: None,
            fields: Fields::from_iter([("name".to_owned(), name)]),
        }
    }

    /// Reads the row that a tombstone holds.
    fn of_tombstone(kind: Kind, tombstone: &tombstone::Model) -> Result<Self, Error> {
        let held = tombstone.held.as_deref().unwrap_or_default();
        let mut life = match kind {
            Kind::Story => {
                let row: RemovedStory = serde_json::from_str(held).map_err(Error::fault)?;
                let ids = [
                    ("tagIds", row.tag_ids.iter().map(|id| id.0).collect()),
                    ("fandomIds", row.fandom_ids.iter().map(|id| id.0).collect()),
                ];
                Self::of_story(&row.story, &ids)?
            }
            Kind::Progress => {
                let row: Progress = serde_json::from_str(held).map_err(Error::fault)?;
                Self::of_progress(&row)?
            }
            Kind::Tag | Kind::Fandom => {
                let row: Label = serde_json::from_str(held).map_err(Error::fault)?;
                Self::of_label(&row)
            }
        };
        life.created = Version::new(tombstone.created_stamp);
        life.removed = Some(Version::new(tombstone.stamp));
        Ok(life)
    }
}

/// Returns the rows of a kind that exist now: those with these `ids`, or all labels.
pub(super) async fn present(
    tx: &Transaction,
    user: &UserId,
    kind: Kind,
    ids: Option<&[Uuid]>,
) -> Result<Vec<Life>, Error> {
    let wanted = ids.unwrap_or_default();
    match kind {
        Kind::Story => {
            let rows = story::find()
                .filter(story::Column::UserId.eq(user.as_str()))
                .filter(one_of(
                    tx.get_database_backend(),
                    story::Column::Id,
                    wanted.iter().copied(),
                ))
                .all(tx)
                .await?;
            let mut tags = links(tx, user, LabelKind::Tag, wanted).await?;
            let mut fandoms = links(tx, user, LabelKind::Fandom, wanted).await?;
            rows.into_iter()
                .map(|row| {
                    let ids = [
                        ("tagIds", tags.remove(&row.id).unwrap_or_default()),
                        ("fandomIds", fandoms.remove(&row.id).unwrap_or_default()),
                    ];
                    Life::of_story(&Story::try_from(row)?, &ids)
                })
                .collect()
        }
        Kind::Progress => {
            let rows = progress::find()
                .filter(progress::Column::UserId.eq(user.as_str()))
                .filter(one_of(
                    tx.get_database_backend(),
                    progress::Column::Id,
                    wanted.iter().copied(),
                ))
                .all(tx)
                .await?;
            rows.into_iter()
                .map(|row| Life::of_progress(&Progress::try_from(row)?))
                .collect()
        }
        Kind::Tag | Kind::Fandom => {
            let kind = label_kind(kind);
            let mut select = select_by_name(user, kind);
            if ids.is_some() {
                select.and_where(one_of(
                    tx.get_database_backend(),
                    Expr::col(Column::Id),
                    wanted.iter().copied(),
                ));
            }
            let labels = labels_in(&tx.query_all(&select).await?)?;
            Ok(labels.iter().map(Life::of_label).collect())
        }
    }
}

/// Returns the rows of a kind that were removed after `version`: those with these `ids`, or all. For many ids it reads all,
/// in one scan of the history.
pub(super) async fn removed_after(
    tx: &Transaction,
    user: &UserId,
    kind: Kind,
    ids: Option<&[Uuid]>,
    version: Version,
) -> Result<Vec<Life>, Error> {
    let mut last = tombstone::Entity::find()
        .filter(tombstone::Column::UserId.eq(user.as_str()))
        .filter(tombstone::Column::Kind.eq(kind.name()))
        .filter(tombstone::Column::Stamp.gt(version.number()));
    let mut earlier = undone_removal::Entity::find()
        .filter(undone_removal::Column::UserId.eq(user.as_str()))
        .filter(undone_removal::Column::Kind.eq(kind.name()))
        .filter(undone_removal::Column::Stamp.gt(version.number()));
    let few = ids.filter(|ids| ids.len() <= FEW);
    if let Some(ids) = few {
        last = last.filter(one_of(
            tx.get_database_backend(),
            tombstone::Column::Id,
            ids.iter().copied(),
        ));
        earlier = earlier.filter(one_of(
            tx.get_database_backend(),
            undone_removal::Column::Id,
            ids.iter().copied(),
        ));
    }
    let mut rows = last.all(tx).await?;
    let earlier = earlier.all(tx).await?;
    rows.extend(earlier.into_iter().map(tombstone::Model::from));
    if let Some(ids) = ids {
        let ids: HashSet<_> = ids.iter().collect();
        rows.retain(|row| ids.contains(&row.id));
    }
    rows.iter()
        .map(|row| Life::of_tombstone(kind, row))
        .collect()
}

/// Converts fields to a state.
pub(super) fn state<S: serde::de::DeserializeOwned + Serialize>(
    fields: Fields,
) -> Result<S, Error> {
    serde_json::from_value(Value::Object(fields)).map_err(Error::fault)
}
