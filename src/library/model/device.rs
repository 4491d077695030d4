//! Where a change came from, so that the device that made it may skip its own echo.

use serde::{Deserialize, Serialize};

use super::text;
use crate::library::error::Error;

/// The device that a change was made on, as it calls itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    id: String,
    name: Option<String>,
}

impl Device {
    /// The longest id or name, in characters.
    pub const MAX: usize = 100;

    /// Accepts a device.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless the id, and the name if any, are lines of 1 to [`Device::MAX`] characters.
    pub fn new(mut id: String, mut name: Option<String>) -> Result<Self, Error> {
        text::line("device.id", &mut id, Self::MAX)?;
        if let Some(name) = &mut name {
            text::line("device.name", name, Self::MAX)?;
        }
        Ok(Self { id, name })
    }

    /// Wraps a stored device.
    pub(in crate::library) fn stored(id: String, name: Option<String>) -> Self {
        Self { id, name }
    }

    /// What tells it from the user's other devices.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the user calls it.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}
