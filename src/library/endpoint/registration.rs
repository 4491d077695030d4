//! Registers and removes endpoints.
//!
//! **Invariant:** an address belongs to one user, and a device has one endpoint.
//! **Invariant:** a user has at most [`Endpoint::MAX_PER_USER`] endpoints.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use sea_orm::{ConnectionTrait as _, DbBackend, QueryResult};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    claim::{known, time_of},
    sql::{millis, statement},
};
use crate::{
    library::{
        database::transaction::{Purpose, Transaction},
        error::{Error, Refusal, RefusalCode},
        handle::Library,
        model::endpoint::{Endpoint, NewEndpoint, Pace},
        read::head::find_head,
    },
    unix_time,
    version::{Head, UserId},
};

/// Locks the user's row, so that concurrent registrations cannot exceed the limit.
const LOCK: &str = "SELECT 1 AS locked FROM topaz_user WHERE subject = $1";

/// Removes the address from other users, and the former endpoint of the device.
const DISPLACE: &str = "
DELETE FROM topaz_push_endpoint
WHERE (digest = $1 AND user_id <> $2) OR (digest <> $1 AND user_id = $2 AND device_id = $3)
RETURNING user_id, pace, known_epoch, known_version, sent_at, tested_at";

const COUNT: &str = "
SELECT count(*) AS others FROM topaz_push_endpoint WHERE user_id = $1 AND digest <> $2";

/// A registered device is in use, so it counts as live for a lease. An outcome of an earlier claim does not affect it.
const INSERT: &str = "
INSERT INTO topaz_push_endpoint AS e
  (id, user_id, device_id, digest, address, p256dh, auth, vendor, pace, created_at, expires_at, known_epoch,
   known_version, live_until, sent_at, tested_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, {now}, $10, $11, $12, {now} + $13, $16, $17)
ON CONFLICT (digest) DO UPDATE SET
  device_id = excluded.device_id, p256dh = excluded.p256dh, auth = excluded.auth,
  pace = CASE WHEN $14 THEN excluded.pace ELSE e.pace END,
  known_epoch = CASE WHEN $15 AND (e.known_epoch, e.known_version) < (excluded.known_epoch, excluded.known_version)
    THEN excluded.known_epoch ELSE e.known_epoch END,
  known_version = CASE WHEN $15 AND (e.known_epoch, e.known_version) < (excluded.known_epoch, excluded.known_version)
    THEN excluded.known_version ELSE e.known_version END,
  expires_at = excluded.expires_at, live_until = excluded.live_until, due_at = NULL, claimed_until = 0,
  claim = e.claim + 1, failures = 0, failing_since = NULL
RETURNING id, device_id, pace, created_at, expires_at, sent_at, failing_since";

const SELECT: &str = "
SELECT id, device_id, pace, created_at, expires_at, sent_at, failing_since
FROM topaz_push_endpoint WHERE user_id = $1 ORDER BY created_at, id";

/// An empty parameter stands for any.
const REMOVE: &str = "
DELETE FROM topaz_push_endpoint WHERE user_id = $1 AND ($2 = '' OR digest = $2) AND ($3 = '' OR device_id = $3)
RETURNING id";

impl Library {
    /// Registers an endpoint, or renews it. The device counts as live for the duration of a `lease`.
    ///
    /// # Errors
    /// [`Error::Refused`] when the user has too many, or when the database does not answer.
    pub async fn register_endpoint(
        &self,
        user: &UserId,
        new: NewEndpoint,
        lease: Duration,
    ) -> Result<Endpoint, Error> {
        // Creates the user at their first request.
        let head = self.head(user).await?;
        let (library, owner) = (self.clone(), user.clone());
        let work = async move {
            let _turn = library.db.admit_write_alone(&owner).await?;
            let tx = Transaction::begin(&library.db.write, Purpose::Write).await?;
            match register(&tx, &owner, head, new, lease).await {
                Ok(endpoint) => {
                    tx.commit().await?;
                    Ok(endpoint)
                }
                Err(error) => {
                    let _ = tx.roll_back().await;
                    Err(error)
                }
            }
        };
        let registered = self.write_apart(Box::pin(work)).await?;
        self.devices.registered(user);
        Ok(registered)
    }

    /// Removes the endpoint of an address, of a device, or of both. Returns whether there was one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unregister_endpoint(
        &self,
        user: &UserId,
        address: Option<&str>,
        device: Option<&str>,
    ) -> Result<bool, Error> {
        if address.is_none() && device.is_none() {
            return Ok(false);
        }
        let digest = address.map(digest_of).unwrap_or_default();
        let values = [
            user.as_str().into(),
            digest.into(),
            device.unwrap_or_default().into(),
        ];
        let remove = statement(self.db.backend(), REMOVE, values);
        let db = self.db.clone();
        let removed = async move { Ok(db.write.query_all_raw(remove).await?) };
        Ok(!self.write_apart(removed).await?.is_empty())
    }

    /// Returns the user's endpoints, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn endpoints(&self, user: &UserId) -> Result<Vec<Endpoint>, Error> {
        let reader = self.db.fresh_reader(user).await?;
        let select = statement(self.db.backend(), SELECT, [user.as_str().into()]);
        let rows = self.db.in_time(reader.query_all_raw(select)).await?;
        rows.iter().map(endpoint).collect()
    }
}

