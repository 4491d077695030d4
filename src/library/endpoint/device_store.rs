//! Stores what [`DeviceActivity`](super::device_activity::DeviceActivity) recorded, in batches.

use std::time::Duration;

use sea_orm::{DbBackend, Value};
use serde_json::json;
use time::OffsetDateTime;

use super::{device_activity::DeviceKey, sql::millis};
use crate::{
    library::{
        database::{clock, dialect::json_rows},
        error::Error,
        handle::Library,
    },
    unix_time,
    version::UserId,
};

/// Devices per statement.
const BATCH: usize = 1_000;

/// Renews the lease of devices with an open stream.
const LIVE: &str = "
UPDATE topaz_push_endpoint AS e SET live_until = {now} + $2
FROM {devices} WHERE e.user_id = d.of_user AND e.device_id = d.of_device";

/// Ends that lease, and sends what the device missed after the settle time at the earliest.
const GONE: &str = "
UPDATE topaz_push_endpoint AS e SET live_until = 0,
  due_at = CASE WHEN due_at IS NULL OR failures > 0 THEN due_at
    ELSE {greatest}({now} + $2, e.sent_at + {interval}) END
FROM {devices} WHERE e.user_id = d.of_user AND e.device_id = d.of_device";

/// Raises the known head to the reported one. A row is written at most once a minute, unless a message is due that the
/// report makes unnecessary. A head that the user has not reached is ignored.
const REPORTED: &str = "
UPDATE topaz_push_endpoint AS e SET known_epoch = d.epoch, known_version = d.version, reported_at = {now},
  due_at = CASE WHEN (d.epoch, d.version) < {head} THEN due_at ELSE NULL END
FROM {devices} WHERE e.user_id = d.of_user AND e.device_id = d.of_device
  AND (e.known_epoch, e.known_version) < (d.epoch, d.version)
  AND NOT (d.epoch, d.version) > {head}
  AND (e.reported_at <= {now} - 60000 OR e.due_at IS NOT NULL)
RETURNING user_id, device_id, known_epoch, known_version";

/// The devices of the JSON array in parameter 1.
fn devices(backend: DbBackend) -> String {
    let columns = [
        ("of_user", "text"),
        ("of_device", "text"),
        ("epoch", "bigint"),
        ("version", "integer"),
    ];
    json_rows(backend, "d", &columns)
}

fn device((user, device): &DeviceKey) -> serde_json::Value {
    json!({"of_user": user.as_str(), "of_device": &**device})
}

impl Library {
    /// Stores which devices have an open stream on this node, for the duration of a `lease`. With `all`, renews the
    /// leases of all of them. Messages to devices whose streams ended are sent after the settle time at the earliest.
    ///
    /// # Errors
    /// When the database does not answer. The leases then lapse by themselves.
    pub async fn save_presence(
        &self,
        all: bool,
        lease: Duration,
        settle: Duration,
    ) -> Result<(), Error> {
        for (template, devices, duration) in [
            (GONE, self.devices.take_departed(), settle),
            (LIVE, self.devices.take_arrived(all), lease),
        ] {
            for batch in devices.chunks(BATCH) {
                let batch: Vec<_> = batch.iter().map(device).collect();
                let values = [json!(batch).to_string().into(), millis(duration)];
                self.write_devices(template, values).await?;
            }
        }
        Ok(())
    }

    /// Stores the heads that devices reported.
    ///
    /// # Errors
    /// When the database does not answer. The reports are then retried.
    pub async fn save_reports(&self) -> Result<(), Error> {
        let reports = self.devices.unsaved();
        for batch in reports.chunks(BATCH) {
            let batch = batch.iter().map(|(of, head)| {
                let mut report = device(of);
                report["epoch"] = head.epoch.number().into();
                report["version"] = head.version.number().into();
                report
            });
            let batch: Vec<_> = batch.collect();
            let values = [json!(batch).to_string().into()];
            for row in self.write_devices(REPORTED, values).await? {
                let user: String = row.try_get("", "user_id")?;
                let device: String = row.try_get("", "device_id")?;
                let user = UserId::new(&user).map_err(Error::fault)?;
                self.devices
                    .saved(&(user, device.into()), super::claim::known(&row)?);
            }
        }
        Ok(())
    }

    async fn write_devices(
        &self,
        template: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<sea_orm::QueryResult>, Error> {
        let template = template.replace("{devices}", &devices(self.db.backend()));
        self.run_statement(&template, values).await
    }

    /// Reads the users whose endpoints were registered after `since`, by the database's clock. Returns the time to pass
    /// at the next call.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn load_endpoint_users(
        &self,
        since: OffsetDateTime,
    ) -> Result<OffsetDateTime, Error> {
        const SELECT: &str = "
SELECT user_id, {now} AS now_millis FROM topaz_push_endpoint WHERE created_at >= $1
UNION SELECT NULL, {now}";
        let since_millis = unix_time::millis(since).into();
        let rows = self.run_statement(SELECT, [since_millis]).await?;
        let mut now = since;
        let mut users = Vec::with_capacity(rows.len());
        for row in rows {
            now = now.max(clock::of_row(&row)?);
            if let Some(user) = row.try_get::<Option<String>>("", "user_id")? {
                users.push(UserId::new(&user).map_err(Error::fault)?);
            }
        }
        self.devices.add_users(users);
        // A registration that has not committed yet has an earlier time.
        Ok(now - Duration::from_secs(30))
    }
}
