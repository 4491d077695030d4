//! In this process: the newest head of each user that somebody here watches.
//!
//! In the flow: the broker delivers, feeds watch. The hub never touches the database: it tells the feed whose heads are
//! in doubt.
//!
//! **Invariant:** one slot a watched user, whatever the number of watchers, and one integer pair a slot: a slow
//! watcher costs nothing, is never queued for, and always ends on the newest head.
//! **Invariant:** a slot's head only grows, whatever order notices arrive in.
//! **Invariant:** a slot lives exactly as long as somebody watches it, and as long the broker is asked for the user.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    mem,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::{
    broker::{Broker, Memory, Notice, Signal},
    version::{Head, UserId},
};

type Slot = watch::Sender<Option<Head>>;

/// The watched users of this node.
pub struct Hub {
    broker: Arc<dyn Broker>,
    slots: Mutex<HashMap<UserId, Slot>>,
    doubt: Mutex<Doubt>,
    doubted: Notify,
}

/// Whose heads may have moved without notice.
enum Doubt {
    Of(HashSet<UserId>),
    OfAll,
}

impl Default for Doubt {
    fn default() -> Self {
        Self::Of(HashSet::new())
    }
}

impl Default for Hub {
    /// A hub that no other node tells anything.
    fn default() -> Self {
        Self::new(Arc::new(Memory::default()))
    }
}

impl Hub {
    fn new(broker: Arc<dyn Broker>) -> Self {
        Self {
            broker,
            slots: Mutex::default(),
            doubt: Mutex::default(),
            doubted: Notify::new(),
        }
    }

    /// A hub that listens to `broker`, which starts with that.
    pub fn listening(broker: Arc<dyn Broker>) -> Arc<Self> {
        let hub = Arc::new(Self::new(broker));
        // Weak, because the hub holds the broker and neither could ever go.
        let listening = Arc::downgrade(&hub);
        hub.broker.listen(Arc::new(move |signal| {
            if let Some(hub) = listening.upgrade() {
                hub.deliver(signal);
            }
        }));
        hub
    }

    /// Takes what the broker tells.
    pub fn deliver(&self, signal: Signal) {
        match signal {
            Signal::Notice(notice) => return self.raise(&notice),
            Signal::Recheck => *self.doubt.lock() = Doubt::OfAll,
            Signal::RecheckUsers(users) => {
                if let Doubt::Of(doubted) = &mut *self.doubt.lock() {
                    doubted.extend(users);
                }
            }
        }
        self.doubted.notify_one();
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
        let (heads, is_first) = match self.slots.lock().entry(user.clone()) {
            Entry::Occupied(slot) => (slot.get().subscribe(), false),
            Entry::Vacant(slot) => (slot.insert(watch::Sender::new(None)).subscribe(), true),
        };
        if is_first {
            self.broker.watch(user);
        }
        Watch {
            hub: Arc::clone(self),
            user: user.clone(),
            heads: Some(heads),
        }
    }

    /// The newest head of a watched user that was heard of here.
    pub fn head(&self, user: &UserId) -> Option<Head> {
        *self.slots.lock().get(user)?.borrow()
    }

    /// Everybody who is watched, to re-read their heads.
    pub fn watched(&self) -> Vec<UserId> {
        self.slots.lock().keys().cloned().collect()
    }

    /// Waits until heads are in doubt, and returns whose.
    pub async fn doubted(&self) -> Vec<UserId> {
        loop {
            match mem::take(&mut *self.doubt.lock()) {
                Doubt::Of(users) if users.is_empty() => {}
                Doubt::Of(users) => return users.into_iter().collect(),
                Doubt::OfAll => return self.watched(),
            }
            self.doubted.notified().await;
        }
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
        let was_last = {
            let mut slots = self.hub.slots.lock();
            self.heads = None;
            let is_last = slots
                .get(&self.user)
                .is_some_and(|slot| slot.receiver_count() == 0);
            is_last && slots.remove(&self.user).is_some()
        };
        if was_last {
            self.hub.broker.unwatch(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, future::BoxFuture};

    use super::*;
    use crate::{
        broker::Listener,
        version::{Epoch, Version},
    };

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

    #[tokio::test]
    async fn doubt_is_of_those_in_doubt_and_of_all_who_are_watched_after_a_loss() {
        let hub = Arc::new(Hub::default());
        let _watch = hub.watch(&user("ann"));
        assert_eq!(hub.doubted().now_or_never(), None);
        hub.deliver(Signal::RecheckUsers(vec![user("bob")]));
        hub.deliver(Signal::RecheckUsers(vec![user("bob")]));
        assert_eq!(hub.doubted().await, [user("bob")]);
        hub.deliver(Signal::Recheck);
        hub.deliver(Signal::RecheckUsers(vec![user("bob")]));
        assert_eq!(hub.doubted().await, [user("ann")]);
        assert_eq!(hub.doubted().now_or_never(), None);
    }

    /// Remembers whom it was asked for.
    #[derive(Default)]
    struct Asked(Mutex<Vec<String>>);

    impl Broker for Asked {
        fn publish(&self, _: Notice) {}
        fn listen(&self, _: Listener) {}
        fn watch(&self, user: &UserId) {
            self.0.lock().push(format!("+{user}"));
        }
        fn unwatch(&self, user: &UserId) {
            self.0.lock().push(format!("-{user}"));
        }
        fn close(&self) -> BoxFuture<'_, ()> {
            std::future::ready(()).boxed()
        }
    }

    #[test]
    fn the_broker_is_asked_for_a_user_once_however_many_watch() {
        let asked = Arc::new(Asked::default());
        let hub = Hub::listening(asked.clone());
        let (one, two) = (hub.watch(&user("ann")), hub.watch(&user("ann")));
        let other = hub.watch(&user("bob"));
        drop((one, other, two));
        assert_eq!(*asked.0.lock(), ["+ann", "+bob", "-bob", "-ann"]);
    }

    #[test]
    fn a_broker_that_is_left_alone_goes_with_its_hub() {
        let broker: Arc<dyn Broker> = Arc::new(Memory::default());
        let hub = Hub::listening(Arc::clone(&broker));
        let goes = Arc::downgrade(&hub);
        drop(hub);
        assert!(goes.upgrade().is_none());
        assert_eq!(Arc::strong_count(&broker), 1);
    }
}
