//! The slot of one watched user: the newest head, and the tasks to wake when it grows.
//!
//! **Invariant:** a slot's head only grows.
//! **Invariant:** a task that found no greater head is woken by the next one. Checking and registering are one step under
//! the lock.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

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
    /// Number of watches.
    watches: u32,
    /// Number of watches since the start. It is the number of the next watch.
    ever: u32,
    /// The watches that wait for a greater head.
    waiting: Vec<(u32, Waker)>,
}

impl Slot {
    /// Adds a watch, and returns its number.
    pub fn watch(&self) -> u32 {
        let mut state = self.0.lock();
        state.watches += 1;
        state.ever = state.ever.wrapping_add(1);
        state.ever
    }

    /// Removes a watch. Returns whether it was the last.
    pub fn unwatch(&self, number: u32) -> bool {
        let mut state = self.0.lock();
        state.watches -= 1;
        state.waiting.retain(|(waiting, _)| *waiting != number);
        state.watches == 0
    }

    /// Returns the newest head.
    pub fn raised(&self) -> Option<Raised> {
        self.0.lock().raised.clone()
    }

    /// Returns the newest head if it is greater than `than`. Otherwise wakes the task of `cx` when there is one.
    pub fn poll_greater(&self, number: u32, than: Head, cx: &Context<'_>) -> Poll<Raised> {
        let mut state = self.0.lock();
        if let Some(raised) = &state.raised
            && raised.head > than
        {
            return Poll::Ready(raised.clone());
        }
        let mut waiting = state.waiting.iter_mut();
        if let Some((_, waker)) = waiting.find(|(waiting, _)| *waiting == number) {
            waker.clone_from(cx.waker());
        } else {
            // Most users have one stream.
            state.waiting.reserve_exact(1);
            state.waiting.push((number, cx.waker().clone()));
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
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        for (_, waker) in waiting {
            waker.wake();
        }
    }
}
