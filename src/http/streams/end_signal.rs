//! [`EndSignal`]: tells one stream that the server must end it.

use std::sync::OnceLock;

use tokio::sync::Notify;

use super::end_reason::EndReason;

/// Tells one stream that the server must end it. The first reason counts.
#[derive(Debug, Default)]
pub(super) struct EndSignal {
    reason: OnceLock<EndReason>,
    given: Notify,
}

impl EndSignal {
    /// Asks the stream to end.
    pub fn give(&self, reason: EndReason) {
        if self.reason.set(reason).is_ok() {
            self.given.notify_one();
        }
    }

    /// Waits until the stream is asked to end. At most one task may wait.
    pub async fn wait(&self) -> EndReason {
        loop {
            if let Some(reason) = self.reason.get() {
                return *reason;
            }
            self.given.notified().await;
        }
    }
}
