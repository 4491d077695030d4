//! `library-sync serve`.

use super::stop_signal::stop_on_signal;
use crate::{
    app::{self, App},
    config::Serve,
};

/// Serves until told to stop.
///
/// # Errors
/// When a setting is wrong, or what the node stands on cannot be opened.
pub async fn serve(serve: &Serve) -> anyhow::Result<()> {
    // Each connection is an open file; the system's default allows about a thousand.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    let stopping = stop_on_signal()?;
    let app = tokio::select! {
        app = App::build(serve, stopping.clone()) => app?,
        // It may wait long for another node's migration, and has begun nothing.
        () = stopping.cancelled() => return Ok(()),
    };
    let listener = app::listen(serve.http.listen)?;
    tracing::info!(server.address = %listener.local_addr()?, "serving");
    app.run(listener).await
}
