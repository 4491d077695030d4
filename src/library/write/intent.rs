//! Who asks for a change.

use super::receipt::Once;
use crate::library::model::device::Device;

/// Who asks for a change, and how it is known when it is sent again.
#[derive(Debug, Clone, Default)]
pub struct Intent {
    /// The device that asks.
    pub device: Option<Device>,
    /// Makes the change once, however often it is sent.
    pub once: Option<Once>,
}
