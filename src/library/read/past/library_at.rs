//! [`Library::entries_at`] and [`Library::labels_at`]: pages of the library as of an earlier version.

use std::collections::BTreeSet;

use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::{
    as_of::AsOf,
    past_row::{PastEntry, PastLabel},
};
use crate::{
    library::{
        database::transaction::Transaction,
        entity::{progress, tombstone, undone_removal, user},
        error::Error,
        handle::Library,
        model::{id::ProgressId, kind::Kind, label::LabelKind},
    },
    version::{Head, UserId, Version},
};

/// A page of the entries of an earlier version, ordered by the id of the progress.
#[derive(Debug, Clone, PartialEq)]
pub struct PastEntries {
    /// The entries. There can be fewer than asked for, because a page also passes ids that did not exist.
    pub entries: Vec<PastEntry>,
    /// The tags and fandoms that they carried.
    pub labels: [Vec<PastLabel>; 2],
    /// The last id that the page passed, if there are more.
    pub next: Option<ProgressId>,
}

impl Library {
    /// Returns a page of the entries at `version`, after the progress `after`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the version is not kept.
    pub async fn entries_at(
        &self,
        user: &UserId,
        version: Version,
        after: Option<ProgressId>,
        first: u32,
    ) -> Result<PastEntries, Error> {
        let of = user.clone();
        self.snapshot(user, move |tx| {
            Box::pin(async move {
                let past = kept(tx, &of, version).await?;
                let limit = u64::from(first) + 1;
                let mut ids = candidates(tx, &of, version, after, limit).await?;
                let has_more = ids.len() > first as usize;
                ids.truncate(first as usize);
                let entries = past.entries(&ids).await?;
                let mut labels = [Vec::new(), Vec::new()];
                for (kind, labels) in [LabelKind::Tag, LabelKind::Fandom]
                    .into_iter()
                    .zip(&mut labels)
                {
                    let named: BTreeSet<_> = entries
                        .iter()
                        .flat_map(|entry| entry.story.state.label_ids(kind))
                        .map(|id| id.0)
                        .collect();
                    let named: Vec<_> = named.into_iter().collect();
                    labels.extend(past.labels(kind, Some(&named)).await?.into_values());
                }
                Ok(PastEntries {
                    entries,
                    labels,
                    next: ids.last().copied().filter(|_| has_more).map(ProgressId),
                })
            })
        })
        .await
    }

    /// Returns the labels of one kind at `version`, by name.
    ///
    /// # Errors
    /// As [`Library::entries_at`].
    pub async fn labels_at(
        &self,
        user: &UserId,
        version: Version,
        kind: LabelKind,
    ) -> Result<Vec<PastLabel>, Error> {
        let of = user.clone();
        self.snapshot(user, move |tx| {
            Box::pin(async move {
                let past = kept(tx, &of, version).await?;
                let labels = past.labels(kind, None).await?;
                let mut labels: Vec<_> = labels.into_values().collect();
                labels.sort_by_cached_key(|label| (label.name.key(), label.id));
                Ok(labels)
            })
        })
        .await
    }
}

/// Prepares to read at `version`.
pub(super) async fn kept<'t>(
    tx: &'t Transaction,
    user: &'t UserId,
    version: Version,
) -> Result<AsOf<'t>, Error> {
    let row = user::Entity::find_by_id(user.as_str()).one(tx).await?;
    let row = row.ok_or_else(|| Error::fault("the viewer's row is missing"))?;
    let (head, floor) = (row.head(), row.library_floor);
    if version > head.version || version.number() < floor {
        let rule = format!("must be from {floor} to {}", head.version);
        return Err(Error::invalid("version", rule));
    }
    let past = AsOf::find(tx, user, Head { version, ..head }).await?;
    past.ok_or_else(|| Error::invalid("version", "is older than the history of removed rows"))
}

/// Returns the next ids of progresses that may have existed at `version`, in order.
async fn candidates(
    tx: &Transaction,
    user: &UserId,
    version: Version,
    after: Option<ProgressId>,
    limit: u64,
) -> Result<Vec<Uuid>, Error> {
    let after = after.map_or(Uuid::nil(), |after| after.0);
    let present: Vec<Uuid> = progress::Entity::find()
        .select_only()
        .column(progress::Column::Id)
        .filter(progress::Column::UserId.eq(user.as_str()))
        .filter(progress::Column::Id.gt(after))
        .order_by_asc(progress::Column::Id)
        .limit(limit)
        .into_tuple()
        .all(tx)
        .await?;
    let removed: Vec<Uuid> = tombstone::Entity::find()
        .select_only()
        .column(tombstone::Column::Id)
        .filter(tombstone::Column::UserId.eq(user.as_str()))
        .filter(tombstone::Column::Kind.eq(Kind::Progress.name()))
        .filter(tombstone::Column::Stamp.gt(version.number()))
        .filter(tombstone::Column::Id.gt(after))
        .order_by_asc(tombstone::Column::Id)
        .limit(limit)
        .into_tuple()
        .all(tx)
        .await?;
    let undone: Vec<Uuid> = undone_removal::Entity::find()
        .select_only()
        .column(undone_removal::Column::Id)
        .filter(undone_removal::Column::UserId.eq(user.as_str()))
        .filter(undone_removal::Column::Kind.eq(Kind::Progress.name()))
        .filter(undone_removal::Column::Stamp.gt(version.number()))
        .filter(undone_removal::Column::Id.gt(after))
        .order_by_asc(undone_removal::Column::Id)
        .limit(limit)
        .into_tuple()
        .all(tx)
        .await?;
    let ids: BTreeSet<_> = present.into_iter().chain(removed).chain(undone).collect();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(ids.into_iter().take(limit).collect())
}
