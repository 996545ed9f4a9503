//! Scenarios for the worker pool, with `set_active` and `cancel` at any moment.

use std::collections::HashSet;

use shuttle::sync::atomic::AtomicUsize;

use crate::pool::{Interruptible, Job, Outcome, WorkerPool};
use crate::sync::{Arc, Condvar, Mutex, Ordering, thread};

/// State that all threads of a scenario share.
#[derive(Default)]
pub struct Stage {
    /// Numbers of the jobs that have finished.
    done: Mutex<Vec<u32>>,
    /// The number of jobs that run now.
    running: AtomicUsize,
    /// The number of contexts that hold memory.
    holding: AtomicUsize,
    /// The number of all contexts.
    contexts: AtomicUsize,
    /// Panics in jobs.
    failures: Mutex<Vec<String>>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let failures = self.failures.lock();
        assert!(failures.is_empty() || std::thread::panicking(), "{:?}", *failures);
    }
}

/// A context that can be interrupted and that holds memory once it has run.
pub struct Session {
    flag: Arc<Flag>,
    stage: Arc<Stage>,
    holds: bool,
}

#[derive(Default)]
pub struct Flag {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Session {
    fn new(stage: &Arc<Stage>) -> Self {
        stage.contexts.fetch_add(1, Ordering::SeqCst);
        Session { flag: Arc::default(), stage: Arc::clone(stage), holds: false }
    }

    fn hold(&mut self, hold: bool) {
        if std::mem::replace(&mut self.holds, hold) != hold {
            let one = if hold { AtomicUsize::fetch_add } else { AtomicUsize::fetch_sub };
            one(&self.stage.holding, 1, Ordering::SeqCst);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.hold(false);
        self.stage.contexts.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Interruptible for Session {
    type Handle = Arc<Flag>;

    fn handle(&self) -> Arc<Flag> {
        Arc::clone(&self.flag)
    }

    fn interrupt(flag: &Arc<Flag>) {
        *flag.raised.lock() = true;
        flag.changed.notify_all();
    }

    fn rearm(flag: &Arc<Flag>) {
        *flag.raised.lock() = false;
    }

    fn park(&mut self) {
        self.hold(false);
    }
}

enum Part {
    /// Runs briefly.
    Pass,
    /// Runs until it is interrupted.
    Hang,
    /// Fails if it is interrupted.
    Untouched,
    /// Asks to run again, this many times.
    Again(u32),
    /// Fails if another job runs or another context holds memory.
    Alone,
}

struct Actor {
    number: u32,
    part: Part,
    stage: Arc<Stage>,
}

impl Job for Actor {
    type Context = Session;

    fn run(&mut self, session: &mut Session) -> Outcome {
        session.hold(true);
        let others = self.stage.running.fetch_add(1, Ordering::SeqCst);
        let outcome = self.play(session, others);
        self.stage.running.fetch_sub(1, Ordering::SeqCst);
        if outcome == Outcome::Done {
            self.stage.done.lock().push(self.number);
        }
        outcome
    }

    fn panicked(&mut self, message: &str) {
        // The pool catches panics; in these tests they are failures.
        self.stage.failures.lock().push(message.to_owned());
    }
}

impl Actor {
    fn play(&mut self, session: &Session, others: usize) -> Outcome {
        match &mut self.part {
            Part::Pass => thread::yield_now(),
            Part::Hang => {
                let mut raised = session.flag.raised.lock();
                while !*raised {
                    session.flag.changed.wait(&mut raised);
                }
            }
            Part::Untouched => {
                for _ in 0..2 {
                    assert!(!*session.flag.raised.lock(), "an interrupt for an earlier job hits this one");
                    thread::yield_now();
                }
            }
            Part::Again(0) => {}
            Part::Again(times) => {
                *times -= 1;
                return Outcome::Again;
            }
            Part::Alone => {
                assert_eq!(others, 0, "another job runs");
                assert_eq!(self.stage.holding.load(Ordering::SeqCst), 1, "another context holds memory");
                thread::yield_now();
                assert_eq!(self.stage.running.load(Ordering::SeqCst), 1, "another job has started");
            }
        }
        Outcome::Done
    }
}

/// A pool with a group of each of these numbers of workers.
fn pool(groups: &[usize]) -> (Arc<WorkerPool<Actor>>, Arc<Stage>) {
    let stage = Arc::<Stage>::default();
    let contexts = groups.iter().map(|workers| (0..*workers).map(|_| Session::new(&stage)).collect());
    let pool = WorkerPool::new(contexts.collect()).expect("threads can be started");
    (Arc::new(pool), stage)
}

fn submit(pool: &WorkerPool<Actor>, stage: &Arc<Stage>, number: u32, part: Part) {
    pool.submit(Actor { number, part, stage: Arc::clone(stage) });
}

pub fn every_job_runs_once_or_is_returned() {
    let (pool, stage) = pool(&[2]);
    let submitters: Vec<_> = (0..2)
        .map(|first| {
            let (pool, stage) = (Arc::clone(&pool), Arc::clone(&stage));
            thread::spawn(move || (0..2).for_each(|n| submit(&pool, &stage, 2 * first + n, Part::Pass)))
        })
        .collect();
    let mut seen: Vec<u32> = pool.cancel().map(|job| job.number).collect();
    submitters.into_iter().for_each(|thread| thread.join().expect("the thread does not panic"));
    pool.wait_idle();
    seen.extend(stage.done.lock().iter());
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 4, "{seen:?}");
}

pub fn an_interrupt_ends_only_running_jobs() {
    let (pool, stage) = pool(&[2]);
    for round in 0..2 {
        submit(&pool, &stage, 3 * round, Part::Hang);
        submit(&pool, &stage, 3 * round + 1, Part::Hang);
        // A running job is interrupted; a waiting job is returned.
        drop(pool.cancel());
        submit(&pool, &stage, 3 * round + 2, Part::Untouched);
        pool.wait_idle();
        assert!(stage.done.lock().contains(&(3 * round + 2)));
    }
}

pub fn a_job_that_asks_to_run_again_is_not_lost() {
    let (pool, stage) = pool(&[2]);
    submit(&pool, &stage, 0, Part::Again(2));
    submit(&pool, &stage, 1, Part::Pass);
    submit(&pool, &stage, 2, Part::Again(1));
    let other = Arc::clone(&pool);
    let canceller = thread::spawn(move || other.cancel().map(|job| job.number).collect::<Vec<_>>());
    pool.set_active(0, 1);
    let mut seen = canceller.join().expect("the thread does not panic");
    pool.wait_idle();
    seen.extend(stage.done.lock().iter());
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2]);
}

pub fn a_lone_worker_runs_alone() {
    let (pool, stage) = pool(&[3]);
    (0..3).for_each(|n| submit(&pool, &stage, n, Part::Pass));
    pool.set_active(0, 1);
    (3..5).for_each(|n| submit(&pool, &stage, n, Part::Alone));
    pool.wait_idle();
    assert_eq!(stage.done.lock().len(), 5);
}

pub fn workers_come_and_go() {
    let (pool, stage) = pool(&[3]);
    let changer = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || {
            for count in [1, 3, 2] {
                pool.set_active(0, count);
                pool.trim(0);
            }
        })
    };
    (0..5).for_each(|n| submit(&pool, &stage, n, Part::Pass));
    pool.wait_idle();
    assert_eq!(stage.done.lock().len(), 5);
    changer.join().expect("the thread does not panic");
}

