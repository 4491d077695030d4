//! Why the database does not serve, when a pool knows only that it waited in vain.

use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

use super::{
    first_connection::{self, OpenError},
    pools::Database,
};
use crate::library::error::{Error, Unreachable};

/// How long an answer is taken for true, however many requests fail.
const EVERY: Duration = Duration::from_secs(1);

/// How long the server may take to answer: requests that have failed wait for it.
const PATIENCE: Duration = Duration::from_millis(500);

/// What was found last, and when. Asked for by one request at a time.
#[derive(Debug, Default)]
pub(super) struct Diagnosis(Mutex<Option<(Instant, Option<OpenError>)>>);

impl Database {
    /// Gives an error its cause: that of a pool that timed out is that the server refuses connections, if it does.
    pub(super) async fn explained(&self, error: Error) -> Error {
        if !error.is_pool_timeout() {
            return error;
        }
        let cause = self.why_unreachable().await;
        cause.map_or(error, |cause| {
            Error::unavailable(Unreachable(cause.to_string()))
        })
    }

    /// Why the database accepts no connections, unless it does.
    pub(in crate::library) async fn why_unreachable(&self) -> Option<OpenError> {
        let server = self.address.postgres()?;
        let mut last = self.diagnosis.0.lock().await;
        if let Some((at, found)) = &*last
            && at.elapsed() < EVERY
        {
            return found.clone();
        }
        let found = first_connection::why_unreachable(server, PATIENCE).await;
        *last = Some((Instant::now(), found.clone()));
        found
    }
}
