//! Caches for one second whether the database answers and accepts writes.

use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

use crate::library::Library;

/// How long a result is cached.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// The last result and its time. The lock is held during a probe, so concurrent callers share one.
#[derive(Default)]
pub struct Readiness(Mutex<Option<(Instant, bool)>>);

impl Readiness {
    pub(super) async fn is_database_ready(&self, library: &Library) -> bool {
        let mut last = self.0.lock().await;
        if let Some((at, ready)) = *last
            && at.elapsed() < PROBE_INTERVAL
        {
            return ready;
        }
        let ready = library.database().takes_writes().await.is_ok();
        *last = Some((Instant::now(), ready));
        ready
    }
}
