//! What a kind of server must be able to do, so that a [`ConnectionSupervisor`](super::reconnect::ConnectionSupervisor) can use it.
//!
//! **Invariant:** a link that has failed once is never used again: whatever was under way, and every subscription, is
//! made anew on the next. So there is one way to recover, which is also the way to start.

use std::{future::Future, sync::Arc};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

use super::{inbox::Inbox, notice::Notice};
use crate::version::UserId;

/// Why there is no link, or no longer one. For the log alone.
pub(super) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// The way to a server.
pub(super) trait Route: Send + Sync + 'static {
    /// What it leads to.
    type Link: Link;

    /// Whether each user has a channel. If not, every notice arrives, and nobody is subscribed to.
    const SELECTIVE: bool;

    /// Makes a link, which delivers into `inbox`. The supervisor sees to it that this ends in time.
    fn connect(&self, inbox: &Arc<Inbox>)
    -> impl Future<Output = Result<Self::Link, Fault>> + Send;
}

/// A connection to a server. The supervisor sees to it that each call ends in time, and makes calls of different kinds
/// at once, but never two of one kind, and never a `subscribe` and an `unsubscribe`.
pub(super) trait Link: Send + Sync {
    /// Sends notices; returns when the server has them.
    fn publish(&self, notices: &[Notice]) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Asks for users' notices; returns when they arrive from now on.
    fn subscribe(&self, users: &[UserId]) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Asks for users' notices no longer.
    fn unsubscribe(&self, users: &[UserId]) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Asks the server whether it lives.
    fn probe(&self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Waits until the link is found dead.
    fn ended(&self) -> impl Future<Output = Fault> + Send;

    /// Takes leave of the server.
    fn close(self) -> impl Future<Output = ()> + Send
    where
        Self: Sized,
    {
        std::future::ready(())
    }
}

/// The name of a user's channel. The user is encoded, because ids may hold what servers give a meaning: dots, stars and
/// spaces in NATS, braces in Redis Cluster.
pub(super) fn channel(prefix: &str, separator: char, user: &UserId) -> String {
    let mut name = format!("{prefix}{separator}");
    BASE64_URL_SAFE_NO_PAD.encode_string(user.as_str(), &mut name);
    name
}
