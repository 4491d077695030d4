//! The newest known head of each user that is watched on this node.
//!
//! In the flow: the broker delivers signals, feeds watch. The hub never touches the database: it reports to the feed
//! which heads may be stale.
//!
//! **Invariant:** each watched user has one slot with one head, for any number of watchers. Nothing is queued for a slow
//! watcher, and it always ends on the newest head.
//! **Invariant:** a slot's head only grows, in any order of notices.
//! **Invariant:** a slot exists, and the broker is subscribed to the user, exactly while the user has a watcher.

pub mod passage;
mod slot;

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    mem,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

pub use self::slot::Raised;
use self::slot::Slot;
use crate::{
    broker::{Broker, Memory, Notice, Signal},
    version::{Head, UserId},
};

/// The watched users of this node.
pub struct Hub {
    broker: Arc<dyn Broker>,
    slots: Mutex<HashMap<UserId, Arc<Slot>>>,
    stale: Mutex<Stale>,
    stale_added: Notify,
    observer: OnceLock<Observer>,
}

/// Receives the notices that reach this node. Runs in the task of the commit, so it must not block.
pub type Observer = Arc<dyn Fn(&Notice) + Send + Sync>;

/// The users whose heads may have moved without a notice.
enum Stale {
    Users(HashSet<UserId>),
    All,
}

impl Default for Stale {
    fn default() -> Self {
        Self::Users(HashSet::new())
    }
}

impl Default for Hub {
    /// Creates a hub on an in-process broker, without other nodes.
    fn default() -> Self {
        Self::new(Arc::new(Memory::default()))
    }
}

impl Hub {
    fn new(broker: Arc<dyn Broker>) -> Self {
        Self {
            broker,
            slots: Mutex::default(),
            stale: Mutex::default(),
            stale_added: Notify::new(),
            observer: OnceLock::new(),
        }
    }

    /// Creates a hub that listens to `broker`, which starts the broker.
    pub fn listening(broker: Arc<dyn Broker>) -> Arc<Self> {
        let hub = Arc::new(Self::new(broker));
        // Weak: the hub owns the broker, so a strong reference here would be a cycle.
        let listening = Arc::downgrade(&hub);
        hub.broker.listen(Arc::new(move |signal| {
            if let Some(hub) = listening.upgrade() {
                hub.deliver(signal);
            }
        }));
        hub
    }

    /// Handles a signal of the broker.
    pub fn deliver(&self, signal: Signal) {
        match signal {
            Signal::Notice(notice) => return self.raise(&notice),
            Signal::Recheck => *self.stale.lock() = Stale::All,
            Signal::RecheckUsers(users) => {
                if let Stale::Users(stale) = &mut *self.stale.lock() {
                    stale.extend(users);
                }
            }
        }
        self.stale_added.notify_one();
    }

    /// Reports all notices to `observer`, including those of users without a watcher. Only the first call has an effect.
    pub fn observe(&self, observer: Observer) {
        let _ = self.observer.set(observer);
    }

    /// Raises a watched user's head. Ignores users without a watcher and heads that are not greater. Reports the user as
    /// stale if the notice says so.
    fn raise(&self, notice: &Notice) {
        if let Some(observe) = self.observer.get() {
            observe(notice);
        }
        // Watchers are woken outside the lock, so that a busy user does not delay the others.
        let slot = self.slots.lock().get(&notice.user).cloned();
        if notice.is_recheck && slot.is_some() {
            self.deliver(Signal::RecheckUsers(vec![notice.user.clone()]));
        }
        if let Some(slot) = slot {
            slot.raise(notice);
        }
    }

    /// Watches a user until the returned [`Watch`] is dropped.
    pub fn watch(self: &Arc<Self>, user: &UserId) -> Watch {
        let mut slots = self.slots.lock();
        let (slot, is_first) = match slots.entry(user.clone()) {
            Entry::Occupied(slot) => (Arc::clone(slot.get()), false),
            Entry::Vacant(place) => (Arc::clone(place.insert(Arc::default())), true),
        };
        let key = slot.watch();
        drop(slots);
        if is_first {
            self.broker.watch(user);
        }
        Watch {
            hub: Arc::clone(self),
            user: user.clone(),
            slot,
            key,
        }
    }

    /// Returns the newest known head of a watched user.
    pub fn head(&self, user: &UserId) -> Option<Head> {
        self.raised(user).map(|raised| raised.head)
    }

    /// Returns the newest known head of a watched user, with the passage of its change.
    pub fn raised(&self, user: &UserId) -> Option<Raised> {
        self.slots.lock().get(user)?.raised()
    }

    /// Returns all watched users.
    pub fn watched(&self) -> Vec<UserId> {
        self.slots.lock().keys().cloned().collect()
    }

    /// Waits until heads may be stale, and returns their users.
    pub async fn stale(&self) -> Vec<UserId> {
        loop {
            match mem::take(&mut *self.stale.lock()) {
                Stale::Users(users) if users.is_empty() => {}
                Stale::Users(users) => return users.into_iter().collect(),
                Stale::All => return self.watched(),
            }
            self.stale_added.notified().await;
        }
    }
}

