//! The origin of a field's value, reported in conflicts.
//!
//! **Invariant:** a write is found by its version. The version of the write that created a row is not stored, so its
//! device is reported only if it is unambiguous.

use sea_orm::{
    ConnectionTrait as _, QueryResult, Statement, entity::prelude::TimeUnixTimestampMillis,
};

use super::{
    conflict::Origin, conflict_resolution::Target, history::ALL_FIELDS, writer::LibraryWriter,
};
use crate::{
    library::{
        entity::columns::millis,
        error::Error,
        model::{device::Device, label::LabelKind},
    },
    version::Version,
};

/// The newest change of a field, with its device. It may be of an older epoch, so the write is found by its time and
/// checked by its version. `user_id || ''` keeps both databases from scanning all writes of the user instead.
const NEWEST: &str = "
SELECT c.stamp, c.changed_at, w.device_id, w.device_name
FROM (
  SELECT stamp, changed_at FROM (
    SELECT stamp, changed_at FROM topaz_field_change
    WHERE user_id = $1 AND kind = $2 AND id = $3 AND field = $4 ORDER BY stamp DESC LIMIT 1
  ) AS of_field
  UNION ALL
  SELECT stamp, changed_at FROM (
    SELECT stamp, changed_at FROM topaz_field_change
    WHERE user_id = $1 AND kind = $2 AND id = $3 AND field = $5 ORDER BY stamp DESC LIMIT 1
  ) AS of_all
) AS c
LEFT JOIN topaz_write w ON w.user_id || '' = $1 AND w.written_at = c.changed_at AND w.version = c.stamp
ORDER BY c.stamp DESC LIMIT 1";

/// The writes at a time, up to a version. See [`NEWEST`].
const MADE_AT: &str = "
SELECT kinds, device_id, device_name FROM topaz_write
WHERE user_id || '' = $1 AND written_at = $2 AND version <= $3";

impl LibraryWriter {
    /// Returns the origin of a field's value. If it is unknown, returns the time of the row's last change.
    pub(super) async fn last_change(&self, target: Target, field: &str) -> Result<Origin, Error> {
        let changed = self.newest_change(target, field).await?;
        if let Some((lost_at, by)) = self.last_loss(target, field).await?
            && changed.as_ref().is_none_or(|(stamp, _)| lost_at > *stamp)
        {
            return Ok(by);
        }
        match changed {
            Some((_, by)) => Ok(by),
            // A field that never changed has the value of the row's creation.
            None => self.creation(target).await,
        }
    }

    async fn newest_change(
        &self,
        target: Target,
        field: &str,
    ) -> Result<Option<(Version, Origin)>, Error> {
        let values = [
            self.user.as_str().into(),
            target.kind.name().into(),
            target.id.into(),
            field.into(),
            ALL_FIELDS.into(),
        ];
        let backend = self.tx.get_database_backend();
        let select = Statement::from_sql_and_values(backend, NEWEST, values);
        let Some(row) = self.tx.query_one_raw(select).await? else {
            return Ok(None);
        };
        let stamp = Version::new(row.try_get("", "stamp")?);
        Ok(Some((stamp, origin(&row, "changed_at")?)))
    }

    /// Returns the version and origin of the last deletion of a label in a set.
    async fn last_loss(
        &self,
        target: Target,
        field: &str,
    ) -> Result<Option<(Version, Origin)>, Error> {
        let kinds = [LabelKind::Tag, LabelKind::Fandom];
        let Some(kind) = kinds.into_iter().find(|kind| kind.ids_field() == field) else {
            return Ok(None);
        };
        let lost = self.lost_labels(kind, target, self.floor).await?;
        let newest = lost.and_then(|lost| lost.into_iter().next());
        Ok(newest.map(|lost| (lost.stamp, lost.by)))
    }

    /// Returns the origin of a row's creation.
    async fn creation(&self, target: Target) -> Result<Origin, Error> {
        let values = [
            self.user.as_str().into(),
            millis(target.created_at).into(),
            target.stamp.number().into(),
        ];
        let backend = self.tx.get_database_backend();
        let select = Statement::from_sql_and_values(backend, MADE_AT, values);
        let mut devices = Vec::new();
        for row in self.tx.query_all_raw(select).await? {
            let kinds: String = row.try_get("", "kinds")?;
            if kinds.split(' ').any(|kind| kind == target.kind.name()) {
                devices.push(device(&row)?);
            }
        }
        let at = if devices.is_empty() {
            target.updated_at
        } else {
            target.created_at
        };
        let is_certain = devices.len() == 1;
        let device = devices.pop().flatten().filter(|_| is_certain);
        Ok(Origin { device, at })
    }
}

/// Reads the origin in a row that is joined with its write.
pub(super) fn origin(row: &QueryResult, at: &str) -> Result<Origin, Error> {
    let at: TimeUnixTimestampMillis = row.try_get("", at)?;
    let device = device(row)?;
    Ok(Origin { device, at: at.0 })
}

fn device(row: &QueryResult) -> Result<Option<Device>, Error> {
    let id: Option<String> = row.try_get("", "device_id")?;
    let name = row.try_get("", "device_name")?;
    Ok(id.map(|id| Device::stored(id, name)))
}
