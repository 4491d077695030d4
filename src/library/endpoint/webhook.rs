//! The users that the receiver of the webhook has yet to be called for.
//!
//! **Invariant:** a user has at most one row, so a receiver that was unavailable gets one call per changed user.

use std::time::Duration;

use sea_orm::ConnectionTrait as _;

use super::{
    claim::known,
    sql::{list, millis, statement},
};
use crate::{
    library::{error::Error, handle::Library},
    version::{Epoch, Head, UserId, Version},
};

/// Users per statement.
const BATCH: usize = 1_000;

/// Gives all users a row when the webhook is switched on, so that only later changes are reported.
const BEGIN: &str = "
INSERT INTO topaz_webhook (user_id, known_epoch, known_version)
SELECT subject, library_epoch, library_version FROM topaz_user
WHERE NOT EXISTS (SELECT 1 FROM topaz_webhook) ON CONFLICT (user_id) DO NOTHING";

const MARK: &str = "
INSERT INTO topaz_webhook (user_id, known_epoch, known_version, due_at)
SELECT u.subject, u.library_epoch, 1, {now} FROM topaz_user u LEFT JOIN topaz_webhook w ON w.user_id = u.subject
WHERE ((w.user_id IS NULL AND u.library_version > 1) OR
  (w.due_at IS NULL AND (w.known_epoch, w.known_version) < (u.library_epoch, u.library_version)))";

const ON_CONFLICT: &str = "
ON CONFLICT (user_id) DO UPDATE SET due_at = coalesce(topaz_webhook.due_at, excluded.due_at)";

const CLAIM: &str = "
WITH due AS MATERIALIZED (
  SELECT user_id FROM topaz_webhook WHERE due_at <= {now} AND claimed_until <= {now}
  ORDER BY due_at LIMIT $2 {skip_locked}
)
UPDATE topaz_webhook SET claim = claim + 1, claimed_until = {now} + $1
WHERE user_id IN (SELECT user_id FROM due)
RETURNING user_id, claim, failures, known_epoch, known_version";

const HEADS: &str = "
SELECT subject, library_epoch, library_version FROM topaz_user WHERE subject IN ({list:$1})";

const CALLED: &str = "
UPDATE topaz_webhook AS e SET known_epoch = $3, known_version = $4, failures = 0, claimed_until = 0,
  due_at = CASE WHEN ($3, $4) < {head} THEN {now} ELSE NULL END
WHERE user_id = $1 AND claim = $2";

const FAILED: &str = "
UPDATE topaz_webhook SET failures = failures + 1, claimed_until = 0, due_at = {now} + $3
WHERE user_id = $1 AND claim = $2";

/// A user whose change is to be reported.
#[derive(Debug, Clone)]
pub struct WebhookCall {
    /// The user.
    pub user: UserId,
    /// Number of the claim.
    pub(super) claim: i64,
    /// The head that the receiver has accepted.
    pub known: Head,
    /// The user's head.
    pub head: Head,
    /// Number of failed calls since the last success.
    pub failures: u32,
}

impl Library {
    /// Begins to report changes: those of the past are not reported.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin_webhook(&self) -> Result<(), Error> {
        self.run_statement(BEGIN, []).await?;
        Ok(())
    }

    /// Makes users due whose heads have grown.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn mark_webhook_users(&self, users: &[UserId]) -> Result<(), Error> {
        for batch in users.chunks(BATCH) {
            let template = format!("{MARK} AND u.subject IN ({{list:$1}}) {ON_CONFLICT}");
            self.run_statement(&template, [list(batch.iter().map(UserId::as_str))])
                .await?;
        }
        Ok(())
    }

    /// Makes all users due whose notice was lost.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn mark_missed_webhook_users(&self) -> Result<(), Error> {
        self.run_statement(&format!("{MARK} {ON_CONFLICT}"), [])
            .await?;
        Ok(())
    }

    /// Claims at most `most` users for the duration of a `lease`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim_webhook_calls(
        &self,
        most: usize,
        lease: Duration,
    ) -> Result<Vec<WebhookCall>, Error> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self
            .run_statement(CLAIM, [millis(lease), most.into()])
            .await?;
        let mut calls = Vec::with_capacity(rows.len());
        for row in &rows {
            let user: String = row.try_get("", "user_id")?;
            let failures: i32 = row.try_get("", "failures")?;
            calls.push(WebhookCall {
                user: UserId::new(&user).map_err(Error::fault)?,
                claim: row.try_get("", "claim")?,
                known: known(row)?,
                head: known(row)?,
                failures: failures.unsigned_abs(),
            });
        }
        if calls.is_empty() {
            return Ok(calls);
        }
        let users = list(calls.iter().map(|call| call.user.as_str()));
        let select = statement(self.db.backend(), HEADS, [users]);
        for row in self.db.in_time(self.db.write.query_all_raw(select)).await? {
            let user: String = row.try_get("", "subject")?;
            if let Some(call) = calls.iter_mut().find(|call| call.user.as_str() == user) {
                call.head = Head {
                    epoch: Epoch::new(row.try_get("", "library_epoch")?),
                    version: Version::new(row.try_get("", "library_version")?),
                };
            }
        }
        Ok(calls)
    }

    /// Records that the receiver accepted the head.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn webhook_called(&self, call: &WebhookCall) -> Result<(), Error> {
        let values = [
            call.user.as_str().into(),
            call.claim.into(),
            call.head.epoch.number().into(),
            call.head.version.number().into(),
        ];
        self.run_statement(CALLED, values).await?;
        Ok(())
    }

    /// Records a failed call. It is repeated `after` a time.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn webhook_failed(&self, call: &WebhookCall, after: Duration) -> Result<(), Error> {
        let values = [call.user.as_str().into(), call.claim.into(), millis(after)];
        self.run_statement(FAILED, values).await?;
        Ok(())
    }
}
