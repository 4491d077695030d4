//! [`Uses`]: the uses of entries on this node that are not stored yet.
//!
//! **Invariant:** memory is bounded, and one user cannot use up what others need.

use std::{
    collections::{HashMap, hash_map::Entry},
    mem,
    sync::Arc,
    time::Instant,
};

use parking_lot::Mutex;
use uuid::Uuid;

use crate::version::UserId;

/// Maximum number of users whose uses wait to be stored. Uses of further users are ignored.
const MAX_USERS: usize = 65_536;

/// Maximum number of entries of one user that wait. Uses of further entries are ignored.
const MAX_ENTRIES: usize = 200;

/// The last use of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Used {
    pub user: UserId,
    pub progress: Uuid,
    pub at: Instant,
}

/// The uses of this node that are not stored yet. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(in crate::library) struct Uses(Arc<Mutex<HashMap<UserId, HashMap<Uuid, Instant>>>>);

impl Uses {
    /// Records that progresses are used now. Several uses until they are stored count as one.
    pub fn record(&self, user: &UserId, progresses: impl IntoIterator<Item = Uuid>) {
        for id in progresses {
            self.add(user, id, Instant::now());
        }
    }

    fn add(&self, user: &UserId, progress: Uuid, at: Instant) {
        let mut users = self.0.lock();
        if users.len() >= MAX_USERS && !users.contains_key(user) {
            return;
        }
        let entries = users.entry(user.clone()).or_default();
        let is_full = entries.len() >= MAX_ENTRIES;
        match entries.entry(progress) {
            Entry::Occupied(mut last) => *last.get_mut() = at.max(*last.get()),
            Entry::Vacant(_) if is_full => {}
            Entry::Vacant(first) => drop(first.insert(at)),
        }
    }

    /// Returns those of a user.
    pub(super) fn of(&self, user: &UserId) -> Vec<Used> {
        let users = self.0.lock();
        let entries = users.get(user).into_iter().flatten();
        entries.map(|entry| used(user, entry)).collect()
    }

    /// Takes all.
    pub(super) fn take(&self) -> Vec<Used> {
        let users = mem::take(&mut *self.0.lock());
        let of_user = |(user, entries): (&UserId, &HashMap<_, _>)| {
            entries
                .iter()
                .map(|entry| used(user, entry))
                .collect::<Vec<_>>()
        };
        users.iter().flat_map(of_user).collect()
    }

    /// Returns what was taken and could not be stored.
    pub(super) fn put_back(&self, uses: &[Used]) {
        for used in uses {
            self.add(&used.user, used.progress, used.at);
        }
    }

    /// Forgets the uses of a user whose account was erased.
    pub(in crate::library) fn forget_user(&self, user: &UserId) {
        self.0.lock().remove(user);
    }
}

fn used(user: &UserId, (progress, at): (&Uuid, &Instant)) -> Used {
    Used {
        user: user.clone(),
        progress: *progress,
        at: *at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_coalesce_and_are_bounded_for_each_user() {
        let uses = Uses::default();
        let [ann, bob] = ["ann", "bob"].map(|name| UserId::new(name).unwrap());
        for n in 1..=MAX_ENTRIES as u128 + 5 {
            uses.record(&ann, [Uuid::from_u128(n), Uuid::from_u128(1)]);
        }
        uses.record(&bob, [Uuid::from_u128(9)]);
        uses.record(&bob, []);
        assert_eq!((uses.of(&ann).len(), uses.of(&bob).len()), (MAX_ENTRIES, 1));
        uses.forget_user(&ann);
        let taken = uses.take();
        assert_eq!(taken.len(), 1);
        assert!(uses.take().is_empty());
        uses.put_back(&taken);
        assert_eq!(uses.of(&bob), taken);
        uses.record(&bob, [Uuid::from_u128(9)]);
        uses.put_back(&taken);
        assert!(uses.of(&bob)[0].at > taken[0].at, "the last use counts");
    }
}
