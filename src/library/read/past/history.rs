//! [`Library::history`]: the writes of a library, newest first, and what each changed.

use sea_orm::{
    ColumnTrait as _, EntityTrait as _, ExprTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, sea_query::Expr,
};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    as_of::AsOf,
    library_at::kept,
    touched::{Writes, touched},
};
use crate::{
    library::{
        entity::{user, write},
        error::Error,
        handle::Library,
        model::{device::Device, kind::Kind, label::LabelKind, patch::Fields},
    },
    version::{UserId, Version},
};

/// The kinds in the order in which a write's changes are listed.
const KINDS: [Kind; 4] = [Kind::Tag, Kind::Fandom, Kind::Story, Kind::Progress];

/// Which writes of the history.
#[derive(Debug, Clone, Default)]
pub struct HistoryFilter {
    /// Only writes of the device with this id.
    pub device: Option<String>,
    /// Only writes that touched rows of this kind.
    pub kind: Option<Kind>,
}

/// One write of the history.
#[derive(Debug, Clone, PartialEq)]
pub struct PastWrite {
    /// The version that it made.
    pub version: Version,
    /// When.
    pub at: OffsetDateTime,
    /// The device that made it, if known.
    pub device: Option<Device>,
    /// The kinds of rows that it touched.
    pub kinds: Vec<Kind>,
}

/// A row that a write changed.
#[derive(Debug, Clone, PartialEq)]
pub struct RowChange {
    /// Its kind.
    pub kind: Kind,
    /// Its id.
    pub id: Uuid,
    /// Its fields before; `None` if the write created it.
    pub before: Option<Fields>,
    /// Its fields after; `None` if the write removed it.
    pub after: Option<Fields>,
}

impl RowChange {
    /// Returns the fields that differ, with their values before and after.
    pub fn fields(&self) -> impl Iterator<Item = (&String, Option<&Value>, Option<&Value>)> {
        let all = self.before.as_ref().or(self.after.as_ref());
        let names = all.into_iter().flat_map(Fields::keys);
        names.filter_map(|field| {
            let of = |fields: &Option<Fields>| {
                fields
                    .as_ref()
                    .and_then(|fields| fields.get(field))
                    .cloned()
            };
            let is_changed = of(&self.before) != of(&self.after);
            let before = self.before.as_ref().and_then(|fields| fields.get(field));
            let after = self.after.as_ref().and_then(|fields| fields.get(field));
            is_changed.then_some((field, before, after))
        })
    }
}

impl Library {
    /// Returns the writes of the current epoch before version `before`, newest first.
    pub async fn history(
        &self,
        user: &UserId,
        filter: &HistoryFilter,
        before: Option<Version>,
        first: u32,
    ) -> Result<Vec<PastWrite>, Error> {
        let reader = self.db.fresh_reader(user).await?;
        let row = user::Entity::find_by_id(user.as_str()).one(&reader);
        let row = self.db.in_time(row).await?;
        let head = row
            .ok_or_else(|| Error::fault("the viewer's row is missing"))?
            .head();
        let mut select = write::Entity::find()
            .filter(write::Column::UserId.eq(user.as_str()))
            .filter(write::Column::Epoch.eq(head.epoch.number()))
            .order_by_desc(write::Column::Version)
            .limit(u64::from(first));
        if let Some(before) = before {
            select = select.filter(write::Column::Version.lt(before.number()));
        }
        if let Some(device) = &filter.device {
            select = select.filter(write::Column::DeviceId.eq(device));
        }
        if let Some(kind) = filter.kind {
            // The kinds are separated by spaces.
            let kinds = Expr::cust("' ' || kinds || ' '");
            select = select.filter(kinds.like(format!("% {} %", kind.name())));
        }
        let rows = self.db.in_time(select.all(&reader)).await?;
        Ok(rows.into_iter().map(PastWrite::from).collect())
    }

    /// Returns up to `first` rows that the write of `version` changed. `None` when its history is not kept.
    pub async fn changes_of(
        &self,
        user: &UserId,
        version: Version,
        first: usize,
    ) -> Result<Option<Vec<RowChange>>, Error> {
        let of = user.clone();
        self.snapshot(user, move |tx| {
            Box::pin(async move {
                let earlier = Version::new(version.number() - 1);
                let (before, after) =
                    match (kept(tx, &of, earlier).await, kept(tx, &of, version).await) {
                        (Ok(before), Ok(after)) => (before, after),
                        (Err(Error::Invalid { .. }), _) | (_, Err(Error::Invalid { .. })) => {
                            return Ok(None);
                        }
                        (Err(error), _) | (_, Err(error)) => return Err(error),
                    };
                let mut changes = Vec::new();
                for kind in KINDS {
                    let ids = touched(tx, &of, kind, Writes::Only(version)).await?;
                    let ids: Vec<_> = ids.into_iter().take(first - changes.len()).collect();
                    if ids.is_empty() {
                        continue;
                    }
                    let mut then = rows(&before, kind, &ids).await?;
                    let mut later = rows(&after, kind, &ids).await?;
                    changes.extend(ids.into_iter().filter_map(|id| {
                        let (before, after) = (then.remove(&id), later.remove(&id));
                        let change = RowChange {
                            kind,
                            id,
                            before,
                            after,
                        };
                        (change.before != change.after).then_some(change)
                    }));
                }
                Ok(Some(changes))
            })
        })
        .await
    }
}

async fn rows(
    past: &AsOf<'_>,
    kind: Kind,
    ids: &[Uuid],
) -> Result<std::collections::HashMap<Uuid, Fields>, Error> {
    use crate::library::model::patch::fields;
    Ok(match kind {
        Kind::Story => {
            let rows = past.stories(ids).await?.into_iter();
            let rows = rows.map(|(id, past)| Ok((id, fields(&past.state)?)));
            rows.collect::<Result<_, Error>>()?
        }
        Kind::Progress => {
            let rows = past.progresses(ids).await?.into_iter();
            let rows = rows.map(|(id, past)| {
                let mut fields = fields(&past.state)?;
                fields.insert("storyId".to_owned(), past.story_id.to_string().into());
                Ok((id, fields))
            });
            rows.collect::<Result<_, Error>>()?
        }
        Kind::Tag | Kind::Fandom => {
            let kind = match kind {
                Kind::Tag => LabelKind::Tag,
                _ => LabelKind::Fandom,
            };
            let rows = past.labels(kind, Some(ids)).await?.into_iter();
            rows.map(|(id, past)| {
                let name = Value::from(past.name.as_str());
                (id, Fields::from_iter([("name".to_owned(), name)]))
            })
            .collect()
        }
    })
}

impl From<write::Model> for PastWrite {
    fn from(row: write::Model) -> Self {
        let name = row.device_name;
        Self {
            version: Version::new(row.version),
            at: row.written_at.0,
            device: row.device_id.map(|id| Device::stored(id, name)),
            kinds: row
                .kinds
                .split(' ')
                .filter_map(|kind| kind.parse().ok())
                .collect(),
        }
    }
}
