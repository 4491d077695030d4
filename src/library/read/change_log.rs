//! The log of changes: which kinds of rows each version changed, and on which device.

use std::collections::BTreeSet;

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use time::OffsetDateTime;

use crate::{
    library::{
        entity::write,
        error::Error,
        handle::Library,
        model::{device::Device, kind::Kind},
    },
    version::{Head, UserId, Version},
};

/// The changes of consecutive versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The kinds of rows.
    pub kinds: BTreeSet<Kind>,
    /// The device that made all of them. `None` if there were several, or it is unknown.
    pub device: Option<Device>,
    /// Time of the newest version.
    pub at: OffsetDateTime,
    /// The `traceparent` of the newest version, if its request was traced.
    pub traceparent: Option<String>,
}

impl Library {
    /// Returns when a head was written. `None` if it is unknown.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn written_at(
        &self,
        user: &UserId,
        head: Head,
    ) -> Result<Option<OffsetDateTime>, Error> {
        let key = (
            user.as_str().to_owned(),
            head.epoch.number(),
            head.version.number(),
        );
        let row = write::Entity::find_by_id(key).one(&self.db.fresh);
        let row = self.db.in_time(row).await?;
        Ok(row.map(|row| row.written_at.0))
    }

    /// Returns the changes after version `after` up to `head`. `None` if they are unknown, so anything may have changed.
    pub async fn changed(
        &self,
        user: &UserId,
        after: Version,
        head: Head,
    ) -> Result<Option<Changed>, Error> {
        let reader = self.db.fresh_reader(user).await?;
        let rows = write::Entity::find()
            .filter(write::Column::UserId.eq(user.as_str()))
            .filter(write::Column::Epoch.eq(head.epoch.number()))
            .filter(write::Column::Version.gt(after.number()))
            .filter(write::Column::Version.lte(head.version.number()))
            .order_by_desc(write::Column::Version)
            .all(&reader);
        let rows = self.db.in_time(rows).await?;
        let all = i64::from(head.version.number()) - i64::from(after.number());
        let Some(newest) = rows
            .first()
            .filter(|_| i64::try_from(rows.len()) == Ok(all))
        else {
            return Ok(None);
        };
        let same = rows.iter().all(|row| row.device_id == newest.device_id);
        let device = newest.device_id.clone().filter(|_| same);
        let names = rows.iter().flat_map(|row| row.kinds.split(' '));
        Ok(Some(Changed {
            kinds: names.filter_map(|name| name.parse().ok()).collect(),
            device: device.map(|id| Device::stored(id, newest.device_name.clone())),
            at: newest.written_at.0,
            traceparent: newest.traceparent.clone(),
        }))
    }
}
