//! Stores the reports and streams of devices in batches, renews this node's row, and deletes what is old.
//!
//! **Invariant:** an error of the database delays this and fails nothing else: what was taken is taken again.

use std::time::{Duration, Instant};

use sea_orm::Value;
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    log::{Known, Unsaved},
    report::DeviceReport,
};
use crate::{
    library::{
        consecutive_failures::ConsecutiveFailures,
        database::dialect::json_rows,
        endpoint::sql::{list, millis},
        error::Error,
        handle::Library,
    },
    unix_time,
    version::UserId,
};

/// Time between two looks for what is to be stored.
const ROUND: Duration = Duration::from_secs(1);

/// Interval at which a node renews its row, and how long the row counts.
const RENEWAL: Duration = Duration::from_secs(20);
const LEASE: Duration = Duration::from_mins(1);

/// Interval between deletions of what is old.
const PRUNING: Duration = Duration::from_hours(1);

/// Devices per statement.
const BATCH: usize = 500;

/// Stores reports. Those of users without a row wait, and those from before an erasure of the account are dropped. A
/// report of a refusal changes only a known device.
const REPORTS: &str = "
INSERT INTO topaz_device AS d (user_id, device_id, name, platform, client, created_at, seen_at, applied_epoch,
  applied_version, applied_at, pending, pending_oldest_at, pending_error, pending_at, pending_since, clock_ahead,
  refused_at, issued_at)
SELECT r.of_user, r.of_device, r.name, r.platform, r.client, {now}, coalesce({now} - r.seen, 0), r.epoch, r.version,
  coalesce({now} - r.applied, 0), coalesce(r.pending, 0), r.oldest, r.error, coalesce({now} - r.reported, 0),
  coalesce({now} - r.waiting, 0), r.ahead, coalesce({now} - r.refused, 0), r.issued
FROM {reports} JOIN topaz_user u ON u.subject = r.of_user
WHERE {now} - r.seen > u.library_erased OR EXISTS (
  SELECT 1 FROM topaz_device k WHERE k.user_id = r.of_user AND k.device_id = r.of_device)
ON CONFLICT (user_id, device_id) DO UPDATE SET
  name = coalesce(excluded.name, d.name),
  platform = coalesce(excluded.platform, d.platform),
  client = coalesce(excluded.client, d.client),
  seen_at = {greatest}(d.seen_at, excluded.seen_at),
  applied_epoch = CASE WHEN excluded.applied_at > d.applied_at THEN excluded.applied_epoch ELSE d.applied_epoch END,
  applied_version =
    CASE WHEN excluded.applied_at > d.applied_at THEN excluded.applied_version ELSE d.applied_version END,
  applied_at = {greatest}(d.applied_at, excluded.applied_at),
  pending = CASE WHEN excluded.pending_at > d.pending_at THEN excluded.pending ELSE d.pending END,
  pending_oldest_at =
    CASE WHEN excluded.pending_at > d.pending_at THEN excluded.pending_oldest_at ELSE d.pending_oldest_at END,
  pending_error = CASE WHEN excluded.pending_at > d.pending_at THEN excluded.pending_error ELSE d.pending_error END,
  pending_since = CASE WHEN excluded.pending_at <= d.pending_at THEN d.pending_since
    WHEN d.pending > 0 AND excluded.pending_oldest_at = d.pending_oldest_at THEN d.pending_since
    ELSE excluded.pending_since END,
  pending_at = {greatest}(d.pending_at, excluded.pending_at),
  clock_ahead = coalesce(excluded.clock_ahead, d.clock_ahead),
  refused_at = CASE WHEN d.refused_at >= {greatest}(d.seen_at, excluded.seen_at) THEN d.refused_at
    ELSE {greatest}(d.refused_at, excluded.refused_at) END,
  issued_at = coalesce(excluded.issued_at, d.issued_at)";

/// Deletes the devices beyond the limit that were not seen for the longest time.
const OVER_LIMIT: &str = "
DELETE FROM topaz_device WHERE (user_id, device_id) IN (
  SELECT user_id, device_id FROM (
    SELECT user_id, device_id, row_number() OVER (PARTITION BY user_id ORDER BY seen_at DESC, device_id) AS place
    FROM topaz_device WHERE user_id IN ({list:$1})
  ) AS ranked WHERE place > $2)";

/// Replaces the streams of devices on this node.
const OLD_STREAMS: &str = "
DELETE FROM topaz_stream WHERE node_id = $2 AND (user_id, device_id) IN (
  SELECT r.of_user, r.of_device FROM {reports})";

