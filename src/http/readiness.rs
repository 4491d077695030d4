//! Whether the database answers and takes writes, asked at most once a second.

use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

use crate::library::Library;

/// How long what was found about the database is taken for true, however many ask.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// What was found last about the database, and when. Asked for by one at a time.
#[derive(Default)]
pub struct Readiness(Mutex<Option<(Instant, bool)>>);

impl Readiness {
    pub(super) async fn is_database_ready(&self, library: &Library) -> bool {
        let mut last = self.0.lock().await;
        if let Some((at, ready)) = *last
            && at.elapsed() < PROBE_EVERY
        {
            return ready;
        }
        let ready = library.database().takes_writes().await.is_ok();
        *last = Some((Instant::now(), ready));
        ready
    }
}
