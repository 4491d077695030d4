//! [`Notice`], [`Signal`] and the trait [`Broker`].

use std::sync::Arc;

use futures_util::future::BoxFuture;

use time::OffsetDateTime;

use crate::{
    trace::TraceParent,
    version::{Head, UserId},
};

/// The carriers of notices, the values of the label `broker`: this process, the brokers, and a recheck that found a change
/// whose notice was lost.
pub const BROKERS: [&str; 6] = [
    "local",
    "postgres",
    "redis",
    "redis_cluster",
    "nats",
    "recheck",
];

/// A user's new head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The user.
    pub user: UserId,
    /// The new head.
    pub head: Head,
    /// Whether more of the user's row than the head has changed, so that nodes that watch the user must re-read it.
    pub is_recheck: bool,
    /// The commit, if the notice is of one. Only for measurements.
    pub commit: Option<Commit>,
}

/// When and in which trace a head was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// Time of the commit, by the database's clock.
    pub at: OffsetDateTime,
    /// The commit's position in the trace of its request, if that is traced.
    pub trace: Option<TraceParent>,
    /// What carried the notice to this node, of [`BROKERS`].
    pub broker: &'static str,
}

impl Notice {
    /// Creates the notice of a new head.
    pub fn new(user: UserId, head: Head) -> Self {
        Self {
            user,
            head,
            is_recheck: false,
            commit: None,
        }
    }
}

/// A signal of a broker to its listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A head changed, on this node or another.
    Notice(Notice),
    /// Notices may have been missed: re-read the heads of all watched users.
    Recheck,
    /// Subscriptions to these users are active now. Earlier notices may have been missed: re-read their heads.
    RecheckUsers(Vec<UserId>),
}

/// Receives signals. Runs in the task that publishes or receives, so it must not block.
pub type Listener = Arc<dyn Fn(Signal) + Send + Sync>;

/// Carries notices between nodes.
pub trait Broker: Send + Sync + 'static {
    /// Announces a head to all nodes, and to this node first and synchronously. Never blocks, fails or waits for a server.
    /// A notice that cannot be sent is lost, and a recheck compensates.
    fn publish(&self, notice: Notice);

    /// Sets the listener of this node, and starts the broker. Called once, before the first publish, within a Tokio runtime.
    fn listen(&self, listener: Listener);

    /// Subscribes to a user's notices from other nodes. Does not wait. Once the subscription is active, the listener gets a
    /// signal to re-read the user's head.
    ///
    /// Calls are counted: the user is watched while there are more calls of `watch` than of `unwatch`. So a concurrent
    /// `watch` and `unwatch` of one user have the same result in either order.
    fn watch(&self, user: &UserId);

    /// Reverts one [`Broker::watch`].
    fn unwatch(&self, user: &UserId);

    /// Sends the unsent notices within a time limit, and closes the connection. Nothing may be published afterwards.
    fn close(&self) -> BoxFuture<'_, ()>;
}
