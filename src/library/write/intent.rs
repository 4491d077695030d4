//! The origin of a change.

use super::receipt::Once;
use crate::{library::model::device::Device, trace::OpenSpan, version::Head};

/// The origin of a change, and its idempotency key.
#[derive(Debug, Clone, Default)]
pub struct Intent {
    /// The sending device.
    pub device: Option<Device>,
    /// The idempotency key, with which a change is made at most once.
    pub once: Option<Once>,
    /// The span of the request, if it is traced.
    pub span: Option<OpenSpan>,
    /// The head of the sending device's copy, if it reports one.
    pub copy: Option<Head>,
}
