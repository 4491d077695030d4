//! What becomes of a change that was made against an older head: what other devices did since, looked up, and the
//! decision of [`conflict`] applied.
//!
//! **Invariant:** a change without a base that sets no chapter back costs no statement here.

use std::collections::BTreeMap;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QueryResult, QuerySelect as _, Statement, entity::prelude::TimeUnixTimestampMillis,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    conflict::{self, Against, CHAPTER, Changed, ChangedSince, Origin, Resolution, STATUS, Step},
    history::ALL_FIELDS,
    label_removal::LostLabel,
    writer::LibraryWriter,
};
use crate::{
    library::{
        entity::{field_change, millis, write},
        error::{Clash, Error, Refusal},
        model::{
            device::Device,
            kind::Kind,
            label::LabelKind,
            patch::{self, Fields},
        },
    },
    version::{Head, Version},
};

/// The changes of a row's fields after a version, newest first, with the devices that made them.
const CHANGES_SINCE: &str = "\
SELECT c.stamp, c.field, c.was, c.changed_at, w.device_id, w.device_name FROM topaz_field_change c \
LEFT JOIN topaz_write w ON w.user_id = c.user_id AND w.epoch = $5 AND w.version = c.stamp \
WHERE c.user_id = $1 AND c.kind = $2 AND c.id = $3 AND c.stamp > $4 AND c.field IN ({fields}) ORDER BY c.stamp DESC";

