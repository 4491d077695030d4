//! The user of a request, for what is logged of it.
//!
//! In the flow: the request log puts an empty one into each request, authentication fills it, and a fault is logged with
//! it.

use std::sync::{Arc, OnceLock};

use crate::version::UserId;

/// The user of a request, once that is known. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestUser(Arc<OnceLock<UserId>>);

impl RequestUser {
    /// Names the user. The first one stays: a request has one user.
    pub fn set(&self, user: &UserId) {
        let _ = self.0.set(user.clone());
    }

    /// The user; `None` until the request is authenticated.
    pub fn user(&self) -> Option<&UserId> {
        self.0.get()
    }
}
