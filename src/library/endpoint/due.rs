//! Finds the endpoints whose user's head is greater than the head that they are known to have.

use std::time::Duration;

use super::sql::{list, millis};
use crate::library::{error::Error, handle::Library};

/// Users per statement.
const BATCH: usize = 1_000;

/// Makes endpoints due after the settle time, and not before their pace allows.
const MARK: &str = "
UPDATE topaz_push_endpoint AS e SET due_at = {greatest}({now} + $1, e.sent_at + {interval})
WHERE due_at IS NULL AND pace <> 'off' AND (e.known_epoch, e.known_version) < {head}";

/// The users of parameter 1 that have an endpoint.
const WITH_ENDPOINT: &str = "
SELECT DISTINCT user_id FROM topaz_push_endpoint WHERE user_id IN ({list:$1})";

impl Library {
    /// Makes the endpoints of users due whose heads have grown since the last call.
    ///
    /// # Errors
    /// When the database does not answer. The users are then retried.
    pub async fn mark_changed(&self, settle: Duration) -> Result<(), Error> {
        let changed = self.devices.take_changed();
        for (number, batch) in changed.chunks(BATCH).enumerate() {
            let users = list(batch.iter().map(crate::version::UserId::as_str));
            let template = format!("{MARK} AND user_id IN ({{list:$2}})");
            let marked = async {
                self.run_statement(&template, [millis(settle), users.clone()])
                    .await?;
                self.run_statement(WITH_ENDPOINT, [users]).await
            };
            match marked.await {
                Ok(rows) => {
                    let mut found = std::collections::HashSet::new();
                    for row in rows {
                        found.insert(row.try_get::<String>("", "user_id")?);
                    }
                    let without = batch.iter().filter(|user| !found.contains(user.as_str()));
                    self.devices.remove_users(without);
                }
                Err(error) => {
                    self.devices
                        .put_back_changed(changed[number * BATCH..].to_vec());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Makes all endpoints due whose notice was lost.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn mark_missed(&self, settle: Duration) -> Result<(), Error> {
        self.run_statement(MARK, [millis(settle)]).await?;
        Ok(())
    }
}
