//! The stored rows of a user's devices, with what this node knows and has not stored.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait as _, QueryResult};

use super::log::Known;
use crate::{
    library::{database::clock, endpoint::sql::statement, error::Error, handle::Library},
    unix_time,
    version::{Epoch, Head, UserId, Version},
};

/// The user's head and devices, in one row a device, or one without a device.
const DEVICES: &str = "
SELECT u.library_epoch, u.library_version, u.library_floor, {now} AS now_millis, d.device_id, d.name, d.given_name,
  d.platform, d.client, d.seen_at, d.applied_epoch, d.applied_version, d.applied_at, d.pending, d.pending_oldest_at,
  d.pending_error, d.pending_at, d.pending_since, d.clock_ahead, d.refused_at, d.issued_at, d.endpoint_gone_at, u.signed_out_at
FROM topaz_user u LEFT JOIN topaz_device d ON d.user_id = u.subject WHERE u.subject = $1";

/// The streams of the user's devices on other running nodes.
const STREAMS: &str = "
SELECT s.device_id, s.transport, s.opened_at, n.name AS node
FROM topaz_stream s JOIN topaz_node n ON n.id = s.node_id
WHERE s.user_id = $1 AND s.node_id <> $2 AND n.live_until > {now} ORDER BY s.opened_at, s.number";

/// When versions of the user were made.
const MADE: &str = "
SELECT version, written_at FROM topaz_write WHERE user_id = $1 AND epoch = $2 AND version IN ({versions})";

/// What is known of a device. Times are in milliseconds since the Unix epoch, by the database's clock.
#[derive(Debug, Clone, Default)]
pub(super) struct DeviceRow {
    pub id: String,
    pub name: Option<String>,
    pub given_name: Option<String>,
    pub platform: Option<String>,
    pub client: Option<String>,
    pub seen_at: i64,
    pub applied: Option<Head>,
    pub applied_at: i64,
    pub pending: u32,
    pub pending_oldest_at: Option<i64>,
    pub pending_error: Option<String>,
    pub pending_at: i64,
    pub pending_since: i64,
    pub clock_ahead: i64,
    pub refused_at: i64,
    pub issued_at: Option<i64>,
    pub endpoint_gone_at: i64,
    pub streams: Vec<StreamRow>,
}

/// An open stream of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StreamRow {
    pub transport: String,
    pub node: String,
    pub opened_at: i64,
}

/// The devices of a user, and what they are compared with.
#[derive(Debug)]
pub(super) struct DeviceRows {
    pub now: i64,
    pub head: Option<Head>,
    pub floor: Version,
    /// When the user signed out everywhere; 0 means never.
    pub signed_out_at: i64,
    pub devices: Vec<DeviceRow>,
}

impl Library {
    /// Reads the user's devices: the stored ones, updated by what this node knows.
    pub(super) async fn device_rows(&self, user: &UserId) -> Result<DeviceRows, Error> {
        let backend = self.db.backend();
        let reader = self.db.fresh_reader(user).await?;
        let of_user = user.as_str();
        let select = statement(backend, DEVICES, [of_user.into()]);
        let rows = self.db.in_time(reader.query_all_raw(select)).await?;
        let this_node = self.device_log.node();
        let select = statement(backend, STREAMS, [of_user.into(), this_node.into()]);
        let streams = self.db.in_time(reader.query_all_raw(select)).await?;
        drop(reader);

        let mut found = DeviceRows {
            now: 0,
            head: None,
            floor: Version::FIRST,
            signed_out_at: 0,
            devices: Vec::new(),
        };
        for row in &rows {
            found.now = row.try_get("", clock::NOW)?;
            found.head = Some(head(row, "library_epoch", "library_version")?);
            found.floor = Version::new(row.try_get("", "library_floor")?);
            found.signed_out_at = row.try_get("", "signed_out_at")?;
            if row.try_get::<Option<String>>("", "device_id")?.is_some() {
                found.devices.push(device(row)?);
            }
        }
        for row in &streams {
            let of: String = row.try_get("", "device_id")?;
            if let Some(device) = found.devices.iter_mut().find(|device| device.id == of) {
                device.streams.push(stream(row)?);
            }
        }
        let name = self.device_log.node_name();
        found.take_unsaved(self.device_log.of_user(user), &name);
        Ok(found)
    }