const NEW_STREAMS: &str = "
INSERT INTO topaz_stream (node_id, number, user_id, device_id, transport, opened_at)
SELECT $2, r.number, r.of_user, r.of_device, r.transport, {now} - r.opened
FROM {reports} JOIN topaz_device d ON d.user_id = r.of_user AND d.device_id = r.of_device WHERE true
ON CONFLICT (node_id, number) DO NOTHING";

const RENEW: &str = "UPDATE topaz_node SET live_until = {now} + $2 WHERE id = $1 RETURNING id";

const REGISTER: &str = "
INSERT INTO topaz_node (id, name, started_at, live_until) VALUES ($1, $3, {now} - $4, {now} + $2)
ON CONFLICT (id) DO UPDATE SET live_until = excluded.live_until";

const LEAVE: &str = "DELETE FROM topaz_node WHERE id = $1";

const ENDED_NODES: &str = "DELETE FROM topaz_node WHERE live_until < {now} - 60000";

const UNSEEN: &str = "
DELETE FROM topaz_device WHERE (user_id, device_id) IN (
  SELECT user_id, device_id FROM topaz_device WHERE seen_at < {now} - $1 LIMIT 1000)
RETURNING device_id";

/// The columns of a row of JSON array $1.
const COLUMNS: [(&str, &str); 20] = [
    ("of_user", "text"),
    ("of_device", "text"),
    ("name", "text"),
    ("platform", "text"),
    ("client", "text"),
    ("seen", "bigint"),
    ("epoch", "bigint"),
    ("version", "integer"),
    ("applied", "bigint"),
    ("pending", "integer"),
    ("oldest", "bigint"),
    ("error", "text"),
    ("reported", "bigint"),
    ("waiting", "bigint"),
    ("ahead", "bigint"),
    ("refused", "bigint"),
    ("issued", "bigint"),
    ("number", "bigint"),
    ("transport", "text"),
    ("opened", "bigint"),
];

/// This node, as other nodes see it.
#[derive(Debug)]
struct ThisNode {
    id: Uuid,
    name: String,
    started: Instant,
    renewed: Option<Instant>,
    pruned: Option<Instant>,
}

impl Library {
    /// Stores what devices report until `ended`, then stores the rest and removes this node's row.
    pub async fn keep_devices(&self, ended: CancellationToken) {
        let mut node = ThisNode {
            id: self.device_log.node(),
            name: self.device_log.node_name(),
            started: Instant::now(),
            renewed: None,
            pruned: None,
        };
        let mut failures = ConsecutiveFailures::default();
        loop {
            let is_last = timeout(ROUND, ended.cancelled()).await.is_ok();
            let done = self.device_round(&mut node, is_last).await;
            if let Some(error) = failures.first(&done) {
                tracing::warn!(
                    error.causes = error.causes(),
                    "reports of devices wait for the database"
                );
            }
            if is_last {
                return;
            }
        }
    }

    async fn device_round(&self, node: &mut ThisNode, is_last: bool) -> Result<(), Error> {
        if is_last {
            self.save_devices(self.device_log.take(true), None).await?;
            self.run_statement(LEAVE, [node.id.into()]).await?;
            return Ok(());
        }
        if node.renewed.is_none_or(|at| at.elapsed() >= RENEWAL) {
            self.renew_node(node).await?;
        }
        self.save_devices(self.device_log.take(false), Some(node.id))
            .await?;
        if node.pruned.is_none_or(|at| at.elapsed() >= PRUNING) {
            self.prune_devices().await?;
            node.pruned = Some(Instant::now());
        }
        Ok(())
    }

    async fn renew_node(&self, node: &mut ThisNode) -> Result<(), Error> {
        let renew = [node.id.into(), millis(LEASE)];
        if node.renewed.is_none() || self.run_statement(RENEW, renew.clone()).await?.is_empty() {
            let [id, lease] = renew;
            let age = millis(node.started.elapsed());
            let register = [id, lease, node.name.clone().into(), age];
            self.run_statement(REGISTER, register).await?;
            self.device_log.lose_streams();
            self.run_statement(ENDED_NODES, []).await?;
        }
        node.renewed = Some(Instant::now());
        Ok(())
    }

    /// Deletes devices that were not seen for long, and the rows of nodes that ended.
    async fn prune_devices(&self) -> Result<(), Error> {
        self.run_statement(ENDED_NODES, []).await?;
        let keep = millis(self.device_log.settings().keep_devices);
        while !self.run_statement(UNSEEN, [keep.clone()]).await?.is_empty() {}
        Ok(())
    }

