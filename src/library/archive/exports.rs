//! The exports that run on this node.
//!
//! **Invariant:** one export of a user runs at a time, and [`MOST_AT_ONCE`] on a node.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;

use crate::version::UserId;

/// Exports that run at once on a node. Each occupies a connection, and space for temporary files.
const MOST_AT_ONCE: usize = 2;

/// The users whose exports run on this node.
#[derive(Debug, Clone, Default)]
pub(in crate::library) struct Exports(Arc<Mutex<HashSet<UserId>>>);

/// The turn of one export, until it is dropped.
pub(super) struct Turn {
    all: Exports,
    pub user: UserId,
}

impl Exports {
    /// Begins an export of `user`. `None` if another one runs, or too many do.
    pub(super) fn begin(&self, user: &UserId) -> Option<Turn> {
        let mut running = self.0.lock();
        if running.len() >= MOST_AT_ONCE || !running.insert(user.clone()) {
            return None;
        }
        Some(Turn {
            all: self.clone(),
            user: user.clone(),
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.user);
    }
}
