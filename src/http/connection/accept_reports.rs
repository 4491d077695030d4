//! What the accept loop reports: metrics and rate-limited log lines about connections that it did not accept or serve.
//!
//! In the flow: beside the accept loop.
//!
//! **Invariant:** each connection is counted; the log has a limit, which a burst does not exceed.

use std::{io, net::IpAddr};

use metrics::counter;

use super::{connection_slots::NoSlot, rate_limited_log::RateLimitedLog};
use crate::http::client_address::client_address;

/// Rate-limited log lines about connections that were not accepted or not served.
#[derive(Debug, Default)]
pub(super) struct Reports {
    failures: RateLimitedLog,
    full: RateLimitedLog,
    crowded: RateLimitedLog,
}

impl Reports {
    /// Counts a failed accept, and logs it if that is due.
    pub fn failed(&mut self, error: &io::Error) {
        counter!("library_sync_accept_errors_total").increment(1);
        if let Some(failures) = self.failures.due() {
            tracing::error!(
                %error,
                accept.failures = failures,
                "no connection can be accepted; if files are what is missing, raise the limit of open files or lower \
                 --max-connections"
            );
        }
    }

    /// Counts a connection of `peer` without a slot, and logs it if that is due.
    pub fn refused(&mut self, refused: NoSlot, peer: IpAddr) {
        counter!("library_sync_connections_refused_total", "reason" => refused.reason())
            .increment(1);
        match refused {
            NoSlot::Total => {
                if let Some(refused) = self.full.due() {
                    tracing::warn!(
                        connections.refused = refused,
                        "all connections of --max-connections are in use by authenticated clients"
                    );
                }
            }
            NoSlot::Address => {
                if let Some(refused) = self.crowded.due() {
                    tracing::warn!(
                        client.address = %client_address(peer),
                        connections.refused = refused,
                        "an address uses its share of connections; if it is your proxy's, set --client-address-header \
                         or --max-connections-per-address"
                    );
                }
            }
        }
    }
}
