//! Finds the fields of a row that other devices changed since a change's base, for [`super::conflict`].
//!
//! **Invariant:** the cost does not grow with the history. For a field, three changes are read: the oldest since the base,
//! the newest, and the newest by another device. For a set of labels, at most [`MAX_SET_CHANGES`] changes and the removals
//! of labels are read.
//! **Invariant:** whether another device changed a field is exact, for any number of changes.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait as _, QueryResult, Statement};
use serde_json::Value;

use super::{
    conflict::{Changed, ChangedSince, Origin, Step},
    conflict_resolution::Target,
    history::ALL_FIELDS,
    label_removal::LostLabel,
    origin::origin,
    writer::LibraryWriter,
};
use crate::{
    library::{
        error::Error,
        model::{device::Device, kind::Kind, label::LabelKind, patch::Fields},
    },
    version::{Head, Version},
};

/// Maximum changes of a set of labels that are replayed. Beyond it, the set's value at the base is unknown.
const MAX_SET_CHANGES: usize = 256;

/// For each field with changes after version $4: the newest version, the value before the oldest change, and the newest
/// change by a device other than $6. Changes before a row was recreated (`*`) belong to another row. A change of an older
/// server (`other_stamp` -1) counts as another device's, because it may hide one.
///
/// A subquery finds each row by its complete key. In a join, PostgreSQL may use a prefix of the key if it expects few rows
/// per user.
const LATEST: &str = "
WITH asked AS ({fields}),
remade AS (
  SELECT coalesce(max(stamp), $4) AS stamp FROM topaz_field_change
  WHERE user_id = $1 AND kind = $2 AND id = $3 AND field = '*' AND stamp > $4
),
started AS (
  SELECT field, CASE WHEN field = '*' THEN $4 ELSE stamp END AS start FROM asked CROSS JOIN remade
),
span AS MATERIALIZED (
  SELECT s.field, s.start,
    (SELECT min(c.stamp) FROM topaz_field_change c
      WHERE c.user_id = $1 AND c.kind = $2 AND c.id = $3 AND c.field = s.field AND c.stamp > s.start) AS oldest,
    (SELECT max(c.stamp) FROM topaz_field_change c
      WHERE c.user_id = $1 AND c.kind = $2 AND c.id = $3 AND c.field = s.field AND c.stamp > s.start) AS newest
  FROM started s
),
linked AS MATERIALIZED (
  SELECT span.*, CASE
      WHEN (SELECT w.device_id FROM topaz_write w WHERE w.user_id = $1 AND w.epoch = $5 AND w.version = newest) = $6
      THEN (SELECT CASE WHEN c.other_stamp < 0 THEN c.stamp ELSE c.other_stamp END FROM topaz_field_change c
        WHERE c.user_id = $1 AND c.kind = $2 AND c.id = $3 AND c.field = span.field AND c.stamp = newest)
      ELSE newest
    END AS other
  FROM span WHERE newest IS NOT NULL
)
SELECT field, newest, other AS stamp,
  (SELECT c.was FROM topaz_field_change c
    WHERE c.user_id = $1 AND c.kind = $2 AND c.id = $3 AND c.field = linked.field AND c.stamp = oldest) AS was,
  (SELECT c.changed_at FROM topaz_field_change c
    WHERE c.user_id = $1 AND c.kind = $2 AND c.id = $3 AND c.field = linked.field AND c.stamp = other
      AND c.stamp > start) AS changed_at,
  (SELECT w.device_id FROM topaz_write w WHERE w.user_id = $1 AND w.epoch = $5 AND w.version = other) AS device_id,
  (SELECT w.device_name FROM topaz_write w WHERE w.user_id = $1 AND w.epoch = $5 AND w.version = other) AS device_name
FROM linked";

/// The newest changes of one field after version $5, with their devices.
const SET_CHANGES: &str = "
SELECT c.stamp, c.was, c.changed_at,
  (SELECT w.device_id FROM topaz_write w WHERE w.user_id = $1 AND w.epoch = $6 AND w.version = c.stamp) AS device_id,
  (SELECT w.device_name FROM topaz_write w WHERE w.user_id = $1 AND w.epoch = $6 AND w.version = c.stamp) AS device_name
