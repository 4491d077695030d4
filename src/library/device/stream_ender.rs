//! [`StreamEnder`]: what ends the streams of this node. `http` implements it, because the library knows no streams.

use std::sync::{Arc, OnceLock};

use crate::version::UserId;

/// Ends the streams of this node. Times are in milliseconds since the Unix epoch.
pub trait StreamEnder: Send + Sync {
    /// Ends the user's streams whose credential was issued before this time.
    fn sign_out(&self, user: &UserId, before: i64);

    /// Returns whether the user has streams here, and a request of this time is new to this node.
    fn is_new(&self, user: &UserId, ended_at: i64) -> bool;

    /// Ends the streams of a device that were opened before this time.
    fn end_device(&self, user: &UserId, device: &str, opened_before: i64);
}

/// The [`StreamEnder`] of this node. Cheap to clone.
#[derive(Clone, Default)]
pub(in crate::library) struct StreamEnds(Arc<OnceLock<Arc<dyn StreamEnder>>>);

impl StreamEnds {
    /// Sets the ender. Only the first call has an effect.
    pub(super) fn set(&self, ender: Arc<dyn StreamEnder>) {
        let _ = self.0.set(ender);
    }

    /// Returns the ender.
    pub(super) fn get(&self) -> Option<&dyn StreamEnder> {
        self.0.get().map(AsRef::as_ref)
    }
}
