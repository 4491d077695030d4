//! A bounded cache that is fair among users: no user can evict the entries of the others.
//!
//! Up to [`CLAIMS`] users of an entry have a claim on it. An entry is evicted when its last claim is dropped.
//!
//! **Invariant:** when the cache is full, the user with the most claims drops the least recently used of them. Once the
//! claims of all users are equally large, users who fill the cache evict only entries that they alone claim.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

use lru::LruCache;

use crate::version::UserId;

/// Maximum number of users with a claim on one entry. Later users get a claim only after another user dropped one.
const CLAIMS: usize = 4;

/// Values by key, bounded in number and in bytes.
pub(in crate::graphql) struct FairCache<K: Hash + Eq, V> {
    entries: LruCache<K, Entry<V>>,
    /// Total size of each user's claims. Users without claims are absent.
    claims: HashMap<UserId, Size>,
    all: Size,
    most: Size,
}

struct Entry<V> {
    value: V,
    /// Users with a claim. **Invariant:** not empty.
    users: Vec<UserId>,
    bytes: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Size {
    bytes: usize,
    entries: usize,
}

impl<K: Hash + Eq + Clone, V> FairCache<K, V> {
    /// Creates a cache of at most `entries` entries and `bytes` bytes.
    pub fn new(entries: usize, bytes: usize) -> Self {
        Self {
            entries: LruCache::unbounded(),
            claims: HashMap::new(),
            all: Size::default(),
            most: Size { bytes, entries },
        }
    }

    /// Returns the value of a key and records that `user` used it.
    pub fn find<Q>(&mut self, user: &UserId, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entry = self.entries.get_mut(key)?;
        if entry.users.len() < CLAIMS && !entry.users.contains(user) {
            entry.users.push(user.clone());
            claim(&mut self.claims, user, entry.bytes);
        }
        Some(&entry.value)
    }

    /// Inserts a value for `user` and evicts others until it fits. Ignores a known key or a value larger than the
    /// cache.
    pub fn put(&mut self, user: &UserId, key: K, value: V, bytes: usize) {
        if self.find(user, &key).is_some() || bytes > self.most.bytes || self.most.entries == 0 {
            return;
        }
        let fits =
            |all: Size, most: Size| all.bytes + bytes <= most.bytes && all.entries < most.entries;
        while !fits(self.all, self.most) && self.drop_claim() {}
        claim(&mut self.claims, user, bytes);
        self.all.bytes += bytes;
        self.all.entries += 1;
        let entry = Entry {
            value,
            users: vec![user.clone()],
            bytes,
        };
        self.entries.put(key, entry);
    }

    /// Drops one claim, and its entry if that was the last claim. Returns `false` if no claim exists.
    fn drop_claim(&mut self) -> bool {
        let greediest = self.claims.iter().max_by_key(|(_, size)| **size);
        let Some(user) = greediest.map(|(user, _)| user.clone()) else {
            return false;
        };
        let mut oldest_first = self.entries.iter().rev();
        let oldest = oldest_first.find(|(_, entry)| entry.users.contains(&user));
        let Some(key) = oldest.map(|(key, _)| key.clone()) else {
            return false;
        };
        let Some(entry) = self.entries.peek_mut(&key) else {
            return false;
        };
        entry.users.retain(|other| *other != user);
        give_up(&mut self.claims, &user, entry.bytes);
        if entry.users.is_empty() {
            self.all.bytes -= entry.bytes;
            self.all.entries -= 1;
            self.entries.pop(&key);
        }
        true
    }

    /// Returns the total size of the entries, in bytes.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.all.bytes
    }
}

fn claim(claims: &mut HashMap<UserId, Size>, user: &UserId, bytes: usize) {
    let size = claims.entry(user.clone()).or_default();
    size.bytes += bytes;
    size.entries += 1;
}

fn give_up(claims: &mut HashMap<UserId, Size>, user: &UserId, bytes: usize) {
    if let Some(size) = claims.get_mut(user) {
        size.bytes -= bytes;
        size.entries -= 1;
        if size.entries == 0 {
            claims.remove(user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    #[test]
    fn the_user_with_the_most_entries_loses_the_least_recently_used_one() {
        let (ann, ben, eve) = (user("ann"), user("ben"), user("eve"));
        let mut cache = FairCache::new(10, 1_000);
        cache.put(&ann, "a", 0, 10);
        cache.put(&ben, "b", 0, 10);
        for n in 0..100 {
            let key: &'static str = Box::leak(format!("e{n}").into_boxed_str());
            cache.put(&eve, key, 0, 10);
        }
        assert!(cache.find(&ann, "a").is_some() && cache.find(&ben, "b").is_some());
        assert!(cache.find(&eve, "e99").is_some() && cache.find(&eve, "e91").is_none());
        assert_eq!(cache.bytes(), 100);
    }

    #[test]
    fn users_who_fill_the_cache_together_displace_none_that_others_use() {
        let mut cache = FairCache::new(10, 1_000);
        let (ann, ben) = (user("ann"), user("ben"));
        // Every user reads it, the greedy users first.
        let greedy = ["eve", "fay", "gus"].map(user);
        for one in &greedy {
            cache.put(one, "app".to_owned(), 0, 10);
        }
        assert!(cache.find(&ann, "app").is_some());
        cache.put(&ben, "ben's".to_owned(), 0, 10);
        for n in 0..100 {
            for one in &greedy {
                cache.put(one, format!("e{n}"), 0, 10);
            }
        }
        assert!(cache.find(&ben, "ben's").is_some());
        assert!(cache.find(&ben, "app").is_some());
        assert!(cache.find(&ben, "e99").is_some() && cache.find(&ben, "e50").is_none());
        assert_eq!(cache.bytes(), 100);
    }

    #[test]
    fn an_entry_is_removed_with_its_last_claim() {
        let mut cache = FairCache::new(1, 1_000);
        for name in ["ann", "ben", "cid", "dan", "eve", "fay"] {
            cache.put(&user(name), "a", 0, 10);
        }
        assert_eq!(cache.claims.len(), CLAIMS);
        cache.put(&user("gus"), "b", 0, 10);
        assert!(cache.find(&user("ann"), "a").is_none());
        assert_eq!((cache.claims.len(), cache.bytes()), (1, 10));
    }

    #[test]
    fn the_cache_is_bounded_in_entries_and_bytes() {
        let ann = user("ann");
        let mut cache = FairCache::new(3, 10);
        for key in ["aa", "bb", "cc", "aa", "dd"] {
            cache.put(&ann, key, (), 2);
        }
        let kept = |cache: &mut FairCache<_, _>, keys: [&'static str; 4]| {
            keys.map(|key| cache.entries.contains(key))
        };
        assert_eq!(
            kept(&mut cache, ["aa", "bb", "cc", "dd"]),
            [true, false, true, true]
        );
        cache.put(&ann, "eeeeee", (), 6);
        assert_eq!(
            kept(&mut cache, ["aa", "cc", "dd", "eeeeee"]),
            [true, false, true, true]
        );
        assert_eq!(cache.bytes(), 10);
        cache.put(&ann, "too long", (), 11);
        cache.put(&ann, "g", (), 10);
        assert_eq!(
            kept(&mut cache, ["g", "eeeeee", "too long", "cc"]),
            [true, false, false, false]
        );
    }
}
