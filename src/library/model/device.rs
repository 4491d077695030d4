//! Where a change came from, so that the device that made it may skip its own echo.

use serde::{Deserialize, Serialize};

/// The device that a change was made on, as it calls itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub(super) id: String,
    pub(super) name: Option<String>,
}

impl Device {
    /// The longest id or name, in characters.
    pub const MAX: usize = 100;

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
