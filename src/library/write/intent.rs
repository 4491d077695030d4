//! The origin of a change.

use super::receipt::Once;
use crate::{
    library::{model::device::Device, session::IssuedAt},
    trace::OpenSpan,
    version::Head,
};

/// The origin of a change, and its idempotency key.
#[derive(Debug, Clone, Default)]
pub struct Intent {
    /// When the sender's credential was issued.
    pub issued_at: IssuedAt,
    /// The sending device.
    pub device: Option<Device>,
    /// The idempotency key, with which a change is made at most once.
    pub once: Option<Once>,
    /// The span of the request, if it is traced.
    pub span: Option<OpenSpan>,
    /// The head of the sending device's copy, if it reports one.
    pub copy: Option<Head>,
    /// Whether the change may take long because it may change many rows. Short changes do not wait for its commit.
    pub is_long: bool,
}

impl Intent {
    /// Marks the change as one that may change many rows.
    #[must_use]
    pub fn of_many_rows(self) -> Self {
        Self {
            is_long: true,
            ..self
        }
    }
}
