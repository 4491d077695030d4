//! The outcome of a write.

use crate::{library::error::Refusal, version::Head};

/// The outcome of a write that did not fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Written<T> {
    /// The head after the write: one version higher if something changed.
    pub head: Head,
    /// The value that the change returned, or its refusal.
    pub outcome: Result<T, Refusal>,
}