FROM (
  SELECT stamp, was, changed_at FROM topaz_field_change
  WHERE user_id = $1 AND kind = $2 AND id = $3 AND field = $4 AND stamp > $5 ORDER BY stamp DESC LIMIT $7
) AS c
ORDER BY c.stamp DESC";

/// The changes of one field since the base.
struct Latest {
    newest: Version,
    /// The value at the base.
    base: Value,
    /// The newest change by another device.
    other: Option<(Version, Origin)>,
}

impl LibraryWriter {
    /// Returns the fields of a row that other devices changed after `base`.
    pub(super) async fn changed_since(
        &self,
        target: Target,
        base: Head,
        held: &Fields,
        change: &Fields,
    ) -> Result<ChangedSince, Error> {
        // `self.head` is the version of this change. A base at or above it, or of another epoch, belongs to a history
        // that a restore has undone.
        if base.epoch != self.head.epoch || base.version >= self.head.version {
            return Ok(all_forgotten(change));
        }
        if target.stamp <= base.version {
            return Ok(ChangedSince::new());
        }
        // Below the floor, the changed fields are unknown, so any may have changed.
        if base.version < self.floor {
            return Ok(all_forgotten(change));
        }
        let mut latest = self.latest_since(target, base.version, change).await?;
        let remade = latest.remove(ALL_FIELDS);
        if remade.as_ref().is_some_and(|remade| remade.other.is_some()) {
            return Ok(all_forgotten(change));
        }
        let start = remade.map_or(base.version, |remade| remade.newest);
        let mut since = ChangedSince::new();
        for labels in [LabelKind::Tag, LabelKind::Fandom] {
            let field = labels.ids_field();
            if target.kind != Kind::Story || !change.contains_key(field) {
                continue;
            }
            let stored = held.get(field).unwrap_or(&Value::Null);
            let latest = latest.remove(field);
            let changed = self.changed_set(target, start, labels, stored, latest);
            since.extend(changed.await?.map(|changed| (field.to_owned(), changed)));
        }
        since.extend(latest.into_iter().filter_map(|(field, latest)| {
            let (_, by) = latest.other?;
            let changed = Changed {
                base: Some(latest.base),
                known: None,
                by: Some(by),
            };
            Some((field, changed))
        }));
        Ok(since)
    }

    /// Returns the changes after `base` of each field that the change sets.
    async fn latest_since(
        &self,
        target: Target,
        base: Version,
        change: &Fields,
    ) -> Result<BTreeMap<String, Latest>, Error> {
        // Field names are ours, not the client's, so they need no escaping.
        let fields = change.keys().map(String::as_str).chain([ALL_FIELDS]);
        let fields: Vec<_> = fields
            .map(|field| format!("SELECT '{field}' AS field"))
            .collect();
        let sql = LATEST.replace("{fields}", &fields.join(" UNION ALL "));
        let device = self.device.as_ref().map(|device| device.id().to_owned());
        let values = [
            self.user.as_str().into(),
            target.kind.name().into(),
            target.id.into(),
            base.number().into(),
            self.head.epoch.number().into(),
            device.into(),
        ];
        let select = Statement::from_sql_and_values(self.tx.get_database_backend(), sql, values);
        let rows = self.tx.query_all_raw(select).await?;
        rows.iter()
            .map(|row| Ok((row.try_get("", "field")?, latest(row)?)))
            .collect()
    }

