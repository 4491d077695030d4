//! In this process: the newest head of each user that somebody here watches.
//!
//! In the flow: the broker delivers, feeds watch. The hub never touches the database.
//!
//! **Invariant:** one slot a watched user, whatever the number of watchers, and one integer pair a slot: a slow
//! watcher costs nothing, is never queued for, and always ends on the newest head.
//! **Invariant:** a slot's head only grows, whatever order notices arrive in.
//! **Invariant:** a slot lives exactly as long as somebody watches it.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::{
    broker::{Notice, Signal},
    version::{Head, UserId},
};

type Slot = watch::Sender<Option<Head>>;

/// The watched users of this node.
#[derive(Default)]
pub struct Hub {
    slots: Mutex<HashMap<UserId, Slot>>,
    recheck: Notify,
}

impl Hub {
    /// Takes what the broker tells.
    pub fn deliver(&self, signal: Signal) {
        match signal {
            Signal::Notice(notice) => self.raise(&notice),
            Signal::Recheck => self.recheck.notify_one(),
        }
    }

    /// Raises a watched user's head; a user nobody watches, or a head that is not greater, is nothing.
    fn raise(&self, notice: &Notice) {
        // Watchers are woken outside the lock, so that a busy user does not hold up the others.
        let slot = self.slots.lock().get(&notice.user).cloned();
        if let Some(slot) = slot {
            slot.send_if_modified(|head| {
                let greater = *head < Some(notice.head);
                if greater {
                    *head = Some(notice.head);
                }
                greater
            });
        }
    }

    /// Watches a user until the watch is dropped.
    pub fn watch(self: &Arc<Self>, user: &UserId) -> Watch {
        let mut slots = self.slots.lock();
        let slot = slots
            .entry(user.clone())
            .or_insert_with(|| watch::Sender::new(None));
        Watch {
            hub: Arc::clone(self),
            user: user.clone(),
            heads: Some(slot.subscribe()),
        }
    }

    /// Everybody who is watched, to re-read their heads.
    pub fn watched(&self) -> Vec<UserId> {
        self.slots.lock().keys().cloned().collect()
    }

    /// Waits until the broker asks for a recheck.
    pub async fn recheck_asked(&self) {
        self.recheck.notified().await;
    }
}

/// A watch on one user. Dropping it gives the slot up if it was the last.
pub struct Watch {
    hub: Arc<Hub>,
    user: UserId,
    /// `None` only while being dropped: the slot counts receivers, so ours must go before we look.
    heads: Option<watch::Receiver<Option<Head>>>,
}

impl Watch {
    /// Waits for a head greater than `than`, and returns the newest.
    pub async fn greater(&mut self, than: Head) -> Head {
        if let Some(heads) = &mut self.heads
            && let Ok(head) = heads.wait_for(|head| *head > Some(than)).await
            && let Some(head) = *head
        {
            return head;
        }
        // A slot outlives its watches, so this is not reached; and if it were, silence is the safe answer.
        std::future::pending().await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut slots = self.hub.slots.lock();
        self.heads = None;
        if slots
            .get(&self.user)
            .is_some_and(|slot| slot.receiver_count() == 0)
        {
            slots.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::version::{Epoch, Version};

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn head(version: i32) -> Head {
        Head {
            epoch: Epoch::new(1),
            version: Version::new(version),
        }
    }

    fn notice(name: &str, version: i32) -> Signal {
        Signal::Notice(Notice {
            user: user(name),
            head: head(version),
        })
    }

    #[tokio::test]
    async fn a_watcher_that_was_slow_gets_the_newest_head_alone() {
        let hub = Arc::new(Hub::default());
        let mut watch = hub.watch(&user("ann"));
        for version in [2, 5, 3, 4] {
            hub.deliver(notice("ann", version));
        }
        assert_eq!(watch.greater(head(1)).await, head(5));
        assert_eq!(watch.greater(head(5)).now_or_never(), None);
    }

    #[tokio::test]
    async fn a_notice_reaches_every_watch_of_its_user_and_no_other() {
        let hub = Arc::new(Hub::default());
        let (mut one, mut two) = (hub.watch(&user("ann")), hub.watch(&user("ann")));
        let mut other = hub.watch(&user("bob"));
        hub.deliver(notice("ann", 2));
        assert_eq!(one.greater(head(1)).await, head(2));
        assert_eq!(two.greater(head(1)).await, head(2));
        assert_eq!(other.greater(head(1)).now_or_never(), None);
    }

    #[test]
    fn a_slot_lives_as_long_as_its_last_watch() {
        let hub = Arc::new(Hub::default());
        let (one, two) = (hub.watch(&user("ann")), hub.watch(&user("ann")));
        drop(one);
        assert_eq!(hub.watched(), [user("ann")]);
        drop(two);
        assert!(hub.watched().is_empty());
    }
}
