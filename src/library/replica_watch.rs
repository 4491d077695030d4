//! Checks the replica periodically, so that queries know whether they may read it.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::handle::Library;

/// Minimum and maximum interval between checks of replica and primary.
const CHECK_INTERVALS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl Library {
    /// Checks the replica, if one is configured, periodically until `ended`.
    pub async fn keep_watching_replica(&self, ended: CancellationToken) {
        let (least, most) = CHECK_INTERVALS;
        let period = (self.db.max_replica_lag / 4).clamp(least, most);
        while self.has_replica() && timeout(period, ended.cancelled()).await.is_err() {
            self.db.look_at_replica().await;
        }
    }
}