    /// Returns when the first version was made that each device has not applied, by device id.
    pub(super) async fn fell_behind_at(
        &self,
        user: &UserId,
        rows: &DeviceRows,
    ) -> Result<HashMap<String, i64>, Error> {
        let Some(head) = rows.head else {
            return Ok(HashMap::new());
        };
        let missed = |device: &DeviceRow| {
            let applied = device.applied?;
            (applied.epoch == head.epoch && applied.version < head.version)
                .then(|| applied.version.number() + 1)
        };
        let versions: Vec<_> = rows.devices.iter().filter_map(missed).collect();
        if versions.is_empty() {
            return Ok(HashMap::new());
        }
        let versions: Vec<_> = versions.iter().map(ToString::to_string).collect();
        let made_at = MADE.replace("{versions}", &versions.join(", "));
        let values = [user.as_str().into(), head.epoch.number().into()];
        let mut made = HashMap::new();
        for row in self.run_statement(&made_at, values).await? {
            let version: i32 = row.try_get("", "version")?;
            let written_at: i64 = row.try_get("", "written_at")?;
            made.insert(version, written_at);
        }
        let devices = rows.devices.iter();
        let fell_behind = devices.filter_map(|device| {
            let at = made.get(&missed(device)?)?;
            Some((device.id.clone(), *at))
        });
        Ok(fell_behind.collect())
    }
}

impl DeviceRows {
    fn take_unsaved(&mut self, known: HashMap<std::sync::Arc<str>, Known>, node: &str) {
        let now = self.now;
        for (id, known) in known {
            let place = self.devices.iter().position(|device| *device.id == *id);
            let place = place.unwrap_or_else(|| {
                if known.seen.is_some() {
                    self.devices.push(DeviceRow {
                        id: (*id).to_owned(),
                        ..DeviceRow::default()
                    });
                }
                self.devices.len().saturating_sub(1)
            });
            if let Some(device) = self.devices.get_mut(place)
                && *device.id == *id
            {
                device.update(&known, now, node);
            }
        }
        self.devices
            .sort_by(|a, b| b.seen_at.cmp(&a.seen_at).then_with(|| a.id.cmp(&b.id)));
    }
}

impl DeviceRow {
    /// Takes what this node knows, unless another node stored something newer.
    fn update(&mut self, known: &Known, now: i64, node: &str) {
        let at = |at: Option<std::time::Instant>| {
            at.map_or(0, |at| {
                now - i64::try_from(at.elapsed().as_millis()).unwrap_or(0)
            })
        };
        let report = &known.report;
        self.name = report.name.clone().or(self.name.take());
        self.platform = report.platform.clone().or(self.platform.take());
        self.client = report.client.clone().or(self.client.take());
        self.clock_ahead = report.clock_ahead.unwrap_or(self.clock_ahead);
        self.issued_at = report.issued_at.map(unix_time::millis).or(self.issued_at);
        if at(known.applied) > self.applied_at {
            (self.applied, self.applied_at) = (report.applied, at(known.applied));
        }
        if let Some(pending) = &report.pending
            && at(known.pending) > self.pending_at
        {
            if self.pending == 0 || self.pending_oldest_at != pending.oldest_at {
                self.pending_since = at(known.pending_since);
            }
            self.pending = pending.count;
            self.pending_oldest_at = pending.oldest_at;
            self.pending_error.clone_from(&pending.error);
            self.pending_at = at(known.pending);
        }
        self.seen_at = self.seen_at.max(at(known.seen));
        if self.refused_at < self.seen_at {
            self.refused_at = self.refused_at.max(at(known.refused));
        }
        self.streams
            .extend(known.streams.iter().map(|stream| StreamRow {
                transport: stream.transport.to_owned(),
                node: node.to_owned(),
                opened_at: at(Some(stream.opened)),
            }));
    }
}

fn device(row: &QueryResult) -> Result<DeviceRow, Error> {
    let applied: Option<i64> = row.try_get("", "applied_epoch")?;
    let applied = applied.map(|_| head(row, "applied_epoch", "applied_version"));
    let pending: i32 = row.try_get("", "pending")?;
    Ok(DeviceRow {
        id: row.try_get("", "device_id")?,
        name: row.try_get("", "name")?,
        given_name: row.try_get("", "given_name")?,
        platform: row.try_get("", "platform")?,
        client: row.try_get("", "client")?,
        seen_at: row.try_get("", "seen_at")?,
        applied: applied.transpose()?,
        applied_at: row.try_get("", "applied_at")?,
        pending: pending.unsigned_abs(),
        pending_oldest_at: row.try_get("", "pending_oldest_at")?,
        pending_error: row.try_get("", "pending_error")?,
        pending_at: row.try_get("", "pending_at")?,
        pending_since: row.try_get("", "pending_since")?,
        clock_ahead: row
            .try_get::<Option<i64>>("", "clock_ahead")?
            .unwrap_or_default(),
        refused_at: row.try_get("", "refused_at")?,
        issued_at: row.try_get("", "issued_at")?,
        endpoint_gone_at: row.try_get("", "endpoint_gone_at")?,
        streams: Vec::new(),
    })
}

fn stream(row: &QueryResult) -> Result<StreamRow, Error> {
    Ok(StreamRow {
        transport: row.try_get("", "transport")?,
        node: row.try_get("", "node")?,
        opened_at: row.try_get("", "opened_at")?,
    })
}

fn head(row: &QueryResult, epoch: &str, version: &str) -> Result<Head, Error> {
    Ok(Head {
        epoch: Epoch::new(row.try_get("", epoch)?),
        version: Version::new(row.try_get("", version)?),
    })
}
