//! The cache of upscaled frames.

use lru::LruCache;

use super::Fingerprint;

/// What frames came out as, by fingerprint, bounded in bytes; the least recently used goes first.
///
/// An entry may be put in before its result is there: `V` is then a handle by which the result will be found. Values that go are
/// returned, so that the caller drops them when it holds no lock.
pub struct FrameCache<V> {
    entries: LruCache<Fingerprint, Entry<V>>,
    /// Sum of the entries' `bytes`; never above `limit`.
    bytes: u64,
    limit: u64,
}

struct Entry<V> {
    value: V,
    bytes: u64,
}

impl<V: Clone> FrameCache<V> {
    /// A cache that keeps at most `limit` bytes.
    pub fn new(limit: u64) -> Self {
        FrameCache { entries: LruCache::unbounded(), bytes: 0, limit }
    }

    /// Finds a frame, and makes it the most recently used.
    pub fn get(&mut self, fingerprint: &Fingerprint) -> Option<V> {
        self.entries.get(fingerprint).map(|entry| entry.value.clone())
    }

    /// Keeps a frame whose result takes `bytes`; others go until it fits, and are returned. One larger than the whole cache is
    /// not kept.
    pub fn insert(&mut self, fingerprint: Fingerprint, value: V, bytes: u64) -> Vec<V> {
        let mut gone: Vec<V> = self.remove(&fingerprint).into_iter().collect();
        if bytes > self.limit {
            gone.push(value);
            return gone;
        }
        self.bytes += bytes;
        self.entries.put(fingerprint, Entry { value, bytes });
        gone.extend(self.evict());
        gone
    }

    /// Changes the bound, in bytes. What has to go is returned.
    pub fn set_limit(&mut self, limit: u64) -> Vec<V> {
        self.limit = limit;
        self.evict().collect()
    }

    /// Takes out the entries for which `keep` is false.
    pub fn retain(&mut self, keep: impl Fn(&V) -> bool) -> Vec<V> {
        let gone: Vec<_> = self.entries.iter().filter(|(_, entry)| !keep(&entry.value)).map(|(key, _)| *key).collect();
        gone.iter().filter_map(|fingerprint| self.remove(fingerprint)).collect()
    }

    /// Bytes kept now.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn remove(&mut self, fingerprint: &Fingerprint) -> Option<V> {
        let entry = self.entries.pop(fingerprint)?;
        self.bytes -= entry.bytes;
        Some(entry.value)
    }

    fn evict(&mut self) -> impl Iterator<Item = V> {
        std::iter::from_fn(|| {
            if self.bytes <= self.limit {
                return None;
            }
            let (_, entry) = self.entries.pop_lru().expect("an empty cache holds no bytes");
            self.bytes -= entry.bytes;
            Some(entry.value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(n: u128) -> Fingerprint {
        Fingerprint::for_test(n)
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut cache = FrameCache::new(30);
        cache.insert(key(1), 'a', 10);
        cache.insert(key(2), 'b', 10);
        cache.insert(key(3), 'c', 10);
        assert_eq!(cache.get(&key(1)), Some('a'));
        cache.insert(key(4), 'd', 10);
        assert_eq!(cache.get(&key(2)), None);
        assert_eq!(cache.get(&key(1)), Some('a'));
        assert_eq!(cache.get(&key(4)), Some('d'));
    }

    #[test]
    fn what_is_larger_than_the_cache_is_not_kept_and_displaces_nothing() {
        let mut cache = FrameCache::new(30);
        cache.insert(key(1), 'a', 10);
        cache.insert(key(2), 'b', 31);
        assert_eq!(cache.get(&key(2)), None);
        assert_eq!(cache.get(&key(1)), Some('a'));
    }

    proptest! {
        #[test]
        fn the_bound_holds(steps in proptest::collection::vec((0u128..20, 0u64..50), 0..200), limit in 0u64..100) {
            let mut cache = FrameCache::new(limit);
            for (fingerprint, bytes) in steps {
                cache.insert(key(fingerprint), bytes, bytes);
                let kept: u64 = (0..20).filter_map(|k| cache.entries.peek(&key(k)).map(|e| e.bytes)).sum();
                prop_assert_eq!(cache.bytes(), kept);
                prop_assert!(cache.bytes() <= limit);
                prop_assert_eq!(cache.get(&key(fingerprint)), (bytes <= limit).then_some(bytes));
            }
        }
    }
}
