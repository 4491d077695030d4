//! Finds the cause of a pool timeout: why the database does not serve.

use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

use super::{
    first_connection::{self, OpenError},
    pools::Database,
};
use crate::library::error::{Error, Unreachable};

/// How long a diagnosis is cached, for any number of failed requests.
const CACHED_FOR: Duration = Duration::from_secs(1);

/// Time limit of a diagnosis. Failed requests wait for it.
const PATIENCE: Duration = Duration::from_millis(500);

/// The last diagnosis and its time. Its lock admits one request at a time.
#[derive(Debug, Default)]
pub(super) struct Diagnosis(Mutex<Option<(Instant, Option<OpenError>)>>);

impl Database {
    /// Replaces a pool timeout by its cause, if the server refuses connections.
    pub(super) async fn explained(&self, error: Error) -> Error {
        if !error.is_pool_timeout() {
            return error;
        }
        let cause = self.why_unreachable().await;
        cause.map_or(error, |cause| {
            Error::unavailable(Unreachable(cause.to_string()))
        })
    }

    /// Returns why the database accepts no connections; `None` if it does.
    pub(in crate::library) async fn why_unreachable(&self) -> Option<OpenError> {
        let server = self.address.postgres()?;
        let mut last = self.diagnosis.0.lock().await;
        if let Some((at, found)) = &*last
            && at.elapsed() < CACHED_FOR
        {
            return found.clone();
        }
        let found = first_connection::why_unreachable(server, PATIENCE).await;
        *last = Some((Instant::now(), found.clone()));
        found
    }
}
