//! The outcome of a write.

use crate::{library::error::Refusal, version::Head};

/// The outcome of a write that did not fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Written<T> {
    /// The head after the write: one version higher if something changed.
    pub head: Head,
    /// The value that the change returned, or its refusal.
    pub outcome: Result<T, Refusal>,
    /// Whether the change was made before, so that head and outcome are those of the original write.
    pub replayed: bool,
}

impl<T> Written<T> {
    /// The outcome of a write that was made now.
    pub(super) fn now(head: Head, outcome: Result<T, Refusal>) -> Self {
        Self {
            head,
            outcome,
            replayed: false,
        }
    }
}
