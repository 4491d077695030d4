//! The traits of a connection to a broker server, which
//! [`ConnectionSupervisor`](super::reconnect::ConnectionSupervisor) manages.
//!
//! **Invariant:** a failed link is never used again. All pending calls and subscriptions are repeated on the next link, so
//! recovery is the same as startup.

use std::{future::Future, sync::Arc};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

use super::{inbox::Inbox, notice::Notice};
use crate::version::UserId;

/// Why a link cannot be opened or has failed. For the log only.
pub(super) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Connects to a server.
pub(super) trait Route: Send + Sync + 'static {
    /// The connection.
    type Link: Link;

    /// Whether each user has a channel. If not, every notice arrives without subscriptions.
    const SELECTIVE: bool;

    /// Opens a link that delivers to `inbox`. The supervisor enforces a timeout.
    fn connect(&self, inbox: &Arc<Inbox>)
    -> impl Future<Output = Result<Self::Link, Fault>> + Send;
}

/// A connection to a server. The supervisor enforces a timeout on each call. Different methods may run concurrently, but
/// never two calls of one method, and never `subscribe` and `unsubscribe`.
pub(super) trait Link: Send + Sync {
    /// Sends notices. Returns when the server has accepted them.
    fn publish(&self, notices: &[Notice]) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Subscribes to users' notices. Returns when the subscriptions are active.
    fn subscribe(&self, users: &[UserId]) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Unsubscribes from users' notices.
    fn unsubscribe(&self, users: &[UserId]) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Checks that the server responds.
    fn probe(&self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Waits until the link fails.
    fn ended(&self) -> impl Future<Output = Fault> + Send;

    /// Closes the connection.
    fn close(self) -> impl Future<Output = ()> + Send
    where
        Self: Sized,
    {
        std::future::ready(())
    }
}

/// Returns the name of a user's channel. The user id is encoded, because it may contain special characters: dots, stars and
/// spaces in NATS, braces in Redis Cluster.
pub(super) fn channel(prefix: &str, separator: char, user: &UserId) -> String {
    let mut name = format!("{prefix}{separator}");
    BASE64_URL_SAFE_NO_PAD.encode_string(user.as_str(), &mut name);
    name
}
