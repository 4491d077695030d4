//! Whose notices this node wants, and what changed about that since the link last looked.
//!
//! **Invariant:** watches are counted, so a watch and an unwatch that race come out the same in either order.
//! **Invariant:** a link is told of users, never of steps: it compares what is wanted now with what it has, so a quick
//! unwatch and watch can never end without notices.
//! **Invariant:** nothing is noted while no link looks, so an outage costs no memory.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::version::UserId;

/// The users that are wanted.
#[derive(Default)]
pub(super) struct Interest {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// How many watches each user has: at least one.
    wanted: HashMap<UserId, usize>,
    /// Whose state changed since the link looked. `None` while there is no link.
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
    /// Adds watches of a user; tells whether they are the first.
    pub fn watch(&self, user: &UserId, watches: usize) -> bool {
        let first = self.state.lock().add(user, watches);
        if first {
            self.changed.notify_one();
        }
        first
    }

    /// Takes a watch of a user back; tells whether it was the last.
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

    /// Gives up the users that `leaves` picks, with how many watches each has, to be watched elsewhere.
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

    /// Begins to look: all who are wanted now, and whoever changes from now on.
    pub fn look(&self) -> (Vec<UserId>, Look<'_>) {
        let mut state = self.state.lock();
        state.changed = Some(HashSet::new());
        (state.wanted.keys().cloned().collect(), Look(self))
    }
}

/// A link's view of the interest. Dropping it ends the noting of changes.
pub(super) struct Look<'a>(&'a Interest);

impl Look<'_> {
    /// Waits until something changed, and returns who it is about and whether they are wanted now.
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
    async fn a_link_sees_all_who_are_wanted_and_then_changes_alone() {
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
    async fn an_unwatch_that_overtakes_a_watch_leaves_the_user_wanted() {
        let interest = Interest::default();
        let (_, look) = interest.look();
        // The first watch; then its drop and another's watch, in the order in which they happened not.
        interest.watch(&user("ann"), 1);
        assert!(!interest.watch(&user("ann"), 1));
        assert!(!interest.unwatch(&user("ann")));
        assert_eq!(look.changes().await, [(user("ann"), true)]);
    }

    #[tokio::test]
    async fn a_quick_unwatch_and_watch_ends_wanted() {
        let interest = Interest::default();
        interest.watch(&user("ann"), 1);
        let (_, look) = interest.look();
        interest.unwatch(&user("ann"));
        interest.watch(&user("ann"), 1);
        assert_eq!(look.changes().await, [(user("ann"), true)]);
    }

    #[test]
    fn nothing_is_noted_while_no_link_looks() {
        let interest = Interest::default();
        drop(interest.look());
        interest.watch(&user("ann"), 1);
        interest.unwatch(&user("ann"));
        assert!(interest.state.lock().changed.is_none());
        assert!(interest.state.lock().wanted.is_empty());
    }

    #[test]
    fn an_unwatch_too_many_is_nothing() {
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