    /// Returns the changes of a set of labels after `since`, if another device changed it.
    async fn changed_set(
        &self,
        target: Target,
        since: Version,
        labels: LabelKind,
        stored: &Value,
        latest: Option<Latest>,
    ) -> Result<Option<Changed>, Error> {
        let Some(lost) = self.lost_labels(labels, target, since).await? else {
            return Ok(Some(Changed::default()));
        };
        let is_recorded = latest.is_some();
        let recorded = latest.and_then(|latest| latest.other);
        let lost_to_others = lost
            .iter()
            .find(|lost| !self.is_own(lost.by.device.as_ref()));
        let lost_to_others = lost_to_others.map(|lost| (lost.stamp, lost.by.clone()));
        let newest = recorded
            .into_iter()
            .chain(lost_to_others)
            .max_by_key(|(stamp, _)| *stamp);
        let Some((_, by)) = newest else {
            return Ok(None);
        };
        let steps = if is_recorded {
            self.set_changes(target, labels.ids_field(), since).await?
        } else {
            Vec::new()
        };
        if steps.len() > MAX_SET_CHANGES {
            return Ok(Some(Changed {
                by: Some(by),
                ..Changed::default()
            }));
        }
        let steps = self.with_lost(steps, stored, lost);
        Ok(Changed::by_others(&steps, stored))
    }

    /// Returns the changes of a set of labels after `since`, newest first; one more than the limit if there are more.
    async fn set_changes(
        &self,
        target: Target,
        field: &str,
        since: Version,
    ) -> Result<Vec<Step>, Error> {
        let values = [
            self.user.as_str().into(),
            target.kind.name().into(),
            target.id.into(),
            field.into(),
            since.number().into(),
            self.head.epoch.number().into(),
            i64::try_from(MAX_SET_CHANGES + 1)
                .unwrap_or(i64::MAX)
                .into(),
        ];
        let backend = self.tx.get_database_backend();
        let select = Statement::from_sql_and_values(backend, SET_CHANGES, values);
        let rows = self.tx.query_all_raw(select).await?;
        if rows.len() > MAX_SET_CHANGES {
            // The base is unknown, so the values do not matter.
            let forgotten = |row| self.step(row, Value::Null);
            return rows.iter().map(forgotten).collect();
        }
        rows.iter().map(|row| self.step(row, was(row)?)).collect()
    }

    fn step(&self, row: &QueryResult, was: Value) -> Result<Step, Error> {
        let by = origin(row, "changed_at")?;
        Ok(Step {
            stamp: Version::new(row.try_get("", "stamp")?),
            was,
            is_own: self.is_own(by.device.as_ref()),
            by,
        })
    }

    /// Merges the recorded steps of a set of labels with the steps that `lost` labels, both newest first. A loss records
    /// no value: the value before it follows from the value after it.
    fn with_lost(&self, recorded: Vec<Step>, stored: &Value, lost: Vec<LostLabel>) -> Vec<Step> {
        let mut held = stored.clone();
        let mut later = recorded.iter().peekable();
        let mut losses = Vec::with_capacity(lost.len());
        for LostLabel { stamp, label, by } in lost {
            while let Some(step) = later.next_if(|step| step.stamp >= stamp) {
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

    /// Returns whether this is the device that sends the change.
    pub(super) fn is_own(&self, device: Option<&Device>) -> bool {
        device.is_some_and(|device| {
            let own = self.device.as_ref();
            own.is_some_and(|own| own.id() == device.id())
        })
    }
}

fn latest(row: &QueryResult) -> Result<Latest, Error> {
    let changed_at: Option<i64> = row.try_get("", "changed_at")?;
    let other = match changed_at {
        Some(_) => Some((
            Version::new(row.try_get("", "stamp")?),
            origin(row, "changed_at")?,
        )),
        None => None,
    };
    Ok(Latest {
        newest: Version::new(row.try_get("", "newest")?),
        base: was(row)?,
        other,
    })
}

fn was(row: &QueryResult) -> Result<Value, Error> {
    let was: String = row.try_get("", "was")?;
    serde_json::from_str(&was).map_err(Error::fault)
}

/// Marks every field of `change` as changed, with an unknown base.
fn all_forgotten(change: &Fields) -> ChangedSince {
    let forgotten = |field: &String| (field.clone(), Changed::default());
    change.keys().map(forgotten).collect()
}
