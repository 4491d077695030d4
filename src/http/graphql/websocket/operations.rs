//! The operations that run on one socket.
//!
//! **Invariant (fair):** who was served goes to the back of the queue, so one that always has a result cannot keep
//! another from being served.
//! **Invariant:** nothing is asked of an operation before its last result was taken, so a slow socket makes its
//! subscriptions skip to the newest.

use std::{
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll},
};

use futures_util::StreamExt as _;

use super::message::Id;
use crate::http::graphql::operation::{Begun, Outcome};

/// The running operations, in the order in which they are to be served.
#[derive(Default)]
pub(super) struct Operations(VecDeque<(Id, Begun)>);

impl Operations {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether one of this id runs.
    pub fn contains(&self, id: &Id) -> bool {
        self.0.iter().any(|(running, _)| running == id)
    }

    /// Tells whether a subscription of this id runs.
    pub fn lasts(&self, id: &Id) -> bool {
        self.0
            .iter()
            .any(|(running, begun)| running == id && begun.lasts)
    }

    /// Begins an operation.
    pub fn begin(&mut self, id: Id, begun: Begun) {
        self.0.push_back((id, begun));
    }

    /// Forgets an operation, if it runs.
    pub fn end(&mut self, id: &Id) {
        self.0.retain(|(running, _)| running != id);
    }

    /// Forgets the subscriptions, which would never end by themselves.
    pub fn end_those_that_last(&mut self) {
        self.0.retain(|(_, begun)| !begun.lasts);
    }

    /// Waits for the next outcome of any; `None` says that the operation has ended, and is forgotten. Waits for ever
    /// while there are none.
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
    async fn of_several_busy_operations_each_is_served_in_turn() {
        let mut operations = Operations::default();
        for name in ["a", "b", "c"] {
            operations.begin(id(name), busy());
        }
        operations.begin(id("idle"), lasting(stream::pending().boxed()));
        let mut served = String::new();
        for _ in 0..9 {
            served.push_str(operations.next().await.0.as_str());
        }
        assert_eq!(served, "abcabcabc");
    }

    #[tokio::test]
    async fn an_operation_that_has_ended_is_forgotten() {
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
    async fn only_what_ends_by_itself_is_left_when_the_lasting_are_ended() {
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
        operations.end_those_that_last();
        assert_eq!(operations.next().await.0, id("m"));
        assert!(matches!(operations.next().await, (m, None) if m == id("m")));
        assert_eq!(operations.len(), 0);
    }
}
