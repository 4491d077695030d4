//! The newest head of each user that this process knows to have been committed: read, written, or notified of.
//!
//! In the flow: a read of a head takes what is known *before* it begins and compares afterwards. A commit is visible to
//! every read that begins after it, so a head lower than that means that the database went back in time.
//!
//! **Invariant:** nothing that a client says is taken for known.
//! **Invariant:** the users forgotten first are those seen least recently, and no more than [`USERS`] are remembered.

use lru::LruCache;
use parking_lot::Mutex;

use crate::version::{Head, UserId};

/// How many users are remembered: about 10 MB.
const USERS: usize = 65_536;

/// The newest heads that are known.
pub(super) struct KnownHeads(Mutex<LruCache<UserId, Head>>);

impl Default for KnownHeads {
    fn default() -> Self {
        // A bounded one would take the memory of all at once.
        Self(Mutex::new(LruCache::unbounded()))
    }
}

impl KnownHeads {
    /// The newest head of `user` that is known.
    pub fn of(&self, user: &UserId) -> Option<Head> {
        self.0.lock().get(user).copied()
    }

    /// Takes note of a head. One that is not greater than what is known changes nothing.
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
    use crate::version::{Epoch, Version};

    fn head(epoch: i64, version: i32) -> Head {
        Head {
            epoch: Epoch::new(epoch),
            version: Version::new(version),
        }
    }

    #[test]
    fn what_is_known_only_grows_and_an_older_epoch_is_lower() {
        let (known, ann) = (KnownHeads::default(), UserId::new("ann").unwrap());
        assert_eq!(known.of(&ann), None);
        for (heard, expected) in [
            (head(7, 3), head(7, 3)),
            (head(7, 2), head(7, 3)),
            (head(8, 1), head(8, 1)),
            (head(7, 9), head(8, 1)),
        ] {
            known.raise(&ann, heard);
            assert_eq!(known.of(&ann), Some(expected));
        }
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_who_was_seen_last() {
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
