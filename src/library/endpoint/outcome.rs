//! Records what became of a claimed endpoint.

use std::time::Duration;

use super::{claim::Claimed, sql::millis};
use crate::{
    library::{error::Error, handle::Library},
    version::Head,
};

/// Raises the known head. What changed meanwhile is due after the settle time and the pace.
const KNOWN: &str = "
UPDATE topaz_push_endpoint AS e SET
  known_epoch = CASE WHEN (e.known_epoch, e.known_version) < ($3, $4) THEN $3 ELSE e.known_epoch END,
  known_version = CASE WHEN (e.known_epoch, e.known_version) < ($3, $4) THEN $4 ELSE e.known_version END,
  {sent}
  claimed_until = CASE WHEN claim = $2 THEN 0 ELSE claimed_until END,
  due_at = CASE WHEN ($3, $4) < {head} AND pace <> 'off' THEN {greatest}({now} + $5, {last} + {interval}) ELSE NULL END
WHERE id = $1";

const FAILED: &str = "
UPDATE topaz_push_endpoint AS e SET failures = failures + 1, failing_since = coalesce(failing_since, {now}),
  claimed_until = 0, due_at = CASE WHEN due_at IS NULL THEN NULL ELSE {now} + $3 END
WHERE id = $1 AND claim = $2";

const POSTPONED: &str = "
UPDATE topaz_push_endpoint AS e SET claimed_until = 0,
  due_at = CASE WHEN due_at IS NULL THEN NULL ELSE {greatest}({now} + $3, live_until) END
WHERE id = $1 AND claim = $2";

const REMOVED: &str =
    "DELETE FROM topaz_push_endpoint WHERE id = $1 AND claim = $2 RETURNING user_id, device_id";

/// Remembers for the list of devices that the endpoint of a device is gone.
const GONE: &str =
    "UPDATE topaz_device SET endpoint_gone_at = {now} WHERE user_id = $1 AND device_id = $2";

impl Library {
    /// Records that the push service accepted `head`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn endpoint_sent(
        &self,
        claimed: &Claimed,
        head: Head,
        settle: Duration,
    ) -> Result<(), Error> {
        let sent = "sent_at = {now}, failures = 0, failing_since = NULL,";
        self.raise_known(claimed, head, settle, sent, "{now}").await
    }

    /// Records that the device has `head` without a message.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn endpoint_knows(
        &self,
        claimed: &Claimed,
        head: Head,
        settle: Duration,
    ) -> Result<(), Error> {
        self.raise_known(claimed, head, settle, "", "e.sent_at")
            .await
    }

    async fn raise_known(
        &self,
        claimed: &Claimed,
        head: Head,
        settle: Duration,
        sent: &str,
        last: &str,
    ) -> Result<(), Error> {
        let template = KNOWN.replace("{sent}", sent).replace("{last}", last);
        let values = [
            claimed.id.into(),
            claimed.claim.into(),
            head.epoch.number().into(),
            head.version.number().into(),
            millis(settle),
        ];
        self.run_statement(&template, values).await?;
        Ok(())
    }

    /// Records a failure. The message is sent again `after` a time.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn endpoint_failed(&self, claimed: &Claimed, after: Duration) -> Result<(), Error> {
        let values = [claimed.id.into(), claimed.claim.into(), millis(after)];
        self.run_statement(FAILED, values).await?;
        Ok(())
    }

    /// Returns a claim without a message. The endpoint is due again `after` a time, and not while its device has an open
    /// stream.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn postpone_endpoint(&self, claimed: &Claimed, after: Duration) -> Result<(), Error> {
        let values = [claimed.id.into(), claimed.claim.into(), millis(after)];
        self.run_statement(POSTPONED, values).await?;
        Ok(())
    }

    /// Removes an endpoint that no longer exists, unless it was registered or claimed again meanwhile.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove_endpoint(&self, claimed: &Claimed) -> Result<(), Error> {
        let values = [claimed.id.into(), claimed.claim.into()];
        for row in self.run_statement(REMOVED, values).await? {
            let user: String = row.try_get("", "user_id")?;
            let device: String = row.try_get("", "device_id")?;
            self.run_statement(GONE, [user.into(), device.into()])
                .await?;
        }
        Ok(())
    }
}
