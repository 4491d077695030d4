//! Looks at the replica again and again, so that queries know whether it may answer.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::handle::Library;

/// How often replica and primary are looked at, at the most and at the least.
const LOOKS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl Library {
    /// Looks at the replica, if there is one, again and again until `ended`.
    pub async fn keep_watching_replica(&self, ended: CancellationToken) {
        let (least, most) = LOOKS;
        let period = (self.db.max_replica_lag / 4).clamp(least, most);
        while self.has_replica() && timeout(period, ended.cancelled()).await.is_err() {
            self.db.look_at_replica().await;
        }
    }
}