async fn register(
    tx: &Transaction,
    user: &UserId,
    head: Head,
    new: NewEndpoint,
    lease: Duration,
) -> Result<Endpoint, Error> {
    let backend = tx.get_database_backend();
    let lock = match backend {
        DbBackend::Sqlite => LOCK.to_owned(),
        _ => format!("{LOCK} FOR UPDATE"),
    };
    let of_user = user.as_str();
    tx.query_all_raw(statement(backend, &lock, [of_user.into()]))
        .await?;
    let head = find_head(tx, user).await?.unwrap_or(head);
    let digest = digest_of(&new.address);
    let former = displace(tx, of_user, &digest, new.device.id()).await?;
    if count_others(tx, of_user, &digest).await? >= Endpoint::MAX_PER_USER {
        return Err(too_many());
    }
    let chosen = new.pace.or(former.as_ref().map(|former| former.pace));
    let known = former.as_ref().map(|former| former.known);
    let known = known.max(new.applied).unwrap_or(head).min(head);
    let pace: &'static str = chosen.unwrap_or_default().into();
    let (sent_at, tested_at) = former.map_or((0, 0), |former| (former.sent_at, former.tested_at));
    let values = [
        Uuid::now_v7().into(),
        of_user.into(),
        new.device.id().into(),
        digest.into(),
        new.address.into(),
        new.p256dh.into(),
        new.auth.into(),
        new.service.into(),
        pace.into(),
        new.expires_at.map(unix_time::millis).into(),
        known.epoch.number().into(),
        known.version.number().into(),
        millis(lease),
        chosen.is_some().into(),
        new.applied.is_some().into(),
        sent_at.into(),
        tested_at.into(),
    ];
    let row = tx.query_one_raw(statement(backend, INSERT, values)).await?;
    endpoint(&row.ok_or_else(|| Error::fault("an insert without a row"))?)
}

/// What the former endpoint of a device leaves to its new one: a renewed subscription does not cause another message.
struct Former {
    pace: Pace,
    known: Head,
    sent_at: i64,
    tested_at: i64,
}

/// Removes the endpoints that the new one replaces. Returns what the device's former endpoint leaves.
async fn displace(
    tx: &Transaction,
    user: &str,
    digest: &str,
    device: &str,
) -> Result<Option<Former>, Error> {
    let values = [digest.into(), user.into(), device.into()];
    let displace = statement(tx.get_database_backend(), DISPLACE, values);
    let mut former = None;
    for row in tx.query_all_raw(displace).await? {
        if row.try_get::<String>("", "user_id")? == user {
            former = Some(Former {
                pace: pace(&row)?,
                known: known(&row)?,
                sent_at: row.try_get("", "sent_at")?,
                tested_at: row.try_get("", "tested_at")?,
            });
        }
    }
    Ok(former)
}

/// Returns the number of the user's endpoints of other addresses.
async fn count_others(tx: &Transaction, user: &str, digest: &str) -> Result<usize, Error> {
    let values = [user.into(), digest.into()];
    let count = statement(tx.get_database_backend(), COUNT, values);
    let row = tx.query_one_raw(count).await?;
    let row = row.ok_or_else(|| Error::fault("a count without a row"))?;
    let others: i64 = row.try_get("", "others")?;
    Ok(usize::try_from(others).unwrap_or(usize::MAX))
}

fn too_many() -> Error {
    let most = Endpoint::MAX_PER_USER;
    Error::Refused(Refusal::new(
        RefusalCode::LimitReached,
        "input",
        format!("a user may have at most {most} push endpoints: unregister one first"),
    ))
}

fn endpoint(row: &QueryResult) -> Result<Endpoint, Error> {
    let created_at = time_of(row, "created_at")?;
    let sent_at = time_of(row, "sent_at")?;
    Ok(Endpoint {
        id: row.try_get("", "id")?,
        device_id: row.try_get("", "device_id")?,
        pace: pace(row)?,
        created_at: created_at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        expires_at: time_of(row, "expires_at")?,
        sent_at: sent_at.filter(|at| *at > OffsetDateTime::UNIX_EPOCH),
        failing_since: time_of(row, "failing_since")?,
    })
}

fn pace(row: &QueryResult) -> Result<Pace, Error> {
    let name: String = row.try_get("", "pace")?;
    name.parse().map_err(Error::fault)
}

/// Returns the lookup key of an address.
pub(super) fn digest_of(address: &str) -> String {
    hex::encode(digest(&SHA256, address.as_bytes()))
}
