//! [`ViewedDevice`]: a device as its user and the operator see it, with its verdict.

use time::OffsetDateTime;

use super::{
    rows::{DeviceRow, DeviceRows, StreamRow},
    verdict::{Circumstances, Verdict},
};
use crate::{
    library::{error::Error, handle::Library, model::endpoint::Endpoint, read::head::find_head},
    unix_time::time_of,
    version::{Head, UserId},
};

/// A device of a user.
#[derive(Debug, Clone)]
pub struct ViewedDevice {
    /// Its id.
    pub id: String,
    /// The name that the user gave it, or else the one that it gives itself.
    pub name: Option<String>,
    /// Browser or app and operating system, in words.
    pub platform: Option<String>,
    /// Name and version of its client.
    pub client: Option<String>,
    /// Time of its last request; the current time while it has an open stream.
    pub last_seen_at: Option<OffsetDateTime>,
    /// The head that its screen reflects, as it reported last.
    pub applied: Option<Head>,
    /// Number of versions that it has not applied. `None` if that is not known, or its copy is of another epoch.
    pub behind: Option<i32>,
    /// The changes that wait in its outbox.
    pub pending: Option<PendingChanges>,
    /// Its open streams, oldest first.
    pub streams: Vec<ViewedStream>,
    /// Its push endpoint.
    pub endpoint: Option<Endpoint>,
    /// Why it is not up to date.
    pub verdict: Verdict,
    /// Time since which the verdict holds, if that is known.
    pub since: Option<OffsetDateTime>,
}

/// The changes that wait in the outbox of a device.
#[derive(Debug, Clone)]
pub struct PendingChanges {
    /// Their number.
    pub count: u32,
    /// Time of the oldest, by the device's clock.
    pub oldest_at: Option<OffsetDateTime>,
    /// The stable code of the error with which the oldest failed last.
    pub error: Option<String>,
}

/// An open stream of a device.
#[derive(Debug, Clone)]
pub struct ViewedStream {
    /// Its transport.
    pub transport: String,
    /// Name of the node that serves it.
    pub node: String,
    /// Time at which it was opened.
    pub opened_at: OffsetDateTime,
}

impl Library {
    /// Returns whether the user has a row.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn exists(&self, user: &UserId) -> Result<bool, Error> {
        let reader = self.db.fresh_reader(user).await?;
        let head = self.db.in_time(find_head(&reader, user)).await?;
        Ok(head.is_some())
    }

    /// Returns the user's devices, the last seen first, then those that only have a push endpoint.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn viewed_devices(&self, user: &UserId) -> Result<Vec<ViewedDevice>, Error> {
        let mut rows = self.device_rows(user).await?;
        let endpoints = self.endpoints(user).await?;
        for endpoint in &endpoints {
            let is_of = |device: &DeviceRow| device.id == endpoint.device_id;
            if !rows.devices.iter().any(is_of) {
                rows.devices.push(DeviceRow {
                    id: endpoint.device_id.clone(),
                    ..DeviceRow::default()
                });
            }
        }
        let fell_behind = self.fell_behind_at(user, &rows).await?;
        let devices = rows.devices.iter().map(|device| {
            let endpoint = endpoints
                .iter()
                .find(|endpoint| endpoint.device_id == device.id);
            let fell_behind = fell_behind.get(&device.id).copied().unwrap_or_default();
            self.viewed(&rows, device, endpoint, fell_behind)
        });
        Ok(devices.collect())
    }

    fn viewed(
        &self,
        rows: &DeviceRows,
        device: &DeviceRow,
        endpoint: Option<&Endpoint>,
        fell_behind_at: i64,
    ) -> ViewedDevice {
        let circumstances = self.circumstances(rows, device, endpoint.is_some(), fell_behind_at);
        let (verdict, since) = circumstances.judge();
        let seen_at = if device.streams.is_empty() {
            device.seen_at
        } else {
            rows.now
        };
        ViewedDevice {
            id: device.id.clone(),
            name: device.given_name.clone().or_else(|| device.name.clone()),
            platform: device.platform.clone(),
            client: device.client.clone(),
            last_seen_at: Some(seen_at).filter(|at| *at > 0).and_then(time_of),
            applied: device.applied,
            behind: behind(rows.head, device.applied),
            pending: (device.pending_at > 0).then(|| PendingChanges {
                count: device.pending,
                oldest_at: device.pending_oldest_at.and_then(time_of),
                error: device.pending_error.clone(),
            }),
            streams: device.streams.iter().map(stream).collect(),
            endpoint: endpoint.cloned(),
            verdict,
            since: since.and_then(time_of),
        }
    }

    fn circumstances(
        &self,
        rows: &DeviceRows,
        device: &DeviceRow,
        has_endpoint: bool,
        fell_behind_at: i64,
    ) -> Circumstances {
        let settings = &self.device_log.settings().verdicts;
        let least = settings.min_client.as_ref();
        Circumstances {
            now: rows.now,
            grace: i64::try_from(settings.device_grace.as_millis()).unwrap_or(i64::MAX),
            head: rows.head,
            floor: rows.floor,
            seen_at: device.seen_at,
            refused_at: device.refused_at,
            is_signed_out: device.issued_at.unwrap_or(device.seen_at) < rows.signed_out_at,
            applied: device.applied,
            applied_at: device.applied_at,
            fell_behind_at,
            stream_opened_at: device.streams.iter().map(|stream| stream.opened_at).min(),
            has_pending: device.pending > 0,
            pending_at: device.pending_at,
            pending_since: device.pending_since,
            clock_ahead: device.clock_ahead,
            is_client_too_old: least
                .zip(device.client.as_deref())
                .is_some_and(|(least, client)| least.is_newer_than(client)),
            endpoint_gone_at: if has_endpoint {
                0
            } else {
                device.endpoint_gone_at
            },
        }
    }
}

fn stream(stream: &StreamRow) -> ViewedStream {
    ViewedStream {
        transport: stream.transport.clone(),
        node: stream.node.clone(),
        opened_at: time_of(stream.opened_at).unwrap_or(OffsetDateTime::UNIX_EPOCH),
    }
}

fn behind(head: Option<Head>, applied: Option<Head>) -> Option<i32> {
    let (head, applied) = (head?, applied?);
    (head.epoch == applied.epoch).then(|| (head.version.number() - applied.version.number()).max(0))
}
