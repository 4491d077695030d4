//! Ends streams on every node: those of one device, and those of all devices of a user who signs out everywhere.
//!
//! In the flow: a mutation stores the time of the request and publishes a notice. Each node that watches the user re-reads
//! the user's head, with that time, and ends its streams.
//!
//! **Invariant:** the request is a row, not a message. If the notice is lost, the periodic read of heads finds the row, so
//! a stream outlives the request by one heartbeat at most.

use std::sync::Arc;

use super::stream_ender::StreamEnder;
use crate::{
    broker::Notice,
    library::{
        database::clock, entity::user, error::Error, handle::Library, model::device::Device,
    },
    version::UserId,
};

/// Tolerated difference between the clocks of this node and the database, in milliseconds. A stream that was opened this
/// long after the request may be ended too; its client opens another.
const SKEW: i64 = 5_000;

const END_DEVICE: &str = "
UPDATE topaz_device SET streams_ended_at = {now} WHERE user_id = $1 AND device_id = $2 RETURNING device_id";

const END_USER: &str = "UPDATE topaz_user SET streams_ended_at = {now} WHERE subject = $1";

const SIGN_OUT: &str =
    "UPDATE topaz_user SET signed_out_at = {now} WHERE subject = $1 RETURNING {now} AS now_millis";

const REMOVE_ENDPOINTS: &str = "DELETE FROM topaz_push_endpoint WHERE user_id = $1";

const ENDED: &str = "
SELECT device_id, streams_ended_at FROM topaz_device WHERE user_id = $1 AND streams_ended_at > 0";

impl Library {
    /// Sets what ends the streams of this node. Only the first call has an effect.
    pub fn end_streams_by(&self, ender: Arc<dyn StreamEnder>) {
        self.stream_ends.set(ender);
    }

    /// Ends the open streams of a device on every node. Returns whether the user has the device.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_streams(&self, user: &UserId, device: &Device) -> Result<bool, Error> {
        let (library, of, id) = (self.clone(), user.clone(), device.id().to_owned());
        let work = async move {
            // The device may be known to this node only.
            library.save_devices_of(&of).await?;
            let values = [of.as_str().into(), id.into()];
            let is_known = !library.run_statement(END_DEVICE, values).await?.is_empty();
            if is_known {
                library
                    .run_statement(END_USER, [of.as_str().into()])
                    .await?;
            }
            Ok(is_known)
        };
        let is_known = self.write_apart(Box::pin(work)).await?;
        if is_known {
            self.ask_to_recheck(user).await?;
        }
        Ok(is_known)
    }

    /// Refuses every credential of the user that was issued before now, and ends their streams, on every node. Removes
    /// their push endpoints if `removes_endpoints`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sign_out_everywhere(
        &self,
        user: &UserId,
        removes_endpoints: bool,
    ) -> Result<time::OffsetDateTime, Error> {
        let (library, of) = (self.clone(), user.clone());
        let work = async move {
            let row = library
                .run_statement(SIGN_OUT, [of.as_str().into()])
                .await?;
            let row = row.first().ok_or(Error::UnknownUser)?;
            let at = clock::of_row(row)?;
            if removes_endpoints {
                let remove = [of.as_str().into()];
                library.run_statement(REMOVE_ENDPOINTS, remove).await?;
            }
            Ok(at)
        };
        let at = self.write_apart(Box::pin(work)).await?;
        self.ask_to_recheck(user).await?;
        Ok(at)
    }

    /// Asks every node to re-read the user's row.
    pub(in crate::library) async fn ask_to_recheck(&self, user: &UserId) -> Result<(), Error> {
        let head = self.head(user).await?;
        self.broker.publish(Notice {
            is_recheck: true,
            ..Notice::new(user.clone(), head)
        });
        Ok(())
    }

    /// Ends the streams of this node that the rows of their users ask to end.
    pub(in crate::library) async fn end_streams_of(
        &self,
        rows: &[user::Model],
    ) -> Result<(), Error> {
        let Some(ender) = self.stream_ends.get() else {
            return Ok(());
        };
        for row in rows {
            let Ok(user) = UserId::new(&row.subject) else {
                continue;
            };
            if row.signed_out_at > 0 {
                ender.sign_out(&user, row.signed_out_at);
            }
            if row.streams_ended_at > 0 && ender.is_new(&user, row.streams_ended_at) {
                for ended in self
                    .run_statement(ENDED, [row.subject.as_str().into()])
                    .await?
                {
                    let device: String = ended.try_get("", "device_id")?;
                    let at: i64 = ended.try_get("", "streams_ended_at")?;
                    ender.end_device(&user, &device, at.saturating_add(SKEW));
                }
            }
        }
        Ok(())
    }
}
