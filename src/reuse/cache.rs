//! The cache of upscaled frames.

use lru::LruCache;

use super::Fingerprint;

/// Results of upscaled frames by fingerprint, limited in bytes, with least-recently-used eviction.
///
/// An entry may be inserted before its result exists: `V` is then a handle to the pending result. Evicted values are
/// returned, so that the caller can drop them without holding a lock.
pub struct FrameCache<V> {
    entries: LruCache<Fingerprint, Entry<V>>,
    /// Sum of `bytes` over all entries; never above `limit`.
    bytes: u64,
    limit: u64,
}

struct Entry<V> {
    value: V,
    bytes: u64,
}

impl<V: Clone> FrameCache<V> {
    /// A cache of at most `limit` bytes.
    pub fn new(limit: u64) -> Self {
        FrameCache { entries: LruCache::unbounded(), bytes: 0, limit }
    }

    /// Looks up a frame and marks it as the most recently used.
    pub fn get(&mut self, fingerprint: &Fingerprint) -> Option<V> {
        self.entries.get(fingerprint).map(|entry| entry.value.clone())
    }

    /// Inserts a frame whose result takes `bytes`, and returns the values evicted to make room. A frame larger than the
    /// whole cache is not kept, but returned.
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

    /// Sets the limit in bytes. Returns the evicted values.
    pub fn set_limit(&mut self, limit: u64) -> Vec<V> {
        self.limit = limit;
        self.evict().collect()
    }

    /// Removes and returns the entries for which `keep` is false.
    pub fn retain(&mut self, keep: impl Fn(&V) -> bool) -> Vec<V> {
        let gone: Vec<_> = self.entries.iter().filter(|(_, entry)| !keep(&entry.value)).map(|(key, _)| *key).collect();
        gone.iter().filter_map(|fingerprint| self.remove(fingerprint)).collect()
    }

    /// Bytes held by the entries.
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
    fn a_frame_larger_than_the_cache_is_not_kept_and_evicts_nothing() {
        let mut cache = FrameCache::new(30);
        cache.insert(key(1), 'a', 10);
        cache.insert(key(2), 'b', 31);
        assert_eq!(cache.get(&key(2)), None);
        assert_eq!(cache.get(&key(1)), Some('a'));
    }

    proptest! {
        #[test]
        fn the_limit_holds(steps in proptest::collection::vec((0u128..20, 0u64..50), 0..200), limit in 0u64..100) {
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
