//! What a broker carries, and what every broker is: [`Notice`], [`Signal`] and the trait [`Broker`].

use std::sync::Arc;

use futures_util::future::BoxFuture;

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
    /// The notices of these users arrive from now on; those of a moment ago may have been missed: re-read their heads.
    RecheckUsers(Vec<UserId>),
}

/// Who is told. Called from the task that publishes or receives: it must not block.
pub type Listener = Arc<dyn Fn(Signal) + Send + Sync>;

/// Carries notices between nodes.
pub trait Broker: Send + Sync + 'static {
    /// Announces a head to every node, this one first and at once. Never blocks, never fails, never waits for a
    /// server: what cannot be sent is lost, and a recheck makes up for it.
    fn publish(&self, notice: Notice);

    /// Names who is told on this node, and starts. Called once, before the first publish, within a Tokio runtime.
    fn listen(&self, listener: Listener);

    /// Asks for a user's notices from other nodes. Returns at once; when they arrive, the listener is told to re-read
    /// the user.
    ///
    /// Calls are counted, so that a `watch` and an `unwatch` of one user that race each other come out the same in
    /// either order: the user is wanted as long as there were more of the first.
    fn watch(&self, user: &UserId);

    /// Takes one [`Broker::watch`] back.
    fn unwatch(&self, user: &UserId);

    /// Sends what is still unsent, within a bounded time, and closes the link. Publish nothing after it.
    fn close(&self) -> BoxFuture<'_, ()>;
}
