//! Permits: the right to use part of a limited amount of memory, granted in the order of the requests.

use std::collections::VecDeque;

use super::sync::{Arc, AtomicBool, Condvar, Mutex, Ordering};

/// A byte limit shared by concurrent runs. The permits granted never exceed it in total.
///
/// Fair: requests are granted strictly in order, even if a later one would already fit. Otherwise a stream of small
/// runs could starve a large one.
#[derive(Debug)]
pub struct Permits {
    inner: Mutex<Inner>,
    /// Signalled when bytes become free or a request is cancelled.
    changed: Condvar,
}

#[derive(Debug)]
struct Inner {
    limit: u64,
    used: u64,
    /// Maximum of `used` so far.
    peak: u64,
    /// Tickets of the waiting requests, in order.
    queue: VecDeque<u64>,
    next_ticket: u64,
}

/// Bytes in use; released on drop.
#[derive(Debug)]
pub struct Permit {
    permits: Arc<Permits>,
    bytes: u64,
}

/// Why no permit was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request exceeds the limit, so waiting would not help.
    TooLarge { limit: u64 },
    /// The request was cancelled.
    Cancelled,
}

impl Permits {
    pub fn new(limit: u64) -> Arc<Self> {
        let inner = Inner { limit, used: 0, peak: 0, queue: VecDeque::new(), next_ticket: 0 };
        Arc::new(Permits { inner: Mutex::new(inner), changed: Condvar::new() })
    }

    /// Waits until `bytes` are free and all earlier requests have been served. After setting `cancelled`, call
    /// [`Permits::wake`].
    pub fn acquire(self: &Arc<Self>, bytes: u64, cancelled: &AtomicBool) -> Result<Permit, Refusal> {
        let mut inner = self.inner.lock();
        let ticket = inner.next_ticket;
        inner.next_ticket += 1;
        inner.queue.push_back(ticket);
        let refusal = loop {
            if cancelled.load(Ordering::Acquire) {
                break Refusal::Cancelled;
            }
            if bytes > inner.limit {
                break Refusal::TooLarge { limit: inner.limit };
            }
            if inner.queue.front() == Some(&ticket) && bytes <= inner.limit.saturating_sub(inner.used) {
                inner.queue.pop_front();
                inner.used += bytes;
                inner.peak = inner.peak.max(inner.used);
                drop(inner);
                // The next request may fit as well.
                self.changed.notify_all();
                return Ok(Permit { permits: Arc::clone(self), bytes });
            }
            self.changed.wait(&mut inner);
        };
        inner.queue.retain(|waiting| *waiting != ticket);
        drop(inner);
        self.changed.notify_all();
        Err(refusal)
    }

    /// Makes every waiting request check whether it was cancelled.
    pub fn wake(&self) {
        // Under the lock, so that no waiter is between its check and its wait.
        let _inner = self.inner.lock();
        self.changed.notify_all();
    }

    pub fn limit(&self) -> u64 {
        self.inner.lock().limit
    }

    /// Sets the limit. Permits already granted stay valid even above a lower limit; waiting requests above it are
    /// refused.
    pub fn set_limit(&self, limit: u64) {
        self.inner.lock().limit = limit;
        self.changed.notify_all();
    }

    /// Raises the limit to `limit` if it is lower.
    pub fn raise_limit(&self, limit: u64) {
        let mut inner = self.inner.lock();
        inner.limit = inner.limit.max(limit);
        drop(inner);
        self.changed.notify_all();
    }

    /// Bytes currently granted.
    pub fn used(&self) -> u64 {
        self.inner.lock().used
    }

    /// Maximum of the bytes granted at a time.
    pub fn peak(&self) -> u64 {
        self.inner.lock().peak
    }
}

impl Permit {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.inner.lock().used -= self.bytes;
        self.permits.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use proptest::prelude::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn never() -> AtomicBool {
        AtomicBool::new(false)
    }

