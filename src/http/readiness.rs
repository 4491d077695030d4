//! Caches for one second whether the database answers, has the tables of this version, and accepts writes.

use std::{borrow::Cow, time::Duration};

use tokio::{sync::Mutex, time::Instant};

use crate::library::Library;

/// How long a result is cached.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Why a node is not ready. `None` if it is ready.
pub(super) type Fault = Option<Cow<'static, str>>;

/// The last result and its time. The lock is held during a probe, so concurrent callers share one.
#[derive(Default)]
pub struct Readiness(Mutex<Option<(Instant, Fault)>>);

impl Readiness {
    pub(super) async fn database_fault(&self, library: &Library) -> Fault {
        let mut last = self.0.lock().await;
        if let Some((at, fault)) = last.as_ref()
            && at.elapsed() < PROBE_INTERVAL
        {
            return fault.clone();
        }
        let fault = fault_of(library).await;
        *last = Some((Instant::now(), fault.clone()));
        fault
    }
}

/// Also compares the tables: `library-sync migrate down` and `adopt --undo` change them under a node.
async fn fault_of(library: &Library) -> Fault {
    let db = library.database();
    let takes_writes = db.takes_writes().await.is_ok();
    if let Some(missing) = db.missing_schema().await.ok().flatten() {
        return Some(Cow::Owned(format!(
            "the database lacks the {missing}: run `library-sync migrate up`"
        )));
    }
    (!takes_writes).then_some(Cow::Borrowed(
        "the database does not answer, or takes no writes",
    ))
}
