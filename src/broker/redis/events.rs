//! Push messages of a Redis connection: notices, its echo, and the end of subscriptions.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::broker::inbox::Inbox;

/// State of the push messages of a connection.
#[derive(Default)]
pub(super) struct Events {
    pub(super) ended: CancellationToken,
    /// Number of unsubscriptions that the server has not confirmed.
    pub(super) leaving: AtomicUsize,
    /// The channel of the echo, and the arrival of the echo.
    pub(super) echo: OnceLock<String>,
    pub(super) echoed: Notify,
}

impl Events {
    pub(super) fn take(&self, push: &PushInfo, inbox: &Inbox) {
        match push.kind {
            PushKind::Message | PushKind::SMessage => match push.data.as_slice() {
                [Value::BulkString(channel), ..] if self.is_echo(channel) => {
                    self.echoed.notify_one();
                }
                [_, Value::BulkString(notice), ..] => inbox.receive(notice),
                _ => {}
            },
            // A cluster ends subscriptions when their slot moves to another shard.
            PushKind::Unsubscribe | PushKind::SUnsubscribe if !self.has_left() => {
                self.ended.cancel();
            }
            PushKind::Disconnection => self.ended.cancel(),
            _ => {}
        }
    }

    fn is_echo(&self, channel: &[u8]) -> bool {
        self.echo
            .get()
            .is_some_and(|echo| echo.as_bytes() == channel)
    }

    /// Registers an unsubscription of this node, whose confirmation will arrive.
    pub(super) fn expect_unsubscription(&self) {
        self.leaving.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns whether a confirmation belongs to an unsubscription of this node.
    fn has_left(&self) -> bool {
        let one_less = |leaving: usize| leaving.checked_sub(1);
        self.leaving
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
    }
}
