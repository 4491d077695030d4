//! [`Target`]: the running server that the checks of the proxy examine.

use std::time::Duration;

use crate::commands::remote_server::RemoteServer;

/// A running server behind its public address.
pub(super) struct Target {
    pub server: RemoteServer,
    /// The period of its heartbeats.
    pub heartbeat: Duration,
}
