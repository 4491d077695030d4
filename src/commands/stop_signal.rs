//! SIGTERM and SIGINT.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns a token that the first SIGTERM or SIGINT cancels. A second signal exits immediately.
///
/// # Errors
/// When a signal handler cannot be installed.
pub fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let stopping = CancellationToken::new();
    tokio::spawn({
        let stopping = stopping.clone();
        async move {
            let mut stop =
                async || tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} };
            stop().await;
            tracing::info!("shutting down: finishing requests in progress");
            stopping.cancel();
            stop().await;
            tracing::warn!("second signal: exiting immediately");
            std::process::exit(1);
        }
    });
    Ok(stopping)
}
