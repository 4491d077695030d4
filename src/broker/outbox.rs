//! The outbox: notices that are not sent yet.
//!
//! **Invariant:** notices are coalesced to the greatest head of each user. 10,000 unsent changes of one user are one notice.
//! **Invariant:** a batch that is not marked as sent returns to the outbox.

use std::collections::{HashMap, hash_map::Entry};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::notice::{Commit, Notice};
use crate::version::{Head, UserId};

/// Maximum number of notices in a batch.
const BATCH: usize = 500;

/// The newest unsent head of each user.
pub(super) struct Outbox {
    capacity: usize,
    unsent: Mutex<Unsent>,
    filled: Notify,
    emptied: Notify,
}

/// The unsent notices of one user, as one.
struct UnsentHead {
    head: Head,
    is_recheck: bool,
    commit: Option<Commit>,
}

#[derive(Default)]
struct Unsent {
    heads: HashMap<UserId, UnsentHead>,
    /// Number of notices in the batch that is being sent.
    in_flight: usize,
}

impl Outbox {
    /// Creates an outbox for the notices of up to `capacity` users.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            unsent: Mutex::default(),
            filled: Notify::new(),
            emptied: Notify::new(),
        }
    }

    /// Adds a notice. Returns false if the outbox is full.
    pub fn put(&self, notice: Notice) -> bool {
        let fits = self.unsent.lock().put(notice, self.capacity);
        self.filled.notify_one();
        fits
    }

    /// Waits for notices, and returns a batch of them. Only one task may take batches.
    pub async fn take(&self) -> Batch<'_> {
        loop {
            {
                let mut unsent = self.unsent.lock();
                let heads = unsent.heads.extract_if(|_, _| true).take(BATCH);
                let notices: Vec<_> = heads.map(notice).collect();
                if !notices.is_empty() {
                    unsent.in_flight = notices.len();
                    return Batch {
                        outbox: self,
                        notices,
                    };
                }
            }
            self.filled.notified().await;
        }
    }

    /// Waits until all notices are sent.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            {
                let unsent = self.unsent.lock();
                if unsent.heads.is_empty() && unsent.in_flight == 0 {
                    return;
                }
            }
            emptied.await;
        }
    }

    /// Removes and returns the unsent notices of the users that `leaves` selects.
    pub fn remove(&self, leaves: impl Fn(&UserId) -> bool) -> Vec<Notice> {
        let mut unsent = self.unsent.lock();
        let gone = unsent.heads.extract_if(|user, _| leaves(user));
        gone.map(notice).collect()
    }
}

impl Unsent {
    fn put(&mut self, notice: Notice, capacity: usize) -> bool {
        let full = self.heads.len() >= capacity;
        match self.heads.entry(notice.user) {
            Entry::Occupied(mut entry) => {
                let unsent = entry.get_mut();
                if notice.head > unsent.head {
                    (unsent.head, unsent.commit) = (notice.head, notice.commit);
                }
                unsent.is_recheck |= notice.is_recheck;
            }
            Entry::Vacant(_) if full => return false,
            Entry::Vacant(entry) => {
                entry.insert(UnsentHead {
                    head: notice.head,
                    is_recheck: notice.is_recheck,
                    commit: notice.commit,
                });
            }
        }
        true
    }
}

fn notice((user, unsent): (UserId, UnsentHead)) -> Notice {
    Notice {
        user,
        head: unsent.head,
        is_recheck: unsent.is_recheck,
        commit: unsent.commit,
    }
}

/// Notices that are being sent. Dropping it without [`Batch::sent`] returns them to the outbox.
pub(super) struct Batch<'a> {
    outbox: &'a Outbox,
    notices: Vec<Notice>,
}

impl Batch<'_> {
    /// Returns the notices to send.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Marks all notices as sent.
    pub fn sent(mut self) {
        self.notices.clear();
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let mut unsent = self.outbox.unsent.lock();
        unsent.in_flight = 0;
        for notice in self.notices.drain(..) {
            // They were within the capacity before, so the excess is small.
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
        let head = Head {
            epoch: Epoch::new(1),
            version: Version::new(version),
        };
        Notice::new(UserId::new(user).unwrap(), head)
    }

    #[tokio::test]
    async fn notices_of_one_user_are_coalesced_to_the_greatest() {
        let outbox = Outbox::new(1);
        for version in [5, 10_000, 7] {
            assert!(outbox.put(notice("ann", version)));
        }
        assert_eq!(outbox.take().await.notices(), [notice("ann", 10_000)]);
    }

    #[tokio::test]
    async fn a_recheck_is_not_lost_by_coalescing() {
        let outbox = Outbox::new(1);
        let recheck = Notice {
            is_recheck: true,
            ..notice("ann", 5)
        };
        for notice in [notice("ann", 4), recheck.clone(), notice("ann", 5)] {
            assert!(outbox.put(notice));
        }
        assert_eq!(outbox.take().await.notices(), [recheck]);
    }

    #[tokio::test]
    async fn a_user_beyond_the_capacity_is_refused() {
        let outbox = Outbox::new(1);
        assert!(outbox.put(notice("ann", 2)));
        assert!(!outbox.put(notice("bob", 2)));
        assert!(outbox.put(notice("ann", 3)));
    }

    #[tokio::test]
    async fn an_unsent_batch_returns_without_replacing_a_greater_head() {
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
    async fn the_outbox_is_empty_once_the_last_batch_is_sent() {
        let outbox = Outbox::new(9);
        outbox.emptied().await;
        outbox.put(notice("ann", 2));
        let batch = outbox.take().await;
        assert!(outbox.emptied().now_or_never().is_none());
        batch.sent();
        outbox.emptied().await;
    }

    #[tokio::test]
    async fn a_batch_has_a_maximum_size() {
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
