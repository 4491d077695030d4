//! Between nodes: a committed change is announced to every node that watches its user.
//!
//! In the flow: `library` publishes after commit; the hub listens.
//!
//! **Invariant:** a [`Notice`] is a hint, not data. It may be lost, repeated, late or out of order; the hub keeps the
//! greatest head and the feed re-reads what it doubts. So a broker never fails and never slows a write.

mod memory;

use std::sync::Arc;

pub use memory::Memory;

use crate::version::{Head, UserId};

/// That a user's head moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whose.
    pub user: UserId,
    /// To where.
    pub head: Head,
}

/// What a broker tells its listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A head moved, here or on another node.
    Notice(Notice),
    /// Notices may have been missed: re-read the heads of all watched users.
    Recheck,
}

/// Who is told. Called from the task that publishes or receives: it must not block.
pub type Listener = Arc<dyn Fn(Signal) + Send + Sync>;

/// Carries notices between nodes.
pub trait Broker: Send + Sync + 'static {
    /// Announces a head to every node, this one first and at once. Never blocks, never fails: what cannot be sent is
    /// lost, and a recheck makes up for it.
    fn publish(&self, notice: Notice);

    /// Names who is told on this node. Called once, before the first publish.
    fn listen(&self, listener: Listener);
}
