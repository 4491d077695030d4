//! A bounded cache that no user can empty for the others.
//!
//! **Invariant:** when there is no room, the entry goes that was unused for longest of those of whoever has the most. So a
//! user who fills the cache displaces only their own entries, once they have as much as any other.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

use lru::LruCache;

use crate::version::UserId;

/// Whose an entry is: one user's, or nobody's since a second one has used it.
type Holder = Option<UserId>;

/// Values by key, each with a size.
pub(in crate::graphql) struct FairCache<K: Hash + Eq, V> {
    entries: LruCache<K, Entry<V>>,
    sizes: HashMap<Holder, Size>,
    all: Size,
    most: Size,
}

struct Entry<V> {
    value: V,
    holder: Holder,
    bytes: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Size {
    bytes: usize,
    entries: usize,
}

impl<K: Hash + Eq + Clone, V> FairCache<K, V> {
    /// A cache of at most so many entries and bytes.
    pub fn new(entries: usize, bytes: usize) -> Self {
        Self {
            entries: LruCache::unbounded(),
            sizes: HashMap::new(),
            all: Size::default(),
            most: Size { bytes, entries },
        }
    }

    /// The value of a key, which `user` now uses.
    pub fn find<Q>(&mut self, user: &UserId, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entry = self.entries.get_mut(key)?;
        if entry.holder.as_ref().is_some_and(|holder| holder != user) {
            let bytes = entry.bytes;
            let before = entry.holder.take();
            give_back(&mut self.sizes, &before, bytes);
            add(&mut self.sizes, None, bytes);
        }
        self.entries.peek(key).map(|entry| &entry.value)
    }

    /// Keeps a value that `user` brought.
    pub fn put(&mut self, user: &UserId, key: K, value: V, bytes: usize) {
        if self.find(user, &key).is_some() || bytes > self.most.bytes || self.most.entries == 0 {
            return;
        }
        let fits =
            |all: Size, most: Size| all.bytes + bytes <= most.bytes && all.entries < most.entries;
        while !fits(self.all, self.most) && self.drop_one() {}
        let holder = Some(user.clone());
        add(&mut self.sizes, holder.clone(), bytes);
        self.all.bytes += bytes;
        self.all.entries += 1;
        let entry = Entry {
            value,
            holder,
            bytes,
        };
        self.entries.put(key, entry);
    }

    /// Makes room; `false` when there is nothing to drop.
    fn drop_one(&mut self) -> bool {
        let greediest = self.sizes.iter().max_by_key(|(_, size)| **size);
        let Some(holder) = greediest.map(|(holder, _)| holder.clone()) else {
            return false;
        };
        let mut oldest_first = self.entries.iter().rev();
        let oldest = oldest_first.find(|(_, entry)| entry.holder == holder);
        let Some(key) = oldest.map(|(key, _)| key.clone()) else {
            return false;
        };
        let Some(entry) = self.entries.pop(&key) else {
            return false;
        };
        give_back(&mut self.sizes, &entry.holder, entry.bytes);
        self.all.bytes -= entry.bytes;
        self.all.entries -= 1;
        true
    }

    /// How many bytes are kept.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.all.bytes
    }
}

fn add(sizes: &mut HashMap<Holder, Size>, holder: Holder, bytes: usize) {
    let size = sizes.entry(holder).or_default();
    size.bytes += bytes;
    size.entries += 1;
}

fn give_back(sizes: &mut HashMap<Holder, Size>, holder: &Holder, bytes: usize) {
    if let Some(size) = sizes.get_mut(holder) {
        size.bytes -= bytes;
        size.entries -= 1;
        if size.entries == 0 {
            sizes.remove(holder);
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
    fn who_has_the_most_loses_what_they_used_least() {
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
        // What two have used is nobody's own.
        for n in 92..100 {
            assert!(cache.find(&ann, format!("e{n}").as_str()).is_some());
        }
        cache.put(&eve, "new", 0, 10);
        assert!(cache.find(&eve, "new").is_some() && cache.find(&eve, "e92").is_none());
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_bytes() {
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
