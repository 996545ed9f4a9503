//! Scenarios for the permits.

use shuttle::sync::atomic::AtomicUsize;

use crate::permits::{Permits, Refusal};
use crate::sync::{Arc, AtomicBool, Ordering, thread};

const LIMIT: u64 = 10;

pub fn permits_stay_within_the_limit() {
    let (permits, used) = (Permits::new(LIMIT), Arc::new(AtomicUsize::new(0)));
    let threads: Vec<_> = [[6, 3], [5, 5], [10, 1]]
        .into_iter()
        .map(|amounts| {
            let (permits, used) = (Arc::clone(&permits), Arc::clone(&used));
            thread::spawn(move || {
                for bytes in amounts {
                    let permit = permits.acquire(bytes, &AtomicBool::new(false)).expect("it is within the limit");
                    let before = used.fetch_add(bytes as usize, Ordering::SeqCst);
                    assert!(before as u64 + bytes <= LIMIT, "{before} and {bytes}");
                    used.fetch_sub(bytes as usize, Ordering::SeqCst);
                    drop(permit);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("the thread does not panic"));
    assert_eq!(permits.used(), 0);
    assert!(permits.peak() <= LIMIT);
}

/// The limit falls and rises again while threads wait: none waits for ever, and each permit is within the limit at its time.
pub fn permits_follow_a_changed_limit() {
    let permits = Permits::new(LIMIT);
    let threads: Vec<_> = [[6, 3], [4, 5]]
        .into_iter()
        .map(|amounts| {
            let permits = Arc::clone(&permits);
            thread::spawn(move || {
                for bytes in amounts {
                    match permits.acquire(bytes, &AtomicBool::new(false)) {
                        Ok(permit) => drop(permit),
                        Err(refusal) => assert!(refusal == Refusal::TooLarge { limit: 3 } && bytes > 3),
                    }
                }
            })
        })
        .collect();
    permits.set_limit(3);
    permits.raise_limit(LIMIT);
    threads.into_iter().for_each(|thread| thread.join().expect("the thread does not panic"));
    assert_eq!(permits.used(), 0);
    assert_eq!(permits.limit(), LIMIT);
}

pub fn a_cancelled_request_blocks_no_other() {
    let permits = Permits::new(LIMIT);
    let cancelled = Arc::new(AtomicBool::new(false));
    let held = permits.acquire(4, &AtomicBool::new(false)).expect("it is within the limit");
    let large = {
        let (permits, cancelled) = (Arc::clone(&permits), Arc::clone(&cancelled));
        // It cannot be granted while the first permit is held, so only the cancellation ends it.
        thread::spawn(move || permits.acquire(LIMIT, &cancelled).map(drop))
    };
    let small = {
        let permits = Arc::clone(&permits);
        thread::spawn(move || permits.acquire(6, &AtomicBool::new(false)).map(drop))
    };
    cancelled.store(true, Ordering::Release);
    permits.wake();
    assert_eq!(large.join().expect("the thread does not panic"), Err(Refusal::Cancelled));
    assert_eq!(small.join().expect("the thread does not panic"), Ok(()));
    drop(held);
    assert_eq!(permits.used(), 0);
}

/// A worker's wait for a permit ends with an interrupt, which raises the flag and then wakes the waiters.
pub fn permits_end_with_the_pool() {
    let permits = Permits::new(LIMIT);
    let raised: Vec<_> = (0..3).map(|_| Arc::new(AtomicBool::new(false))).collect();
    let threads: Vec<_> = raised
        .iter()
        .map(|raised| {
            let (permits, raised) = (Arc::clone(&permits), Arc::clone(raised));
            // A limited number of times, because an unfair schedule might never reach the interrupt.
            thread::spawn(move || (0..4).take_while(|_| permits.acquire(7, &raised).is_ok()).count())
        })
        .collect();
    for raised in raised {
        raised.store(true, Ordering::Release);
        permits.wake();
    }
    for thread in threads {
        thread.join().expect("the thread does not panic");
    }
    assert_eq!(permits.used(), 0);
}
