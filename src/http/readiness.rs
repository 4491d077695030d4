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

/// Compares the tables until they are complete, and again when a write fails: `library-sync adopt --undo` drops them.
async fn fault_of(library: &Library) -> Fault {
    let db = library.database();
    let missing = async || {
        let missing = db.missing_schema().await.ok().flatten()?;
        Some(Cow::Owned(format!(
            "the database lacks the {missing}: run `library-sync migrate up`"
        )))
    };
    if !db.has_had_schema()
        && let Some(missing) = missing().await
    {
        return Some(missing);
    }
    if db.takes_writes().await.is_ok() {
        return None;
    }
    let silent = Cow::Borrowed("the database does not answer, or takes no writes");
    Some(missing().await.unwrap_or(silent))
}
