//! The newest committed head of each user that this process knows: read, written, or received in a notice.
//!
//! In the flow: a read of a head takes the known head *before* it begins and compares afterwards. A commit is visible to
//! every read that begins after it, so a lower head means that the database went back in time.
//!
//! **Invariant:** a client's claim is never recorded as known.
//! **Invariant:** at most [`USERS`] users are remembered, and the least recently used are evicted first.

use lru::LruCache;
use parking_lot::Mutex;

use crate::version::{Head, UserId};

/// Capacity in users: about 10 MB.
const USERS: usize = 65_536;

/// An LRU cache of the newest known heads.
pub(super) struct KnownHeads(Mutex<LruCache<UserId, Head>>);

impl Default for KnownHeads {
    fn default() -> Self {
        // A bounded cache would allocate its whole capacity at once.
        Self(Mutex::new(LruCache::unbounded()))
    }
}

impl KnownHeads {
    /// Returns the newest known head of `user`.
    pub fn of(&self, user: &UserId) -> Option<Head> {
        self.0.lock().get(user).copied()
    }

    /// Records a head unless a greater one is known.
    pub fn raise(&self, user: &UserId, head: Head) {
        let mut heads = self.0.lock();
        if let Some(known) = heads.get_mut(user) {
            *known = head.max(*known);
            return;
        }
        heads.put(user.clone(), head);
        if heads.len() > USERS {
            heads.pop_lru();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::testing::head;

    #[test]
    fn known_heads_only_grow_and_an_older_epoch_is_lower() {
        let (known, ann) = (KnownHeads::default(), UserId::new("ann").unwrap());
        assert_eq!(known.of(&ann), None);
        for (head, expected) in [
            (head(7, 3), head(7, 3)),
            (head(7, 2), head(7, 3)),
            (head(8, 1), head(8, 1)),
            (head(7, 9), head(8, 1)),
        ] {
            known.raise(&ann, head);
            assert_eq!(known.of(&ann), Some(expected));
        }
    }

    #[test]
    fn the_cache_is_bounded_and_evicts_the_least_recently_used() {
        let known = KnownHeads::default();
        let user = |n: usize| UserId::new(&format!("user {n}")).unwrap();
        for n in 0..=USERS {
            known.raise(&user(n), head(1, 1));
            known.of(&user(0));
        }
        assert_eq!(known.0.lock().len(), USERS);
        assert!(known.of(&user(0)).is_some() && known.of(&user(1)).is_none());
    }
}