pub fn one_group_is_inactive_while_the_other_continues() {
    let (pool, stage) = pool(&[2, 1]);
    let changer = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || {
            for (group, count) in [(1, 0), (0, 1), (1, 1), (0, 0)] {
                pool.set_active(group, count);
            }
        })
    };
    (0..4).for_each(|n| submit(&pool, &stage, n, if n == 1 { Part::Again(1) } else { Part::Pass }));
    pool.wait_idle();
    assert_eq!(stage.done.lock().len(), 4);
    changer.join().expect("the thread does not panic");
}

/// Both groups fail at the same time, while the number of workers changes in each.
pub fn one_of_two_failing_groups_is_given_up() {
    let (pool, stage) = pool(&[2, 1]);
    let leaving: Vec<_> = (0..2)
        .map(|group| {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.leave_out(group))
        })
        .collect();
    let changer = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || [(0, 1), (1, 1)].into_iter().for_each(|(group, count)| pool.set_active(group, count)))
    };
    (0..3).for_each(|n| submit(&pool, &stage, n, Part::Pass));
    changer.join().expect("the thread does not panic");
    let left: Vec<_> = leaving.into_iter().map(|thread| thread.join().expect("the thread does not panic")).collect();
    pool.wait_idle();
    assert_eq!(stage.done.lock().len(), 3);
    assert_ne!(left[0], left[1], "exactly one group leaves");
    let gone = usize::from(left[1]);
    assert_eq!(pool.active_in(gone), 0);
    assert_eq!(pool.active_in(1 - gone), 1);
    assert!(pool.is_alone(1 - gone));
}

pub fn dropping_the_pool_ends_all_workers() {
    let (pool, stage) = pool(&[2]);
    submit(&pool, &stage, 0, Part::Hang);
    submit(&pool, &stage, 1, Part::Again(1));
    submit(&pool, &stage, 2, Part::Hang);
    pool.set_active(0, 1);
    drop(pool);
    assert_eq!(stage.running.load(Ordering::SeqCst), 0);
    assert_eq!(stage.contexts.load(Ordering::SeqCst), 0, "a worker has outlived the pool");
}
