//! The running operations of one socket.
//!
//! **Invariant:** polling is round-robin, so an operation that is always ready does not starve the others.
//! **Invariant:** an operation is polled only after its last result was sent, so on a slow socket subscriptions skip to
//! the newest result.

use std::{
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll},
};

use futures_util::StreamExt as _;

use super::message::Id;
use crate::http::graphql::operation::{Begun, Outcome};

/// The running operations, in the order in which they are polled.
#[derive(Default)]
pub(super) struct Operations(VecDeque<(Id, Begun)>);

impl Operations {
    /// Returns the number of operations.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether an operation with this id runs.
    pub fn contains(&self, id: &Id) -> bool {
        self.0.iter().any(|(running, _)| running == id)
    }

    /// Whether a subscription with this id runs.
    pub fn is_subscription(&self, id: &Id) -> bool {
        let mut running = self.0.iter();
        running.any(|(running, begun)| running == id && begun.lasts)
    }

    /// Adds an operation.
    pub fn begin(&mut self, id: Id, begun: Begun) {
        self.0.push_back((id, begun));
    }

    /// Drops an operation, if it runs.
    pub fn end(&mut self, id: &Id) {
        self.0.retain(|(running, _)| running != id);
    }

    /// Drops the subscriptions.
    pub fn end_subscriptions(&mut self) {
        self.0.retain(|(_, begun)| !begun.lasts);
    }

    /// Waits for the next outcome of any operation. `None` means that the operation has ended and was removed. Never
    /// returns while the set is empty, so select it against another event.
    pub async fn next(&mut self) -> (Id, Option<Outcome>) {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(Id, Option<Outcome>)> {
        for _ in 0..self.0.len() {
            let Some((id, mut begun)) = self.0.pop_front() else {
                break;
            };
            match begun.outcomes.poll_next_unpin(cx) {
                Poll::Ready(Some(outcome)) => {
                    self.0.push_back((id.clone(), begun));
                    return Poll::Ready((id, Some(outcome)));
                }
                Poll::Ready(None) => return Poll::Ready((id, None)),
                Poll::Pending => self.0.push_back((id, begun)),
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{
        FutureExt as _,
        stream::{self, BoxStream},
    };

    use super::*;

    fn id(text: &str) -> Id {
        Id::try_from(text.to_owned()).unwrap()
    }

    fn lasting(outcomes: BoxStream<'static, Outcome>) -> Begun {
        Begun {
            lasts: true,
            outcomes,
        }
    }

    fn busy() -> Begun {
        lasting(stream::repeat_with(|| Outcome::error("X", "x")).boxed())
    }

    #[tokio::test]
    async fn operations_that_are_always_ready_are_polled_in_turn() {
        let mut operations = Operations::default();
        for name in ["a", "b", "c"] {
            operations.begin(id(name), busy());
        }
        operations.begin(id("idle"), lasting(stream::pending().boxed()));
        let mut polled = String::new();
        for _ in 0..9 {
            polled.push_str(operations.next().await.0.as_str());
        }
        assert_eq!(polled, "abcabcabc");
    }

    #[tokio::test]
    async fn an_operation_that_has_ended_is_removed() {
        let mut operations = Operations::default();
        operations.begin(id("a"), lasting(stream::empty().boxed()));
        assert!(matches!(operations.next().await, (_, None)));
        assert_eq!(operations.len(), 0);
        operations.begin(id("a"), busy());
        operations.end(&id("b"));
        assert!(operations.contains(&id("a")));
        operations.end(&id("a"));
        assert!(operations.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn queries_and_mutations_remain_when_subscriptions_end() {
        let mut operations = Operations::default();
        operations.begin(id("s"), busy());
        let answer = stream::iter([Outcome::error("X", "x")]).boxed();
        operations.begin(
            id("m"),
            Begun {
                lasts: false,
                outcomes: answer,
            },
        );
        operations.end_subscriptions();
        assert_eq!(operations.next().await.0, id("m"));
        assert!(matches!(operations.next().await, (m, None) if m == id("m")));
        assert_eq!(operations.len(), 0);
    }
}