/// A row that a change is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub kind: Kind,
    pub id: Uuid,
    pub stamp: Version,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl LibraryWriter {
    /// What a row is to hold after `change`, and what of the change is left, given what other devices changed since its
    /// base.
    ///
    /// # Errors
    /// Refused when the change clashes and its sender wants no merge.
    pub(super) async fn resolve<S: Serialize + DeserializeOwned>(
        &self,
        target: Target,
        stored: &S,
        change: &impl Serialize,
        against: Against,
    ) -> Result<(S, Vec<Clash>), Error> {
        let (held, change) = (patch::fields(stored)?, patch::fields(change)?);
        let since = match against.base() {
            Some(base) => self.changed_since(target, base, &held, &change).await?,
            None if against.may_be_behind(&held, &change) => self.further(target, &change).await?,
            None => ChangedSince::new(),
        };
        match conflict::resolve(against, &since, &held, &change) {
            Resolution::Reject(mut clashes) => {
                self.name_origins(target, &mut clashes).await?;
                Err(Refusal::conflict(clashes))
            }
            Resolution::Apply { fields, mut left } => {
                self.name_origins(target, &mut left).await?;
                Ok((patch::apply(stored, &fields)?, left))
            }
        }
    }

    /// The fields of a row that other devices changed after `base`.
    async fn changed_since(
        &self,
        target: Target,
        base: Head,
        held: &Fields,
        change: &Fields,
    ) -> Result<ChangedSince, Error> {
        // The head is that of this very change. A base that is not below it, or of another epoch, is of a history that a
        // restore has undone, and says nothing of this one.
        if base.epoch != self.head.epoch || base.version >= self.head.version {
            return Ok(all_forgotten(change));
        }
        if target.stamp <= base.version {
            return Ok(ChangedSince::new());
        }
        // Below the floor it is forgotten which fields changed, so any may have.
        if base.version < self.floor {
            return Ok(all_forgotten(change));
        }
        let mut steps = self.steps_since(target, base.version, change).await?;
        if let Some(remade) = steps.remove(ALL_FIELDS)
            && remade.iter().any(|step| !step.is_own)
        {
            return Ok(all_forgotten(change));
        }
        let mut since = ChangedSince::new();
        if target.kind == Kind::Story {
            for labels in [LabelKind::Tag, LabelKind::Fandom] {
                let field = labels.ids_field();
                let Some(stored) = held.get(field).filter(|_| change.contains_key(field)) else {
                    continue;
                };
                let recorded = steps.remove(field).unwrap_or_default();
                match self.lost_labels(labels, target.id, base.version).await? {
                    Some(lost) => {
                        let all = self.with_lost(recorded, stored, lost);
                        steps.insert(field.to_owned(), all);
                    }
                    None => drop(since.insert(field.to_owned(), Changed::default())),
                }
            }
        }
        since.extend(steps.into_iter().filter_map(|(field, steps)| {
            let stored = held.get(&field).unwrap_or(&Value::Null);
            Some((field, Changed::by_others(&steps, stored)?))
        }));
        Ok(since)
    }

    /// The steps of a set of labels, newest first, with those by which labels were `lost`, newest first. These are not
    /// recorded with the row: what the set held before such a loss follows from what it held after it.
    fn with_lost(&self, recorded: Vec<Step>, stored: &Value, lost: Vec<LostLabel>) -> Vec<Step> {
        let mut held = stored.clone();
        let mut later = recorded.iter().peekable();
        let mut losses = Vec::with_capacity(lost.len());
        for LostLabel { stamp, label, by } in lost {
            while let Some(step) = later.next_if(|step| step.stamp > stamp) {
                held = step.was.clone();
            }
            if let Value::Array(ids) = &mut held {
                ids.push(label.to_string().into());
                ids.sort_unstable_by(|one, other| one.as_str().cmp(&other.as_str()));
            }
            losses.push(Step {
                stamp,
                was: held.clone(),
                is_own: self.is_own(by.device.as_ref()),
                by,
            });
        }
        let mut steps = recorded;
        steps.extend(losses);
        steps.sort_by_key(|step| std::cmp::Reverse(step.stamp));
        steps
    }

    /// What was done to each field that the change sets after `base`, newest first.
    async fn steps_since(
        &self,
        target: Target,
        base: Version,
        change: &Fields,
    ) -> Result<BTreeMap<String, Vec<Step>>, Error> {
        let values = [
            self.user.as_str().into(),
            target.kind.name().into(),
            target.id.into(),
            base.number().into(),
            self.head.epoch.number().into(),
        ];
        let backend = self.tx.get_database_backend();
        // The names are those of our own fields.
        let fields = change.keys().map(String::as_str).chain([ALL_FIELDS]);
        let fields: Vec<_> = fields.map(|field| format!("'{field}'")).collect();
        let select = CHANGES_SINCE.replace("{fields}", &fields.join(", "));
        let select = Statement::from_sql_and_values(backend, select, values);
        let mut steps = BTreeMap::<String, Vec<Step>>::new();
        for row in self.tx.query_all_raw(select).await? {
            let was: String = row.try_get("", "was")?;
            let by = origin(&row, "changed_at")?;
            steps
                .entry(row.try_get("", "field")?)
                .or_default()
                .push(Step {
                    stamp: Version::new(row.try_get("", "stamp")?),
                    was: serde_json::from_str(&was).map_err(Error::fault)?,
                    is_own: self.is_own(by.device.as_ref()),
                    by,
                });
        }
        Ok(steps)
    }

    /// The fields of a change without a base that are left to a device that is further: the chapter and what came with
    /// it. None if the device that is behind is the one that is further.
    async fn further(&self, target: Target, change: &Fields) -> Result<ChangedSince, Error> {
        let by = self.last_change(target, CHAPTER).await?;
        if self.is_own(by.device.as_ref()) {
            return Ok(ChangedSince::new());
        }
        let changed = Changed {
            by: Some(by),
            ..Changed::default()
        };
        let fields = [CHAPTER, STATUS]
            .into_iter()
            .filter(|field| change.contains_key(*field));
        Ok(fields
            .map(|field| (field.to_owned(), changed.clone()))
            .collect())
    }

    /// Names the origin of what the library holds, where that is not known yet.
    async fn name_origins(&self, target: Target, clashes: &mut [Clash]) -> Result<(), Error> {
        for clash in clashes.iter_mut().filter(|clash| clash.at.is_none()) {
            let by = self.last_change(target, &clash.field).await?;
            (clash.device, clash.at) = (by.device, Some(by.at));
        }
        Ok(())
    }

    /// Where and when a field got the value that it holds. Where that is forgotten, when its row last changed.
    async fn last_change(&self, target: Target, field: &str) -> Result<Origin, Error> {
        let newest: Option<TimeUnixTimestampMillis> = field_change::Entity::find()
            .select_only()
            .column(field_change::Column::ChangedAt)
            .filter(field_change::Column::UserId.eq(self.user.as_str()))
            .filter(field_change::Column::Kind.eq(target.kind.name()))
            .filter(field_change::Column::Id.eq(target.id))
            .filter(field_change::Column::Field.is_in([field, ALL_FIELDS]))
            .order_by_desc(field_change::Column::Stamp)
            .into_tuple()
            .one(&self.tx)
            .await?;
        let changed_at = newest.map(|at| at.0);
        if let Some(lost) = self.last_loss(target, field).await?
            && changed_at.is_none_or(|at| lost.at > at)
        {
            return Ok(lost);
        }
        // A field that never changed holds what the row was made with.
        let device = self
            .device_at(changed_at.unwrap_or(target.created_at))
            .await?;
        let at = match (changed_at, &device) {
            (Some(at), _) => at,
            (None, Some(_)) => target.created_at,
            (None, None) => target.updated_at,
        };
        Ok(Origin {
            device: device.flatten(),
            at,
        })
    }

    /// Where and when a set of labels last lost one that was removed.
    async fn last_loss(&self, target: Target, field: &str) -> Result<Option<Origin>, Error> {
        let kinds = [LabelKind::Tag, LabelKind::Fandom];
        let Some(kind) = kinds.into_iter().find(|kind| kind.ids_field() == field) else {
            return Ok(None);
        };
        let lost = self.lost_labels(kind, target.id, self.floor).await?;
        Ok(lost
            .and_then(|lost| lost.into_iter().next())
            .map(|lost| lost.by))
    }

    /// The device of the write at this moment; the outer `None` when that write is forgotten.
    async fn device_at(&self, at: OffsetDateTime) -> Result<Option<Option<Device>>, Error> {
        let write = write::Entity::find()
            .filter(write::Column::UserId.eq(self.user.as_str()))
            .filter(write::Column::WrittenAt.eq(millis(at)))
            .order_by_desc(write::Column::Epoch)
            .order_by_desc(write::Column::Version)
            .one(&self.tx)
            .await?;
        Ok(write.map(|write| device(write.device_id, write.device_name)))
    }

    /// Whether this is the device that asks for the change.
    fn is_own(&self, device: Option<&Device>) -> bool {
        device.is_some_and(|device| {
            let own = self.device.as_ref();
            own.is_some_and(|own| own.id() == device.id())
        })
    }
}

/// The origin that a row says, joined from its write.
pub(super) fn origin(row: &QueryResult, at: &str) -> Result<Origin, Error> {
    let at: TimeUnixTimestampMillis = row.try_get("", at)?;
    let device = device(
        row.try_get("", "device_id")?,
        row.try_get("", "device_name")?,
    );
    Ok(Origin { device, at: at.0 })
}

fn device(id: Option<String>, name: Option<String>) -> Option<Device> {
    id.map(|id| Device::stored(id, name))
}

/// Every field of `change` has changed, and what it held is forgotten.
fn all_forgotten(change: &Fields) -> ChangedSince {
    let forgotten = |field: &String| (field.clone(), Changed::default());
    change.keys().map(forgotten).collect()
}
