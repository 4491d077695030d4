//! Claims endpoints that are due, so that one node sends to each.
//!
//! **Invariant:** a claimed endpoint is claimed again only after its lease, so the claims of a dead node lapse.
//! **Invariant:** the number of a claim is unique for its endpoint. An outcome that arrives after the lease does not
//! affect the claim that followed.

use std::{fmt, time::Duration};

use sea_orm::{ConnectionTrait as _, QueryResult};
use time::OffsetDateTime;
use uuid::Uuid;

use super::sql::{list, millis, statement};
use crate::{
    library::{database::clock, error::Error, handle::Library, model::device::Device},
    version::{Epoch, Head, UserId, Version},
};

const CLAIM: &str = "
WITH due AS MATERIALIZED (
  SELECT id FROM topaz_push_endpoint
  WHERE due_at <= {now} AND claimed_until <= {now}
    AND (vendor IN ({list:$2}) OR ($5 AND vendor NOT IN ({list:$4})))
  ORDER BY due_at LIMIT $3 {skip_locked}
)
UPDATE topaz_push_endpoint SET claim = claim + 1, claimed_until = {now} + $1
WHERE id IN (SELECT id FROM due)
RETURNING id, claim, user_id, device_id, address, p256dh, auth, vendor, failures, failing_since, {now} AS now_millis";

/// Claims an endpoint for a test message, at most once in 10 s.
const TEST: &str = "
UPDATE topaz_push_endpoint SET tested_at = {now}
WHERE user_id = $1 AND device_id = $2 AND tested_at <= {now} - 10000
RETURNING id, claim, user_id, device_id, address, p256dh, auth, vendor, failures, failing_since, {now} AS now_millis";

const STATE: &str = "
SELECT e.known_epoch, e.known_version, e.live_until, e.expires_at, u.library_epoch, u.library_version, {now} AS now_millis
FROM topaz_push_endpoint e JOIN topaz_user u ON u.subject = e.user_id
WHERE e.id = $1 AND e.claim = $2";

/// Which endpoints a node claims, by their push service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimable {
    /// Those of these push services.
    pub services: Vec<&'static str>,
    /// And those of all push services other than these. `None` for none.
    pub other_than: Option<Vec<String>>,
    /// Maximum number of endpoints.
    pub most: usize,
}

/// A claimed endpoint. `Debug` does not show its address and its keys.
#[derive(Clone)]
pub struct Claimed {
    /// Id of the endpoint.
    pub id: Uuid,
    /// Number of the claim.
    pub(super) claim: i64,
    /// Its user.
    pub user: UserId,
    /// Its device.
    pub device: Device,
    /// URL of the endpoint.
    pub address: String,
    /// Public key of the subscription, in base64url.
    pub p256dh: String,
    /// Authentication secret of the subscription, in base64url.
    pub auth: String,
    /// The push service: the name of its operator, or its host if the operator is unknown.
    pub service: String,
    /// Number of failures since the last success.
    pub failures: u32,
    /// How long all messages have failed.
    pub failing_for: Duration,
}

impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claimed")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What decides whether a claimed endpoint is sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceState {
    /// The newest head that the device reported, made or was sent.
    pub known: Head,
    /// The user's head.
    pub head: Head,
    /// Whether the device has an open stream on any node.
    pub is_live: bool,
    /// Whether the browser has ended the subscription.
    pub is_expired: bool,
}

impl Library {
    /// Claims due endpoints for the duration of a `lease`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim_endpoints(
        &self,
        claimable: &Claimable,
        lease: Duration,
    ) -> Result<Vec<Claimed>, Error> {
        let other_than = claimable.other_than.as_deref().unwrap_or_default();
        let values = [
            millis(lease),
            list(claimable.services.iter().copied()),
            i64::try_from(claimable.most).unwrap_or(i64::MAX).into(),
            list(other_than.iter().map(String::as_str)),
            claimable.other_than.is_some().into(),
        ];
        let rows = self.run_statement(CLAIM, values).await?;
        rows.iter().map(claimed).collect()
    }

    /// Returns the user's endpoint of a device for a test message. `None` if it was tested less than 10 s ago, or does
    /// not exist.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn endpoint_to_test(
        &self,
        user: &UserId,
        device: &str,
    ) -> Result<Option<Claimed>, Error> {
        let values = [user.as_str().into(), device.into()];
        let claim = statement(self.db.backend(), TEST, values);
        let db = self.db.clone();
        let row = self.write_apart(async move { Ok(db.write.query_one_raw(claim).await?) });
        row.await?.as_ref().map(claimed).transpose()
    }

    /// Reads the state of a claimed endpoint. `None` if the endpoint was removed or claimed again.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn device_state(&self, claimed: &Claimed) -> Result<Option<DeviceState>, Error> {
        let values = [claimed.id.into(), claimed.claim.into()];
        let select = statement(self.db.backend(), STATE, values);
        let row = self.db.in_time(self.db.write.query_one_raw(select)).await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let now = clock::of_row(&row)?;
        let head = Head {
            epoch: Epoch::new(row.try_get("", "library_epoch")?),
            version: Version::new(row.try_get("", "library_version")?),
        };
        let reported = self
            .devices
            .reported(&claimed.user, claimed.device.id())
            .filter(|reported| *reported <= head);
        let is_live_here = self.devices.is_live(&claimed.user, claimed.device.id());
        let live_until = time_of(&row, "live_until")?;
        let expires_at = time_of(&row, "expires_at")?;
        Ok(Some(DeviceState {
            known: known(&row)?.max(reported.unwrap_or(known(&row)?)),
            head,
            is_live: is_live_here || live_until.is_some_and(|until| until > now),
            is_expired: expires_at.is_some_and(|at| at <= now),
        }))
    }
}

fn claimed(row: &QueryResult) -> Result<Claimed, Error> {
    let user: String = row.try_get("", "user_id")?;
    let failures: i32 = row.try_get("", "failures")?;
    let now = clock::of_row(row)?;
    let failing_since = time_of(row, "failing_since")?;
    Ok(Claimed {
        id: row.try_get("", "id")?,
        claim: row.try_get("", "claim")?,
        user: UserId::new(&user).map_err(Error::fault)?,
        device: Device::stored(row.try_get("", "device_id")?, None),
        address: row.try_get("", "address")?,
        p256dh: row.try_get("", "p256dh")?,
        auth: row.try_get("", "auth")?,
        service: row.try_get("", "vendor")?,
        failures: failures.unsigned_abs(),
        failing_for: failing_since
            .and_then(|since| Duration::try_from(now - since).ok())
            .unwrap_or_default(),
    })
}

/// Returns the known head of a row.
pub(super) fn known(row: &QueryResult) -> Result<Head, Error> {
    Ok(Head {
        epoch: Epoch::new(row.try_get("", "known_epoch")?),
        version: Version::new(row.try_get("", "known_version")?),
    })
}

/// Returns the time of a nullable column.
pub(super) fn time_of(row: &QueryResult, column: &str) -> Result<Option<OffsetDateTime>, Error> {
    let millis: Option<i64> = row.try_get("", column)?;
    let time = |millis: i64| {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
            .map_err(Error::fault)
    };
    millis.map(time).transpose()
}