    #[test]
    fn more_than_the_limit_is_refused_at_once() {
        let permits = Permits::new(10);
        assert_eq!(permits.acquire(11, &never()).unwrap_err(), Refusal::TooLarge { limit: 10 });
        let whole = permits.acquire(10, &never()).unwrap();
        assert_eq!((permits.used(), permits.peak()), (10, 10));
        drop(whole);
        assert_eq!((permits.used(), permits.peak()), (0, 10));
    }

    #[test]
    fn a_small_request_does_not_overtake_a_large_one() {
        let permits = Permits::new(10);
        let held = permits.acquire(6, &never()).unwrap();
        let (sender, served) = channel();
        std::thread::scope(|scope| {
            for (index, bytes) in [8, 3].into_iter().enumerate() {
                let (permits, sender) = (&permits, sender.clone());
                scope.spawn(move || {
                    let permit = permits.acquire(bytes, &never()).unwrap();
                    sender.send(bytes).unwrap();
                    drop(permit);
                });
                // Both wait before anything is released.
                while permits.inner.lock().queue.len() <= index {
                    std::thread::yield_now();
                }
            }
            assert!(served.try_recv().is_err(), "3 would fit, but 8 came first");
            drop(held);
            assert_eq!(served.recv_timeout(PATIENCE), Ok(8));
            assert_eq!(served.recv_timeout(PATIENCE), Ok(3));
        });
        assert_eq!(permits.used(), 0);
    }

    #[test]
    fn a_waiting_request_follows_the_current_limit() {
        let permits = Permits::new(10);
        let held = permits.acquire(6, &never()).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| permits.acquire(8, &never()).map(drop));
            while permits.inner.lock().queue.is_empty() {
                std::thread::yield_now();
            }
            permits.set_limit(14);
            assert_eq!(waiting.join().unwrap(), Ok(()));
            let refused = scope.spawn(|| permits.acquire(9, &never()).map(drop));
            while permits.inner.lock().queue.is_empty() {
                std::thread::yield_now();
            }
            permits.set_limit(5);
            assert_eq!(refused.join().unwrap(), Err(Refusal::TooLarge { limit: 5 }));
        });
        permits.raise_limit(4);
        assert_eq!((permits.limit(), permits.used()), (5, 6));
        drop(held);
        assert!(permits.acquire(5, &never()).is_ok());
    }

    #[test]
    fn a_cancelled_request_does_not_block_the_next() {
        let permits = Permits::new(10);
        let held = permits.acquire(5, &never()).unwrap();
        let cancelled = never();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| permits.acquire(10, &cancelled).map(drop));
            while permits.inner.lock().queue.is_empty() {
                std::thread::yield_now();
            }
            cancelled.store(true, Ordering::Release);
            permits.wake();
            assert_eq!(waiting.join().unwrap(), Err(Refusal::Cancelled));
        });
        assert!(permits.acquire(5, &never()).is_ok());
        drop(held);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// Threads that request random amounts; some panic while they hold a permit.
        #[test]
        fn the_sum_never_passes_the_limit_and_nothing_is_lost(
            limit in 1u64..100,
            asked in prop::collection::vec(prop::collection::vec((1u64..120, any::<bool>()), 1..8), 1..5),
        ) {
            let permits = Permits::new(limit);
            std::thread::scope(|scope| {
                for list in &asked {
                    let permits = &permits;
                    scope.spawn(move || {
                        for (bytes, panics) in list {
                            // Below, `resume_unwind` instead of `panic!`, whose hook would print each of them.
                            let held = permits.acquire(*bytes, &never());
                            assert_eq!(held.is_err(), *bytes > limit);
                            if *panics {
                                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                                    let _held = held;
                                    std::panic::resume_unwind(Box::new(()));
                                }))
                                .unwrap_err();
                            }
                        }
                    });
                }
            });
            prop_assert!(permits.peak() <= limit);
            prop_assert_eq!(permits.used(), 0);
        }
    }
}