    /// Stores what this node knows of a user's devices and has not stored, except their streams.
    pub(super) async fn save_devices_of(&self, user: &UserId) -> Result<(), Error> {
        self.save_devices(self.device_log.take_of(user), None).await
    }

    /// Stores what was taken. Streams are stored if this `node` has a row.
    async fn save_devices(&self, taken: Vec<Unsaved>, node: Option<Uuid>) -> Result<(), Error> {
        for (number, batch) in taken.chunks(BATCH).enumerate() {
            if let Err(error) = self.save_batch(batch, node).await {
                self.device_log.put_back(&taken[number * BATCH..]);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn save_batch(&self, batch: &[Unsaved], node: Option<Uuid>) -> Result<(), Error> {
        let rows: Vec<_> = batch.iter().map(report).collect();
        self.run_reports(REPORTS, &rows, []).await?;
        let first: Vec<_> = batch.iter().filter(|unsaved| unsaved.is_first).collect();
        if !first.is_empty() {
            let users = list(first.iter().map(|unsaved| unsaved.user.as_str()));
            let most = i64::try_from(self.device_log.settings().max_devices_per_user);
            let most = most.unwrap_or(i64::MAX).into();
            self.run_statement(OVER_LIMIT, [users, most]).await?;
        }
        let Some(node) = node else { return Ok(()) };
        let changed = || batch.iter().filter(|unsaved| unsaved.has_unsaved_streams);
        let devices: Vec<_> = changed().map(device).collect();
        if devices.is_empty() {
            return Ok(());
        }
        self.run_reports(OLD_STREAMS, &devices, [node.into()])
            .await?;
        let streams: Vec<_> = changed().flat_map(streams).collect();
        if !streams.is_empty() {
            self.run_reports(NEW_STREAMS, &streams, [node.into()])
                .await?;
        }
        Ok(())
    }

    async fn run_reports(
        &self,
        template: &str,
        rows: &[serde_json::Value],
        more: impl IntoIterator<Item = Value>,
    ) -> Result<(), Error> {
        let reports = json_rows(self.db.backend(), "r", &COLUMNS);
        let template = template.replace("{reports}", &reports);
        let values = [json!(rows).to_string().into()].into_iter().chain(more);
        self.run_statement(&template, values).await?;
        Ok(())
    }
}

fn device(unsaved: &Unsaved) -> serde_json::Value {
    json!({"of_user": unsaved.user.as_str(), "of_device": &*unsaved.device})
}

fn report(unsaved: &Unsaved) -> serde_json::Value {
    let Known {
        report,
        seen,
        applied,
        pending,
        pending_since,
        refused,
        streams: _,
    } = &unsaved.known;
    let DeviceReport {
        name,
        platform,
        client,
        applied: head,
        pending: waiting,
        clock_ahead,
        issued_at,
    } = report;
    let mut row = device(unsaved);
    row["name"] = json!(name);
    row["platform"] = json!(platform);
    row["client"] = json!(client);
    row["seen"] = age(*seen);
    row["epoch"] = json!(head.map(|head| head.epoch.number()));
    row["version"] = json!(head.map(|head| head.version.number()));
    row["applied"] = age(*applied);
    row["pending"] = json!(waiting.as_ref().map(|waiting| waiting.count));
    row["oldest"] = json!(waiting.as_ref().and_then(|waiting| waiting.oldest_at));
    row["error"] = json!(waiting.as_ref().and_then(|waiting| waiting.error.clone()));
    row["reported"] = age(*pending);
    row["waiting"] = age(*pending_since);
    row["ahead"] = json!(clock_ahead);
    row["refused"] = age(*refused);
    row["issued"] = json!(issued_at.map(unix_time::millis));
    row
}

fn streams(unsaved: &Unsaved) -> impl Iterator<Item = serde_json::Value> {
    let device = device(unsaved);
    unsaved.known.streams.iter().map(move |stream| {
        let mut row = device.clone();
        row["number"] = stream.number.into();
        row["transport"] = stream.transport.into();
        row["opened"] = age(Some(stream.opened));
        row
    })
}

/// The time since `at`, in milliseconds.
fn age(at: Option<Instant>) -> serde_json::Value {
    json!(at.map(|at| u64::try_from(at.elapsed().as_millis()).unwrap_or(0)))
}
