//! [`EndSignal`] and [`StreamEnd`]: when the server must end one stream.
//!
//! Each open stream has one of both, so they are small: one timer and one waker.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, task::AtomicWaker};
use tokio::time::{Instant, Sleep, sleep_until};

use super::end_reason::EndReason;

/// Tells one stream that the server must end it. The first reason counts.
#[derive(Debug, Default)]
pub(super) struct EndSignal {
    reason: OnceLock<EndReason>,
    waiting: AtomicWaker,
}

impl EndSignal {
    /// Asks the stream to end.
    pub fn give(&self, reason: EndReason) {
        if self.reason.set(reason).is_ok() {
            self.waiting.wake();
        }
    }
}

/// Waits until the server must end a stream. At most one task may wait for the same stream.
#[derive(Debug)]
pub struct StreamEnd {
    signal: Arc<EndSignal>,
    deadline: Pin<Box<Sleep>>,
    reason: EndReason,
}

impl StreamEnd {
    /// Waits for `signal`, but at most until the deadline, which has its own reason.
    pub(super) fn new(signal: &Arc<EndSignal>, (deadline, reason): (Instant, EndReason)) -> Self {
        Self {
            signal: Arc::clone(signal),
            deadline: Box::pin(sleep_until(deadline)),
            reason,
        }
    }
}

impl Future for StreamEnd {
    type Output = EndReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<EndReason> {
        // Registered first, so that no signal is given between the look and the registration.
        self.signal.waiting.register(cx.waker());
        if let Some(reason) = self.signal.reason.get() {
            return Poll::Ready(*reason);
        }
        let reason = self.reason;
        self.deadline.poll_unpin(cx).map(|()| reason)
    }
}
