//! Scenes with the worker pool. `set_active` and `cancel` come at any moment.

use std::collections::HashSet;

use shuttle::sync::atomic::AtomicUsize;

use crate::pool::{Interruptible, Job, Outcome, WorkerPool};
use crate::sync::{Arc, Condvar, Mutex, Ordering, thread};

/// What happens on stage, for all threads to see.
#[derive(Default)]
pub struct Stage {
    /// Jobs that ran to their end.
    done: Mutex<Vec<u32>>,
    /// Jobs that run now.
    running: AtomicUsize,
    /// Contexts that hold memory, and those that there are.
    holding: AtomicUsize,
    contexts: AtomicUsize,
    /// What jobs have found wrong.
    failures: Mutex<Vec<String>>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let failures = self.failures.lock();
        assert!(failures.is_empty() || std::thread::panicking(), "{:?}", *failures);
    }
}

/// A session: it can be interrupted, and holds memory once it has run.
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
    /// Runs, for a moment.
    Pass,
    /// Runs until it is interrupted.
    Hang,
    /// Fails if it is interrupted.
    Untouched,
    /// Runs again so often.
    Again(u32),
    /// Fails if another one runs, or holds memory.
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
        // The pool catches panics; here they are findings.
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
                assert_eq!((others, self.stage.holding.load(Ordering::SeqCst)), (0, 1), "it does not run alone");
                thread::yield_now();
                assert_eq!(self.stage.running.load(Ordering::SeqCst), 1, "another one began beside it");
            }
        }
        Outcome::Done
    }
}

/// Groups of so many workers.
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
    submitters.into_iter().for_each(|thread| thread.join().expect("it does not fail"));
    pool.wait_idle();
    seen.extend(stage.done.lock().iter());
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 4, "{seen:?}");
}

pub fn an_interrupt_hits_only_what_runs() {
    let (pool, stage) = pool(&[2]);
    for round in 0..2 {
        submit(&pool, &stage, 3 * round, Part::Hang);
        submit(&pool, &stage, 3 * round + 1, Part::Hang);
        // Whatever of them runs has to end, and what does not is returned.
        drop(pool.cancel());
        submit(&pool, &stage, 3 * round + 2, Part::Untouched);
        pool.wait_idle();
        assert!(stage.done.lock().contains(&(3 * round + 2)));
    }
}

pub fn a_job_to_be_run_again_is_not_lost() {
    let (pool, stage) = pool(&[2]);
    submit(&pool, &stage, 0, Part::Again(2));
    submit(&pool, &stage, 1, Part::Pass);
    submit(&pool, &stage, 2, Part::Again(1));
    let other = Arc::clone(&pool);
    let canceller = thread::spawn(move || other.cancel().map(|job| job.number).collect::<Vec<_>>());
    pool.set_active(0, 1);
    let mut seen = canceller.join().expect("it does not fail");
    pool.wait_idle();
    seen.extend(stage.done.lock().iter());
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2]);
}

pub fn who_is_to_run_alone_does() {
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
    changer.join().expect("it does not fail");
}

pub fn a_group_is_inactive_and_the_other_goes_on() {
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
    changer.join().expect("it does not fail");
}

/// Both groups fail at the same time, while the number of workers is changed in each.
pub fn one_group_is_left_out_for_good() {
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
    changer.join().expect("it does not fail");
    let left: Vec<_> = leaving.into_iter().map(|thread| thread.join().expect("it does not fail")).collect();
    pool.wait_idle();
    assert_eq!(stage.done.lock().len(), 3);
    assert_ne!(left[0], left[1], "one goes, the other stays");
    let gone = usize::from(left[1]);
    assert_eq!((pool.active_in(gone), pool.active_in(1 - gone)), (0, 1));
    assert!(pool.is_alone(1 - gone));
}

pub fn dropping_the_pool_ends_all() {
    let (pool, stage) = pool(&[2]);
    submit(&pool, &stage, 0, Part::Hang);
    submit(&pool, &stage, 1, Part::Again(1));
    submit(&pool, &stage, 2, Part::Hang);
    pool.set_active(0, 1);
    drop(pool);
    assert_eq!(stage.running.load(Ordering::SeqCst), 0);
    assert_eq!(stage.contexts.load(Ordering::SeqCst), 0, "a worker has outlived the pool");
}
