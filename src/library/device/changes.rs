//! Renames and forgets devices, for their user.

use super::report::DeviceReport;
use crate::{
    library::{error::Error, handle::Library, model::device::Device},
    version::UserId,
};

const RENAME: &str = "
UPDATE topaz_device SET given_name = $3 WHERE user_id = $1 AND device_id = $2 RETURNING device_id";

const FORGET: &str =
    "DELETE FROM topaz_device WHERE user_id = $1 AND device_id = $2 RETURNING device_id";

impl Library {
    /// Records that a device made a change, with the name that it gives itself.
    pub fn note_device(&self, user: &UserId, device: &Device) {
        let report = DeviceReport {
            name: device.name().map(str::to_owned),
            ..DeviceReport::default()
        };
        self.device_log.report(user, device.id(), report);
    }

    /// Gives a device another name. Returns whether the user has the device.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rename_device(&self, user: &UserId, device: Device) -> Result<bool, Error> {
        let (library, user) = (self.clone(), user.clone());
        let work = async move {
            // The device may be known to this node only.
            library.save_devices_of(&user).await?;
            let values = [
                user.as_str().into(),
                device.id().into(),
                device.name().map(str::to_owned).into(),
            ];
            let renamed = library.run_statement(RENAME, values).await?;
            Ok(!renamed.is_empty())
        };
        self.write_apart(Box::pin(work)).await
    }

    /// Forgets a device and removes its push endpoint. Its history stays. Returns whether the user had the device.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_device(&self, user: &UserId, device: &Device) -> Result<bool, Error> {
        let had_endpoint = self
            .unregister_endpoint(user, None, Some(device.id()))
            .await?;
        let was_known = self.device_log.forget(user, device.id());
        let (library, values) = (
            self.clone(),
            [user.as_str().into(), device.id().to_owned().into()],
        );
        let forget = async move { library.run_statement(FORGET, values).await };
        let forgotten = self.write_apart(Box::pin(forget)).await?;
        Ok(had_endpoint || was_known || !forgotten.is_empty())
    }
}