/// A watch on one user. Dropping the last one removes the user's slot.
pub struct Watch {
    hub: Arc<Hub>,
    user: UserId,
    slot: Arc<Slot>,
    key: usize,
}

impl Watch {
    /// Returns the watched user.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// Returns the newest head if it is greater than `than`. Otherwise wakes the task of `cx` when there is one.
    pub fn poll_greater(&self, than: Head, cx: &Context<'_>) -> Poll<Raised> {
        self.slot.poll_greater(self.key, than, cx)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let was_last = {
            let mut slots = self.hub.slots.lock();
            self.slot.unwatch(self.key) && slots.remove(&self.user).is_some()
        };
        if was_last {
            self.hub.broker.unwatch(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

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

    async fn greater(watch: &Watch, than: Head) -> Head {
        poll_fn(|cx| watch.poll_greater(than, cx)).await.head
    }

    fn notice(name: &str, version: i32) -> Signal {
        Signal::Notice(Notice::new(user(name), head(version)))
    }

    #[tokio::test]
    async fn a_slow_watcher_gets_only_the_newest_head() {
        let hub = Arc::new(Hub::default());
        let watch = hub.watch(&user("ann"));
        for version in [2, 5, 3, 4] {
            hub.deliver(notice("ann", version));
        }
        assert_eq!(greater(&watch, head(1)).await, head(5));
        assert!(greater(&watch, head(5)).now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_notice_reaches_every_watch_of_its_user_only() {
        let hub = Arc::new(Hub::default());
        let (one, two) = (hub.watch(&user("ann")), hub.watch(&user("ann")));
        let other = hub.watch(&user("bob"));
        hub.deliver(notice("ann", 2));
        assert_eq!(greater(&one, head(1)).await, head(2));
        assert_eq!(greater(&two, head(1)).await, head(2));
        assert!(greater(&other, head(1)).now_or_never().is_none());
    }

    /// Counts how often it wakes.
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_watch_wakes_its_task_once_even_after_others_ended() {
        let hub = Arc::new(Hub::default());
        let tasks: [Arc<Wakes>; 4] = Default::default();
        let poll = |watch: &Watch, task: usize| {
            let waker = Arc::clone(&tasks[task]).into();
            watch.poll_greater(head(1), &Context::from_waker(&waker))
        };
        let (gone, one) = (hub.watch(&user("ann")), hub.watch(&user("ann")));
        assert!(poll(&gone, 0).is_pending() && poll(&one, 1).is_pending());
        drop(gone);
        let two = hub.watch(&user("ann"));
        // A watch that moves to another task wakes that one only.
        assert!(poll(&two, 2).is_pending() && poll(&two, 3).is_pending());
        hub.deliver(notice("ann", 2));
        hub.deliver(notice("ann", 3));
        let woken = tasks.map(|task| task.0.load(Ordering::Relaxed));
        assert_eq!(woken, [0, 1, 0, 1]);
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
    async fn stale_users_are_reported_once_and_a_recheck_reports_all_watched_users() {
        let hub = Arc::new(Hub::default());
        let _watch = hub.watch(&user("ann"));
        assert_eq!(hub.stale().now_or_never(), None);
        hub.deliver(Signal::RecheckUsers(vec![user("bob")]));
        hub.deliver(Signal::RecheckUsers(vec![user("bob")]));
        assert_eq!(hub.stale().await, [user("bob")]);
        hub.deliver(Signal::Recheck);
        hub.deliver(Signal::RecheckUsers(vec![user("bob")]));
        assert_eq!(hub.stale().await, [user("ann")]);
        assert_eq!(hub.stale().now_or_never(), None);
    }

    #[tokio::test]
    async fn a_notice_can_report_a_watched_user_as_stale() {
        let hub = Arc::new(Hub::default());
        let _watch = hub.watch(&user("ann"));
        for name in ["bob", "ann"] {
            hub.deliver(Signal::Notice(Notice {
                is_recheck: true,
                ..Notice::new(user(name), head(1))
            }));
        }
        assert_eq!(hub.stale().await, [user("ann")]);
    }

    /// Records subscribe and unsubscribe calls.
    #[derive(Default)]
    struct Recorder(Mutex<Vec<String>>);

    impl Broker for Recorder {
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
    fn the_broker_is_subscribed_once_for_any_number_of_watches() {
        let asked = Arc::new(Recorder::default());
        let hub = Hub::listening(asked.clone());
        let (one, two) = (hub.watch(&user("ann")), hub.watch(&user("ann")));
        let other = hub.watch(&user("bob"));
        drop((one, other, two));
        assert_eq!(*asked.0.lock(), ["+ann", "+bob", "-bob", "-ann"]);
    }

    #[test]
    fn dropping_the_hub_releases_the_broker() {
        let broker: Arc<dyn Broker> = Arc::new(Memory::default());
        let hub = Hub::listening(Arc::clone(&broker));
        let weak = Arc::downgrade(&hub);
        drop(hub);
        assert!(weak.upgrade().is_none());
        assert_eq!(Arc::strong_count(&broker), 1);
    }
}
