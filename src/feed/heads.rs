//! [`Heads`]: the stream of one viewer's heads.
//!
//! A hand-written stream instead of an `async` block: thousands of them are idle at the same time, and this one is a
//! fraction of the size.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt as _, Stream, future::BoxFuture};

use crate::{
    hub::{Raised, Watch, passage::Delivery},
    library::Library,
    trace::TraceParent,
    version::Head,
};

/// The transport of a stream that only repeats other events, which is not measured.
pub const UNMEASURED: &str = "";

/// A head, as a stream yields it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedEvent {
    /// The head.
    pub head: Head,
    /// The position of its change in a trace, if that is traced.
    pub traceparent: Option<TraceParent>,
}

/// A viewer's current head, then each greater one. Heads coalesce: a slow reader skips to the newest.
///
/// Ends with the head that reports that the account was erased.
pub struct Heads {
    library: Library,
    watch: Watch,
    transport: &'static str,
    /// The head that was yielded last. Before the first, the head to yield.
    last: Head,
    /// The delivery of that head, if it is measured.
    delivery: Option<Delivery>,
    state: State,
}

enum State {
    /// No head was yielded.
    New,
    /// Waits for a greater head.
    Following,
    /// Reads whether an erasure of the account began the epoch of this head.
    Checking(Raised, BoxFuture<'static, bool>),
    /// The last head was yielded.
    Ended,
}

impl Heads {
    /// Yields `first`, then each greater head of `watch`.
    pub(super) fn new(
        library: Library,
        watch: Watch,
        first: Head,
        transport: &'static str,
    ) -> Self {
        Self {
            library,
            watch,
            transport,
            last: first,
            delivery: None,
            state: State::New,
        }
    }

    /// Returns the head that was yielded last, or will be yielded first.
    pub fn last(&self) -> Head {
        self.last
    }

    /// Returns an event for a greater head.
    fn yielded(&mut self, raised: Raised, state: State) -> FeedEvent {
        let passage = raised.passage.filter(|_| self.transport != UNMEASURED);
        let traceparent = passage.as_ref().and_then(|passage| passage.traceparent());
        self.delivery = passage.map(|passage| passage.deliver(self.transport));
        self.last = raised.head;
        self.state = state;
        FeedEvent {
            head: raised.head,
            traceparent,
        }
    }

    /// Returns whether an erasure of the account began the epoch of `head`. If that cannot be read, the stream goes on:
    /// the client learns it with its next delta.
    fn is_erased(&self, head: Head) -> BoxFuture<'static, bool> {
        let (library, user) = (self.library.clone(), self.watch.user().clone());
        async move {
            let erased = library.erased_epoch(&user).await;
            matches!(erased, Ok(epoch) if epoch == Some(head.epoch))
        }
        .boxed()
    }
}

impl Stream for Heads {
    type Item = FeedEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FeedEvent>> {
        let this = self.get_mut();
        // The connection asks for the next head, so it has taken the last one.
        if let Some(delivery) = this.delivery.take() {
            delivery.done();
        }
        loop {
            match &mut this.state {
                State::New => {
                    this.state = State::Following;
                    return Poll::Ready(Some(FeedEvent {
                        head: this.last,
                        traceparent: None,
                    }));
                }
                State::Following => {
                    let raised = ready!(this.watch.poll_greater(this.last, cx));
                    if raised.head.epoch == this.last.epoch {
                        return Poll::Ready(Some(this.yielded(raised, State::Following)));
                    }
                    let is_erased = this.is_erased(raised.head);
                    this.state = State::Checking(raised, is_erased);
                }
                State::Checking(raised, is_erased) => {
                    let state = if ready!(is_erased.poll_unpin(cx)) {
                        State::Ended
                    } else {
                        State::Following
                    };
                    let raised = raised.clone();
                    return Poll::Ready(Some(this.yielded(raised, state)));
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }
}
