//! How much of a device's memory its open sessions hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that all sessions on a device hold together.
#[derive(Debug, Default)]
pub struct Holdings {
    now: AtomicU64,
    peak: AtomicU64,
}

impl Holdings {
    /// The highest total so far.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

/// One session's contribution to [`Holdings`], removed when it is dropped.
#[derive(Debug)]
pub struct Holding {
    all: Arc<Holdings>,
    bytes: u64,
}

impl Holding {
    /// For a session whose memory use is not known yet.
    pub fn new(all: &Arc<Holdings>) -> Self {
        Holding { all: Arc::clone(all), bytes: 0 }
    }

    /// Sets the measured size of the session.
    pub fn set(&mut self, bytes: u64) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        // Wraps around when the size shrinks, as two's complement does.
        let change = bytes.wrapping_sub(before);
        let now = self.all.now.fetch_add(change, Ordering::Relaxed).wrapping_add(change);
        self.all.peak.fetch_max(now, Ordering::Relaxed);
    }

    /// Sets a lower bound for the size of the session.
    pub fn at_least(&mut self, bytes: u64) {
        self.set(self.bytes.max(bytes));
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_covers_all_sessions() {
        let all = Arc::default();
        let (mut first, mut second) = (Holding::new(&all), Holding::new(&all));
        first.set(10);
        second.at_least(5);
        first.set(7);
        second.at_least(1);
        assert_eq!(all.peak(), 15);
        drop(first);
        second.set(16);
        assert_eq!(all.peak(), 16);
        drop(second);
        assert_eq!((all.now.load(Ordering::Relaxed), all.peak()), (0, 16));
    }
}
