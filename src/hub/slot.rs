//! The slot of one watched user: the newest head, and the tasks to wake when it grows.
//!
//! **Invariant:** a slot's head only grows.
//! **Invariant:** the cost of a watch does not depend on the number of watches. A user may have thousands of streams.
//! **Invariant:** a task that found no greater head is woken by the next one. Checking and registering are one step under
//! the lock.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use slab::Slab;

use super::passage::Passage;
use crate::{broker::Notice, version::Head};

/// The newest head of a watched user.
#[derive(Debug, Clone)]
pub struct Raised {
    /// The head.
    pub head: Head,
    /// How its change came here. `None` for a head that was read.
    pub passage: Option<Arc<Passage>>,
}

/// The newest head of one user. There is a slot for each watched user, so it is small.
#[derive(Default)]
pub(super) struct Slot(Mutex<State>);

#[derive(Default)]
struct State {
    raised: Option<Raised>,
    /// The task of each watch that waits for a greater head, by the key of the watch.
    waiting: Slab<Option<Waker>>,
}

impl Slot {
    /// Adds a watch, and returns its key.
    pub fn watch(&self) -> usize {
        let mut state = self.0.lock();
        if state.waiting.is_empty() {
            // Most users have one stream.
            state.waiting.reserve_exact(1);
        }
        state.waiting.insert(None)
    }

    /// Removes a watch. Returns whether it was the last.
    pub fn unwatch(&self, key: usize) -> bool {
        let mut state = self.0.lock();
        state.waiting.try_remove(key);
        state.waiting.is_empty()
    }

    /// Returns the newest head.
    pub fn raised(&self) -> Option<Raised> {
        self.0.lock().raised.clone()
    }

    /// Returns the newest head if it is greater than `than`. Otherwise wakes the task of `cx` when there is one.
    pub fn poll_greater(&self, key: usize, than: Head, cx: &Context<'_>) -> Poll<Raised> {
        let mut state = self.0.lock();
        if let Some(raised) = &state.raised
            && raised.head > than
        {
            return Poll::Ready(raised.clone());
        }
        match state.waiting.get_mut(key) {
            Some(Some(waker)) => waker.clone_from(cx.waker()),
            Some(waiting) => *waiting = Some(cx.waker().clone()),
            None => {}
        }
        Poll::Pending
    }

    /// Raises the head and wakes the waiting tasks. Ignores a head that is not greater.
    pub fn raise(&self, notice: &Notice) {
        let mut state = self.0.lock();
        if state.raised.as_ref().map(|raised| raised.head) >= Some(notice.head) {
            return;
        }
        let passage = notice.commit.map(|commit| Arc::new(Passage::new(commit)));
        state.raised = Some(Raised {
            head: notice.head,
            passage,
        });
        let waiting = state.waiting.iter_mut();
        let woken: Vec<_> = waiting.filter_map(|(_, waker)| waker.take()).collect();
        drop(state);
        for waker in woken {
            waker.wake();
        }
    }
}
