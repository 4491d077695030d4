//! What came of a write.

use crate::{library::error::Refusal, version::Head};

/// What came of a write that did not fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Written<T> {
    /// The head after it: one version further if something changed, the present one otherwise.
    pub head: Head,
    /// What the change returned, or why the library does not allow it.
    pub outcome: Result<T, Refusal>,
}
