//! Tests of the worker pool.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// A context that can be interrupted through a flag with a condition variable, and that counts how often it was parked.
#[derive(Clone, Default)]
struct Flag(Arc<(Mutex<bool>, Condvar)>, Arc<AtomicUsize>);

impl Flag {
    fn wait(&self) {
        let mut set = self.0.0.lock();
        while !*set {
            self.0.1.wait(&mut set);
        }
    }
}

impl Interruptible for Flag {
    type Handle = Flag;
    fn handle(&self) -> Flag {
        self.clone()
    }
    fn interrupt(handle: &Flag) {
        *handle.0.0.lock() = true;
        handle.0.1.notify_all();
    }
    fn rearm(handle: &Flag) {
        *handle.0.0.lock() = false;
    }
    fn park(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

enum Test {
    Say(u32, Sender<u32>),
    /// Sends 0, then runs until it is interrupted.
    Hang(Sender<u32>),
    Panic(Sender<u32>),
    Count(Arc<AtomicUsize>),
    /// Runs again this many times; sends the remaining count each time.
    Again(u32, Sender<u32>),
    /// Sends the index of its thread.
    Where(Sender<u32>),
}

impl Job for Test {
    type Context = Flag;
    fn run(&mut self, context: &mut Flag) -> Outcome {
        match self {
            Test::Say(n, to) => to.send(*n).unwrap(),
            Test::Hang(to) => {
                to.send(0).unwrap();
                context.wait();
            }
            Test::Panic(_) => panic!("on purpose"),
            Test::Count(count) => {
                count.fetch_add(1, Ordering::Relaxed);
            }
            Test::Again(times, to) => {
                to.send(*times).unwrap();
                if *times > 0 {
                    *times -= 1;
                    return Outcome::Again;
                }
            }
            Test::Where(to) => {
                let thread = thread::current();
                to.send(thread.name().unwrap().trim_start_matches("upscale-").parse().unwrap()).unwrap();
            }
        }
        Outcome::Done
    }
    fn panicked(&mut self, message: &str) {
        if let Test::Panic(to) = self {
            to.send(message.len() as u32).unwrap();
        }
    }
}

fn pool(workers: usize) -> (WorkerPool<Test>, Sender<u32>, Receiver<u32>) {
    let (sender, receiver) = channel();
    (WorkerPool::new(vec![(0..workers).map(|_| Flag::default()).collect()]).unwrap(), sender, receiver)
}

#[test]
fn jobs_of_one_worker_run_in_order() {
    let (pool, sender, receiver) = pool(1);
    (0..50).for_each(|n| pool.submit(Test::Say(n, sender.clone())));
    pool.wait_idle();
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
}

#[test]
fn every_job_runs_once() {
    let (pool, ..) = pool(4);
    let count = Arc::new(AtomicUsize::new(0));
    (0..1000).for_each(|_| pool.submit(Test::Count(Arc::clone(&count))));
    pool.wait_idle();
    assert_eq!(count.load(Ordering::Relaxed), 1000);
}

#[test]
fn cancel_drops_waiting_jobs_and_interrupts_running_ones() {
    let (pool, sender, receiver) = pool(1);
    pool.submit(Test::Hang(sender.clone()));
    assert_eq!(receiver.recv(), Ok(0));
    pool.submit(Test::Say(1, sender.clone()));
    assert_eq!(pool.cancel().count(), 1);
    pool.submit(Test::Say(2, sender.clone()));
    pool.wait_idle();
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [2]);
}

#[test]
fn a_panic_is_reported_and_the_worker_continues() {
    let (pool, sender, receiver) = pool(1);
    pool.submit(Test::Panic(sender.clone()));
    pool.submit(Test::Say(1, sender.clone()));
    pool.wait_idle();
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["on purpose".len() as u32, 1]);
}

#[test]
fn dropping_the_pool_ends_jobs_in_progress() {
    let (pool, sender, receiver) = pool(2);
    pool.submit(Test::Hang(sender.clone()));
    pool.submit(Test::Hang(sender.clone()));
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(0), Ok(0)));
    drop(pool);
    drop(sender);
    assert!(receiver.recv().is_err());
}

#[test]
fn a_job_that_runs_again_goes_first() {
    let (pool, sender, receiver) = pool(1);
    pool.submit(Test::Hang(sender.clone()));
    assert_eq!(receiver.recv(), Ok(0));
    pool.shared.inner.lock().jobs.extend([Test::Again(2, sender.clone()), Test::Say(9, sender.clone())]);
    for worker in &pool.shared.inner.lock().workers {
        Flag::interrupt(&worker.handle);
    }
    pool.wait_idle();
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [2, 1, 0, 9]);
}

