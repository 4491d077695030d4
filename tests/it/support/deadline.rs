//! The deadline of waits.

use std::time::Duration;

/// The deadline of every wait.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Awaits `future` with a deadline. Panics after [`DEADLINE`].
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    let output = tokio::time::timeout(DEADLINE, future).await;
    output.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}
