//! What a node has to tell the others and has not told yet.
//!
//! **Invariant:** one head a user, the greatest: ten thousand changes of one user that wait are one notice.
//! **Invariant:** a batch that is not marked as sent goes back, whatever interrupted its sending.

use std::collections::{HashMap, hash_map::Entry};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::notice::Notice;
use crate::version::{Head, UserId};

/// How many notices are sent at a time.
const BATCH: usize = 500;

/// The newest head of each user that is to be announced.
pub(super) struct Outbox {
    capacity: usize,
    unsent: Mutex<Unsent>,
    filled: Notify,
    emptied: Notify,
}

#[derive(Default)]
struct Unsent {
    heads: HashMap<UserId, Head>,
    /// How many are in the batch that is being sent.
    on_the_way: usize,
}

impl Outbox {
    /// An empty one that holds the notices of so many users.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            unsent: Mutex::default(),
            filled: Notify::new(),
            emptied: Notify::new(),
        }
    }

    /// Adds a notice; tells whether there was room.
    pub fn put(&self, notice: Notice) -> bool {
        let fits = self.unsent.lock().put(notice, self.capacity);
        self.filled.notify_one();
        fits
    }

    /// Waits until there is something to send. One task at a time takes and sends.
    pub async fn take(&self) -> Batch<'_> {
        loop {
            {
                let mut unsent = self.unsent.lock();
                let heads = unsent.heads.extract_if(|_, _| true).take(BATCH);
                let notices: Vec<_> = heads.map(|(user, head)| Notice { user, head }).collect();
                if !notices.is_empty() {
                    unsent.on_the_way = notices.len();
                    return Batch {
                        outbox: self,
                        notices,
                    };
                }
            }
            self.filled.notified().await;
        }
    }

    /// Waits until everything is sent.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            {
                let unsent = self.unsent.lock();
                if unsent.heads.is_empty() && unsent.on_the_way == 0 {
                    return;
                }
            }
            emptied.await;
        }
    }

    /// Takes out what is unsent of the users that `leaves` picks, to be sent elsewhere.
    pub fn remove(&self, leaves: impl Fn(&UserId) -> bool) -> Vec<Notice> {
        let mut unsent = self.unsent.lock();
        let gone = unsent.heads.extract_if(|user, _| leaves(user));
        gone.map(|(user, head)| Notice { user, head }).collect()
    }
}

impl Unsent {
    fn put(&mut self, Notice { user, head }: Notice, capacity: usize) -> bool {
        let full = self.heads.len() >= capacity;
        match self.heads.entry(user) {
            Entry::Occupied(mut entry) => {
                let newest = head.max(*entry.get());
                entry.insert(newest);
            }
            Entry::Vacant(_) if full => return false,
            Entry::Vacant(entry) => {
                entry.insert(head);
            }
        }
        true
    }
}

/// Notices that are being sent. Dropping it without [`Batch::sent`] puts them back.
pub(super) struct Batch<'a> {
    outbox: &'a Outbox,
    notices: Vec<Notice>,
}

impl Batch<'_> {
    /// What to send.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// The server has them all.
    pub fn sent(mut self) {
        self.notices.clear();
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let mut unsent = self.outbox.unsent.lock();
        unsent.on_the_way = 0;
        for notice in self.notices.drain(..) {
            // They had room before; a few over the capacity do not matter.
            unsent.put(notice, usize::MAX);
        }
        drop(unsent);
        self.outbox.emptied.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::version::{Epoch, Version};

    fn notice(user: &str, version: i32) -> Notice {
        Notice {
            user: UserId::new(user).unwrap(),
            head: Head {
                epoch: Epoch::new(1),
                version: Version::new(version),
            },
        }
    }

    #[tokio::test]
    async fn of_many_notices_of_one_user_the_greatest_is_left() {
        let outbox = Outbox::new(1);
        for version in [5, 10_000, 7] {
            assert!(outbox.put(notice("ann", version)));
        }
        assert_eq!(outbox.take().await.notices(), [notice("ann", 10_000)]);
    }

    #[tokio::test]
    async fn a_user_too_many_finds_no_room() {
        let outbox = Outbox::new(1);
        assert!(outbox.put(notice("ann", 2)));
        assert!(!outbox.put(notice("bob", 2)));
        assert!(outbox.put(notice("ann", 3)));
    }

    #[tokio::test]
    async fn a_batch_that_was_not_sent_goes_back_and_never_over_a_greater_head() {
        let outbox = Outbox::new(9);
        outbox.put(notice("ann", 2));
        let batch = outbox.take().await;
        outbox.put(notice("ann", 3));
        drop(batch);
        assert_eq!(outbox.take().await.notices(), [notice("ann", 3)]);
        assert_eq!(outbox.take().await.notices(), [notice("ann", 3)]);
        outbox.take().await.sent();
        assert!(outbox.take().now_or_never().is_none());
    }

    #[tokio::test]
    async fn it_is_empty_when_the_last_batch_was_sent() {
        let outbox = Outbox::new(9);
        outbox.emptied().await;
        outbox.put(notice("ann", 2));
        let batch = outbox.take().await;
        assert!(outbox.emptied().now_or_never().is_none());
        batch.sent();
        outbox.emptied().await;
    }

    #[tokio::test]
    async fn a_batch_is_bounded_and_leaves_the_rest() {
        let outbox = Outbox::new(usize::MAX);
        for n in 0..=BATCH {
            outbox.put(notice(&n.to_string(), 2));
        }
        let first = outbox.take().await;
        assert_eq!(first.notices().len(), BATCH);
        first.sent();
        assert_eq!(outbox.take().await.notices().len(), 1);
    }
}
