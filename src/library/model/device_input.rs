//! Validates the device of a request.

use super::{device::Device, text};
use crate::library::error::Error;

impl Device {
    /// Validates a device.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless the id and the optional name are single lines of 1 to [`Device::MAX`] characters.
    pub fn new(mut id: String, mut name: Option<String>) -> Result<Self, Error> {
        text::line("device.id", &mut id, Self::MAX)?;
        if let Some(name) = &mut name {
            text::line("device.name", name, Self::MAX)?;
        }
        Ok(Self { id, name })
    }
}