#[test]
fn only_active_workers_get_jobs_and_the_others_park_once() {
    let parked = Arc::new(AtomicUsize::new(0));
    let contexts = (0..3).map(|_| Flag(Arc::default(), Arc::clone(&parked))).collect();
    let pool: WorkerPool<Test> = WorkerPool::new(vec![contexts]).unwrap();
    let (sender, receiver) = channel();
    pool.set_active(0, 1);
    (0..50).for_each(|_| pool.submit(Test::Where(sender.clone())));
    pool.wait_idle();
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0; 50]);
    pool.set_active(0, 0);
    assert_eq!(pool.active(), 0);
    pool.set_active(0, 9);
    assert_eq!(pool.active(), 3);
    // All three are needed at once.
    for _ in 0..3 {
        pool.submit(Test::Hang(sender.clone()));
    }
    assert_eq!((0..3).map(|_| receiver.recv().unwrap()).collect::<Vec<_>>(), [0; 3]);
    drop(pool);
    assert!(parked.load(Ordering::Relaxed) <= 3);
}

#[test]
fn a_trimmed_worker_parks_once_and_continues() {
    let parked = Arc::new(AtomicUsize::new(0));
    let contexts = vec![Flag(Arc::default(), Arc::clone(&parked))];
    let pool: WorkerPool<Test> = WorkerPool::new(vec![contexts]).unwrap();
    let (sender, receiver) = channel();
    pool.submit(Test::Hang(sender.clone()));
    assert_eq!(receiver.recv(), Ok(0));
    pool.trim(0);
    assert_eq!(parked.load(Ordering::Relaxed), 0, "not while it is running");
    Flag::interrupt(&pool.shared.inner.lock().workers[0].handle);
    (1..4).for_each(|n| pool.submit(Test::Say(n, sender.clone())));
    pool.wait_idle();
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(parked.load(Ordering::Relaxed), 1);
    // An idle worker parks at once.
    pool.trim(0);
    while parked.load(Ordering::Relaxed) < 2 {
        thread::yield_now();
    }
}

#[test]
fn a_single_active_worker_waits_for_the_others_to_finish() {
    let (pool, sender, receiver) = pool(2);
    pool.submit(Test::Hang(sender.clone()));
    pool.submit(Test::Hang(sender.clone()));
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(0), Ok(0)));
    pool.set_active(0, 1);
    pool.submit(Test::Say(7, sender.clone()));
    let interrupt = |index: usize| Flag::interrupt(&pool.shared.inner.lock().workers[index].handle);
    interrupt(0);
    // The first worker is free now, but the second is still running.
    while pool.shared.inner.lock().workers[0].busy {
        thread::yield_now();
    }
    assert!(receiver.try_recv().is_err());
    interrupt(1);
    assert_eq!(receiver.recv(), Ok(7));
}

#[test]
fn a_group_stays_left_out_and_the_last_one_cannot_be() {
    let group = || vec![Flag::default(), Flag::default()];
    let pool: WorkerPool<Test> = WorkerPool::new(vec![group(), group()]).unwrap();
    assert!(!pool.is_alone(0) && pool.leave_out(1) && pool.is_alone(0));
    pool.set_active(1, 2);
    assert_eq!((pool.active_in(0), pool.active_in(1)), (2, 0));
    assert!(!pool.leave_out(0));
    assert_eq!(pool.active(), 2);
}

#[test]
fn a_job_goes_to_the_first_group_with_a_free_worker() {
    let (sender, receiver) = channel();
    let group = |workers: usize| (0..workers).map(|_| Flag::default()).collect::<Vec<_>>();
    let pool: WorkerPool<Test> = WorkerPool::new(vec![group(2), group(1)]).unwrap();
    pool.set_active(0, 1);
    assert_eq!((pool.active_in(0), pool.active_in(1), pool.active()), (1, 1, 2));
    pool.submit(Test::Hang(sender.clone()));
    pool.submit(Test::Hang(sender.clone()));
    // One in each group; a third has to wait.
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(0), Ok(0)));
    let busy = || pool.shared.inner.lock().workers.iter().map(|worker| worker.busy).collect::<Vec<_>>();
    assert_eq!(busy(), [true, false, true]);
    pool.submit(Test::Where(sender.clone()));
    pool.set_active(1, 0);
    Flag::interrupt(&pool.shared.inner.lock().workers[0].handle);
    assert_eq!(receiver.recv(), Ok(0));
    pool.set_active(0, 2);
    pool.submit(Test::Say(5, sender.clone()));
    assert_eq!(receiver.recv(), Ok(5));
}
