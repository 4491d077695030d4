//! When the process is told to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled when the process is told to stop. A second signal stops it at once.
///
/// # Errors
/// When the system takes no handler.
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
            tracing::info!("stopping: finishing what is under way");
            stopping.cancel();
            stop().await;
            tracing::warn!("stopping at once");
            std::process::exit(1);
        }
    });
    Ok(stopping)
}
