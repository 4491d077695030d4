//! The users whose notices this node needs, and the changes since the link last synchronized its subscriptions.
//!
//! **Invariant:** watches are counted, so a concurrent watch and unwatch have the same result in either order.
//! **Invariant:** a link compares the watched users with its subscriptions instead of replaying watches and unwatches. A quick
//! unwatch and watch therefore cannot lose a subscription.
//! **Invariant:** no change is recorded without a link, so an outage uses no memory.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::version::UserId;

/// The watched users.
#[derive(Default)]
pub(super) struct Interest {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Number of watches of each user, at least one.
    wanted: HashMap<UserId, usize>,
    /// Users whose state changed since the link last looked. `None` without a link.
    changed: Option<HashSet<UserId>>,
}

impl State {
    fn note(&mut self, user: &UserId) {
        if let Some(changed) = &mut self.changed {
            changed.insert(user.clone());
        }
    }

    fn add(&mut self, user: &UserId, watches: usize) -> bool {
        let count = self.wanted.entry(user.clone()).or_default();
        let first = *count == 0;
        *count += watches;
        if first {
            self.note(user);
        }
        first
    }
}

impl Interest {
    /// Adds watches of a user. Returns whether they are the first.
    pub fn watch(&self, user: &UserId, watches: usize) -> bool {
        let first = self.state.lock().add(user, watches);
        if first {
            self.changed.notify_one();
        }
        first
    }

    /// Removes a watch of a user. Returns whether it was the last.
    pub fn unwatch(&self, user: &UserId) -> bool {
        let mut state = self.state.lock();
        let Entry::Occupied(mut entry) = state.wanted.entry(user.clone()) else {
            return false;
        };
        *entry.get_mut() -= 1;
        let last = *entry.get() == 0;
        if last {
            entry.remove();
            state.note(user);
            self.changed.notify_one();
        }
        last
    }

    /// Removes the users that `leaves` selects. Returns them with their numbers of watches.
    pub fn remove(&self, leaves: impl Fn(&UserId) -> bool) -> Vec<(UserId, usize)> {
        let mut state = self.state.lock();
        let gone: Vec<_> = state.wanted.extract_if(|user, _| leaves(user)).collect();
        for (user, _) in &gone {
            state.note(user);
        }
        drop(state);
        if !gone.is_empty() {
            self.changed.notify_one();
        }
        gone
    }

    /// Returns the watched users, and starts to record changes.
    pub fn look(&self) -> (Vec<UserId>, Look<'_>) {
        let mut state = self.state.lock();
        state.changed = Some(HashSet::new());
        (state.wanted.keys().cloned().collect(), Look(self))
    }
}

/// A link's view of the watched users. Dropping it stops the recording of changes.
pub(super) struct Look<'a>(&'a Interest);

impl Look<'_> {
    /// Waits for changes. Returns the changed users and whether each is watched now.
    pub async fn changes(&self) -> Vec<(UserId, bool)> {
        loop {
            {
                let mut state = self.0.state.lock();
                let changed = state.changed.replace(HashSet::new()).unwrap_or_default();
                if !changed.is_empty() {
                    let is_wanted = |user: UserId| {
                        let wanted = state.wanted.contains_key(&user);
                        (user, wanted)
                    };
                    return changed.into_iter().map(is_wanted).collect();
                }
            }
            self.0.changed.notified().await;
        }
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.0.state.lock().changed = None;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    #[tokio::test]
    async fn a_link_sees_all_watched_users_and_then_only_changes() {
        let interest = Interest::default();
        assert!(interest.watch(&user("ann"), 1));
        let (wanted, look) = interest.look();
        assert_eq!(wanted, [user("ann")]);
        assert!(look.changes().now_or_never().is_none());
        assert!(interest.watch(&user("bob"), 1));
        assert_eq!(look.changes().await, [(user("bob"), true)]);
        assert!(interest.unwatch(&user("bob")));
        assert_eq!(look.changes().await, [(user("bob"), false)]);
    }

    #[tokio::test]
    async fn an_unwatch_that_overtakes_a_watch_leaves_the_user_watched() {
        let interest = Interest::default();
        let (_, look) = interest.look();
        // The drop of the first watch arrives after the second watch.
        interest.watch(&user("ann"), 1);
        assert!(!interest.watch(&user("ann"), 1));
        assert!(!interest.unwatch(&user("ann")));
        assert_eq!(look.changes().await, [(user("ann"), true)]);
    }

    #[tokio::test]
    async fn a_quick_unwatch_and_watch_leaves_the_user_watched() {
        let interest = Interest::default();
        interest.watch(&user("ann"), 1);
        let (_, look) = interest.look();
        interest.unwatch(&user("ann"));
        interest.watch(&user("ann"), 1);
        assert_eq!(look.changes().await, [(user("ann"), true)]);
    }

    #[test]
    fn no_change_is_recorded_without_a_link() {
        let interest = Interest::default();
        drop(interest.look());
        interest.watch(&user("ann"), 1);
        interest.unwatch(&user("ann"));
        assert!(interest.state.lock().changed.is_none());
        assert!(interest.state.lock().wanted.is_empty());
    }

    #[test]
    fn an_unwatch_without_a_watch_has_no_effect() {
        let interest = Interest::default();
        assert!(!interest.unwatch(&user("ann")));
    }

    #[test]
    fn users_move_with_their_watches() {
        let (from, to) = (Interest::default(), Interest::default());
        from.watch(&user("ann"), 1);
        from.watch(&user("ann"), 1);
        from.watch(&user("bob"), 1);
        for (user, watches) in from.remove(|user| user.as_str() == "ann") {
            to.watch(&user, watches);
        }
        assert!(!to.unwatch(&user("ann")));
        assert!(to.unwatch(&user("ann")));
        assert!(from.unwatch(&user("bob")));
    }
}
