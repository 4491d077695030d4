//! The origin of a change, so that a device can skip the echo of changes that it made.

use serde::{Deserialize, Serialize};

/// The device that made a change, as it identifies itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub(super) id: String,
    pub(super) name: Option<String>,
}

impl Device {
    /// Maximum length of id and name, in characters.
    pub const MAX: usize = 100;

    /// Wraps a stored device.
    pub(in crate::library) fn stored(id: String, name: Option<String>) -> Self {
        Self { id, name }
    }

    /// The older app, as the device of the changes that a follower copies.
    pub fn older_app() -> Self {
        Self {
            id: "older-app".to_owned(),
            name: Some("Older app".to_owned()),
        }
    }

    /// Identifies the device among the user's devices.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The display name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}
