//! `library-sync serve`.

use super::stop_signal::stop_on_signal;
use crate::{
    app::{self, App},
    config::Serve,
};

/// Runs the server until a signal stops it.
///
/// # Errors
/// When a setting is invalid, or the database or the address cannot be opened.
pub async fn serve(serve: &Serve) -> anyhow::Result<()> {
    // Each connection uses a file descriptor, and the default limit is about 1,000.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    let stopping = stop_on_signal()?;
    let app = tokio::select! {
        app = App::build(serve, stopping.clone()) => app?,
        // Startup may wait for another node's migration. Nothing is in progress yet.
        () = stopping.cancelled() => return Ok(()),
    };
    let listener = app::listen(serve.http.listen)?;
    tracing::info!(server.address = %listener.local_addr()?, "serving");
    app.run(listener).await
}
