//! What changed between the head that an endpoint is known to have and the user's head, for the words of a notice.

use std::collections::{BTreeSet, HashSet};

use sea_orm::QueryResult;
use time::OffsetDateTime;
use uuid::Uuid;

use super::claim::time_of;
use crate::{
    library::{
        error::Error,
        handle::Library,
        model::{device::Device, kind::Kind},
    },
    version::{Head, UserId},
};

/// Maximum number of writes and of entries that are read.
const MOST: i64 = 1_000;

const WRITES: &str = "
SELECT kinds, device_id, device_name, written_at FROM topaz_write
WHERE user_id = $1 AND epoch = $2 AND version > $3 AND version <= $4 ORDER BY version DESC LIMIT $5";

/// Entries by the newer stamp of progress and story, newest first.
const ENTRIES: &str = "
SELECT id, stamp FROM (
  SELECT p.id AS id, p.stamp AS stamp FROM topaz_progress p WHERE p.user_id = $1 AND p.stamp > $2
  UNION
  SELECT p.id AS id, s.stamp AS stamp FROM topaz_story s
  JOIN topaz_progress p ON p.user_id = s.user_id AND p.story_id = s.id
  WHERE s.user_id = $1 AND s.stamp > $2
) AS changed ORDER BY stamp DESC, id LIMIT $3";

/// What changed between two heads of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeSummary {
    /// Kinds of the changed rows. Empty if they are unknown.
    pub kinds: BTreeSet<Kind>,
    /// The devices that made the changes. `None` stands for changes by an unknown device.
    pub devices: Vec<Option<Device>>,
    /// Ids of the changed entries' progress, newest change first. At most 1,000.
    pub entries: Vec<Uuid>,
    /// Those of the entries that the reader most likely opens next, the likeliest first.
    pub warm: Vec<Uuid>,
    /// Time of the newest change, if known.
    pub committed_at: Option<OffsetDateTime>,
    /// Number of writes that were read.
    writes: i64,
}

impl ChangeSummary {
    /// Adds a write. The first is the newest.
    fn add_write(&mut self, row: &QueryResult) -> Result<(), Error> {
        let kinds: String = row.try_get("", "kinds")?;
        let kinds = kinds
            .split(' ')
            .filter_map(|kind| kind.parse::<Kind>().ok());
        self.kinds.extend(kinds);
        let id: Option<String> = row.try_get("", "device_id")?;
        let is_known = self
            .devices
            .iter()
            .any(|known| known.as_ref().map(Device::id) == id.as_deref());
        if !is_known {
            let name = row.try_get("", "device_name")?;
            self.devices.push(id.map(|id| Device::stored(id, name)));
        }
        if self.writes == 0 {
            self.committed_at = time_of(row, "written_at")?;
        }
        self.writes += 1;
        Ok(())
    }

    /// Returns whether a single device made all changes.
    pub fn is_only_by(&self, device: &str) -> bool {
        let is_by = |by: &Option<Device>| by.as_ref().is_some_and(|by| by.id() == device);
        !self.devices.is_empty() && self.devices.iter().all(is_by)
    }
}

impl Library {
    /// Summarizes the changes between two heads.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn change_summary(
        &self,
        user: &UserId,
        known: Head,
        head: Head,
        with_entries: bool,
    ) -> Result<ChangeSummary, Error> {
        let mut summary = ChangeSummary::default();
        if known.epoch != head.epoch {
            summary.devices.push(None);
            return Ok(summary);
        }
        for row in self.writes_between(user, known, head).await? {
            summary.add_write(&row)?;
        }
        let all = i64::from(head.version.number()) - i64::from(known.version.number());
        if summary.writes != all && !summary.devices.contains(&None) {
            // Purged, or too many to read.
            summary.devices.push(None);
        }
        if with_entries {
            summary.entries = self.entries_since(user, known).await?;
            summary.warm = self.warm_among(user, &summary.entries).await?;
        }
        Ok(summary)
    }

    async fn writes_between(
        &self,
        user: &UserId,
        known: Head,
        head: Head,
    ) -> Result<Vec<QueryResult>, Error> {
        let values = [
            user.as_str().into(),
            head.epoch.number().into(),
            known.version.number().into(),
            head.version.number().into(),
            MOST.into(),
        ];
        self.run_statement(WRITES, values).await
    }

    /// Returns the entries that changed after a head, newest change first.
    pub(in crate::library) async fn entries_since(
        &self,
        user: &UserId,
        known: Head,
    ) -> Result<Vec<Uuid>, Error> {
        let values = [
            user.as_str().into(),
            known.version.number().into(),
            MOST.into(),
        ];
        let rows = self.run_statement(ENTRIES, values).await?;
        let (mut seen, mut entries) = (HashSet::new(), Vec::new());
        for row in rows {
            let id = row.try_get("", "id")?;
            if seen.insert(id) {
                entries.push(id);
            }
        }
        Ok(entries)
    }
}
