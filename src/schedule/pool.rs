//! The worker pool: threads that each own a context (a session) and take jobs in order.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::sync::thread::{self, JoinHandle};
use super::sync::{Arc, Condvar, Mutex, MutexGuard};

/// A piece of work.
pub trait Job: Send + 'static {
    /// What each worker owns and lends to its jobs.
    type Context: Interruptible;

    /// Does the work. Whoever waits for the result is told from in here, unless the job is to be run again.
    fn run(&mut self, context: &mut Self::Context) -> Outcome;

    /// Called instead of the rest of `run` if that panicked with `message`.
    fn panicked(&mut self, message: &str);
}

/// What becomes of a job that has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// It goes before all that wait, to whichever worker is free first.
    Again,
}

/// Work in progress on this context can be cut short from another thread.
pub trait Interruptible: Send + 'static {
    type Handle: Send + 'static;
    fn handle(&self) -> Self::Handle;
    /// Makes the run in progress return soon.
    fn interrupt(handle: &Self::Handle);
    /// Lets the context run again.
    fn rearm(handle: &Self::Handle);
    /// The worker gets no jobs for now: lets go of what holds memory. The next job finds it again.
    fn park(&mut self);
}

/// A fixed set of worker threads named `upscale-0` on, in groups (one for each device), of each of which the first few are active. Jobs
/// start in the order of submission, wherever a worker is free.
///
/// Dropping the pool abandons waiting jobs, interrupts those under way and joins the threads.
pub struct WorkerPool<J: Job> {
    shared: Arc<Shared<J>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<J: Job> {
    inner: Mutex<Inner<J>>,
    /// Signalled when a job came, the number of active workers was changed, or the pool stops.
    work: Condvar,
    /// Signalled when a worker has become idle.
    idle: Condvar,
}

struct Inner<J: Job> {
    jobs: VecDeque<J>,
    workers: Vec<Worker<J>>,
    groups: Vec<Group>,
    stopping: bool,
}

#[derive(Clone, Copy)]
struct Group {
    /// Workers of a rank from this number on get no jobs.
    active: usize,
    /// It gets no jobs any more.
    left_out: bool,
}

struct Worker<J: Job> {
    group: usize,
    /// Its place in the group.
    rank: usize,
    handle: <J::Context as Interruptible>::Handle,
    /// A job is under way.
    busy: bool,
    /// It may hold what [`Interruptible::park`] lets go of.
    holding: bool,
}

impl<J: Job> WorkerPool<J> {
    /// Starts one thread for each context of each group.
    pub fn new(groups: Vec<Vec<J::Context>>) -> std::io::Result<Self> {
        let sizes = groups.iter().map(|contexts| Group { active: contexts.len(), left_out: false }).collect();
        let places = groups.iter().enumerate().flat_map(|(group, contexts)| {
            contexts.iter().enumerate().map(move |(rank, context)| (group, rank, context.handle()))
        });
        let workers: Vec<_> =
            places.map(|(group, rank, handle)| Worker { group, rank, handle, busy: false, holding: true }).collect();
        let shared = Arc::new(Shared {
            inner: Mutex::new(Inner { jobs: VecDeque::new(), workers, groups: sizes, stopping: false }),
            work: Condvar::new(),
            idle: Condvar::new(),
        });
        let mut pool = WorkerPool { shared, threads: Vec::new() };
        for (index, context) in groups.into_iter().flatten().enumerate() {
            let shared = Arc::clone(&pool.shared);
            let thread =
                thread::Builder::new().name(format!("upscale-{index}")).spawn(move || shared.serve(index, context))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Puts a job behind those that wait.
    pub fn submit(&self, job: J) {
        let mut inner = self.shared.inner.lock();
        inner.jobs.push_back(job);
        self.shared.wake(&inner);
    }

    /// From now on only the first `count` workers of a group get jobs; others that are at work finish first, then park. A job
    /// starts only when fewer than `count` of the group are under way, and those that park have let go of what they hold: who runs alone
    /// shares with nobody. Somewhere there has to be one that gets jobs, else those that wait do so for ever. A group that was left out
    /// stays so.
    pub fn set_active(&self, group: usize, count: usize) {
        let mut inner = self.shared.inner.lock();
        let size = inner.workers.iter().filter(|worker| worker.group == group).count();
        if let Some(group) = inner.groups.get_mut(group).filter(|group| !group.left_out) {
            group.active = count.min(size);
        }
        self.shared.work.notify_all();
    }

    /// Gives a group no more jobs, for good, if another one gets them; those under way in it finish. `false` if it is the last.
    pub fn leave_out(&self, group: usize) -> bool {
        let mut inner = self.shared.inner.lock();
        if inner.is_alone(group) {
            return false;
        }
        inner.groups[group] = Group { active: 0, left_out: true };
        self.shared.work.notify_all();
        true
    }

    /// Whether all other groups were left out.
    pub fn is_alone(&self, group: usize) -> bool {
        self.shared.inner.lock().is_alone(group)
    }

    /// Workers of a group that get jobs.
    pub fn active_in(&self, group: usize) -> usize {
        self.shared.inner.lock().groups.get(group).map_or(0, |group| group.active)
    }

    /// Workers that get jobs.
    pub fn active(&self) -> usize {
        self.shared.inner.lock().active()
    }

    /// Jobs that wait for a worker.
    pub fn waiting(&self) -> usize {
        self.shared.inner.lock().jobs.len()
    }

    /// Takes out the jobs that wait and interrupts those under way; they may still be running when this returns.
    ///
    /// The jobs are returned because they own buffers whose release may call into other elements: drop them without a lock.
    pub fn cancel(&self) -> impl Iterator<Item = J> + use<J> {
        let dropped = self.shared.inner.lock().cancel();
        self.shared.idle.notify_all();
        dropped.into_iter()
    }

    /// Waits until no job waits or is under way.
    pub fn wait_idle(&self) {
        let mut inner = self.shared.inner.lock();
        while !inner.jobs.is_empty() || inner.workers.iter().any(|worker| worker.busy) {
            self.shared.idle.wait(&mut inner);
        }
    }

    pub fn workers(&self) -> usize {
        self.threads.len()
    }
}

impl<J: Job> Drop for WorkerPool<J> {
    fn drop(&mut self) {
        let dropped = {
            let mut inner = self.shared.inner.lock();
            inner.stopping = true;
            inner.cancel()
        };
        drop(dropped);
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // The last owner may be let go by a job, on a worker's own thread, which cannot join itself.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                debug_assert!(false, "panics are caught around each job");
            }
        }
    }
}

impl<J: Job> Inner<J> {
    /// Workers of a group that are at work, or about to park and not done with it.
    fn taken(&self, group: usize) -> usize {
        let counts = |worker: &&Worker<J>| {
            worker.group == group && (worker.busy || worker.rank >= self.groups[group].active && worker.holding)
        };
        self.workers.iter().filter(counts).count()
    }

    fn active(&self) -> usize {
        self.groups.iter().map(|group| group.active).sum()
    }

    fn is_alone(&self, group: usize) -> bool {
        self.groups.iter().enumerate().all(|(other, others)| other == group || others.left_out)
    }

    fn is_active(&self, index: usize) -> bool {
        let worker = &self.workers[index];
        worker.rank < self.groups[worker.group].active
    }

    fn cancel(&mut self) -> VecDeque<J> {
        for worker in self.workers.iter().filter(|worker| worker.busy) {
            J::Context::interrupt(&worker.handle);
        }
        std::mem::take(&mut self.jobs)
    }
}

impl<J: Job> Shared<J> {
    /// A worker's life.
    fn serve(&self, index: usize, mut context: J::Context) {
        loop {
            let mut job = match self.next(index) {
                Next::Job(job) => job,
                Next::Park => {
                    context.park();
                    self.parked(index);
                    if self.wait_until_active(index) { continue } else { return }
                }
                Next::Stop => return,
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| job.run(&mut context))).unwrap_or_else(|panic| {
                job.panicked(panic_message(&*panic));
                Outcome::Done
            });
            self.finish(index, job, outcome);
        }
    }

    fn finish(&self, index: usize, job: J, outcome: Outcome) {
        let mut done = Some(job);
        if outcome == Outcome::Done {
            // Without the lock: it may own buffers.
            done = None;
        }
        let mut inner = self.inner.lock();
        inner.workers[index].busy = false;
        if !inner.stopping
            && let Some(job) = done.take()
        {
            inner.jobs.push_front(job);
        }
        // Others may have waited for this one to end.
        if !inner.jobs.is_empty() {
            self.wake(&inner);
        }
        drop(inner);
        self.idle.notify_all();
    }

    /// Wakes a worker that may take a job. Those that are parked wait at the same place and could swallow a single call.
    fn wake(&self, inner: &Inner<J>) {
        if inner.active() < inner.workers.len() {
            self.work.notify_all();
        } else {
            self.work.notify_one();
        }
    }

    /// Waits for a job, for being parked, or for the end.
    fn next(&self, index: usize) -> Next<J> {
        let mut inner = self.inner.lock();
        loop {
            if inner.stopping {
                return Next::Stop;
            }
            if !inner.is_active(index) {
                return Next::Park;
            }
            let group = inner.workers[index].group;
            if inner.taken(group) < inner.groups[group].active
                && let Some(job) = inner.jobs.pop_front()
            {
                return Next::Job(Self::begin(&mut inner, index, job));
            }
            self.work.wait(&mut inner);
        }
    }

    fn parked(&self, index: usize) {
        let mut inner = self.inner.lock();
        inner.workers[index].holding = false;
        if !inner.jobs.is_empty() {
            self.wake(&inner);
        }
    }

    /// `false` when the pool stops.
    fn wait_until_active(&self, index: usize) -> bool {
        let mut inner = self.inner.lock();
        while !inner.stopping && !inner.is_active(index) {
            self.work.wait(&mut inner);
        }
        !inner.stopping
    }

    /// Under the lock that `cancel` takes, so that an interrupt meant for an earlier job never reaches this one, and one that
    /// comes from now on always does.
    fn begin(inner: &mut MutexGuard<'_, Inner<J>>, index: usize, job: J) -> J {
        let worker = &mut inner.workers[index];
        J::Context::rearm(&worker.handle);
        worker.busy = true;
        worker.holding = true;
        job
    }
}

/// What a worker does next.
enum Next<J> {
    Job(J),
    Park,
    Stop,
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A context whose interrupt is a flag with a condition variable, and which counts how often it was parked.
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
        /// Says that it has begun, then runs until it is interrupted.
        Hang(Sender<u32>),
        Panic(Sender<u32>),
        Count(Arc<AtomicUsize>),
        /// Runs again as often as this says, telling how often it is still to be.
        Again(u32, Sender<u32>),
        /// Tells the thread's number.
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
    fn cancel_drops_what_waits_and_interrupts_what_runs_and_the_worker_goes_on() {
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
    fn a_panic_is_told_and_the_worker_goes_on() {
        let (pool, sender, receiver) = pool(1);
        pool.submit(Test::Panic(sender.clone()));
        pool.submit(Test::Say(1, sender.clone()));
        pool.wait_idle();
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["on purpose".len() as u32, 1]);
    }

    #[test]
    fn dropping_the_pool_ends_jobs_under_way() {
        let (pool, sender, receiver) = pool(2);
        pool.submit(Test::Hang(sender.clone()));
        pool.submit(Test::Hang(sender.clone()));
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(0), Ok(0)));
        drop(pool);
        drop(sender);
        assert!(receiver.recv().is_err());
    }

    #[test]
    fn a_job_to_be_run_again_goes_first() {
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
    fn who_is_to_run_alone_waits_for_those_under_way() {
        let (pool, sender, receiver) = pool(2);
        pool.submit(Test::Hang(sender.clone()));
        pool.submit(Test::Hang(sender.clone()));
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(0), Ok(0)));
        pool.set_active(0, 1);
        pool.submit(Test::Say(7, sender.clone()));
        let interrupt = |index: usize| Flag::interrupt(&pool.shared.inner.lock().workers[index].handle);
        interrupt(0);
        // The first worker is free now, but the second is still at it.
        while pool.shared.inner.lock().workers[0].busy {
            thread::yield_now();
        }
        assert!(receiver.try_recv().is_err());
        interrupt(1);
        assert_eq!(receiver.recv(), Ok(7));
    }

    #[test]
    fn a_group_that_was_left_out_stays_so_and_the_last_one_is_not() {
        let group = || vec![Flag::default(), Flag::default()];
        let pool: WorkerPool<Test> = WorkerPool::new(vec![group(), group()]).unwrap();
        assert!(!pool.is_alone(0) && pool.leave_out(1) && pool.is_alone(0));
        pool.set_active(1, 2);
        assert_eq!((pool.active_in(0), pool.active_in(1)), (2, 0));
        assert!(!pool.leave_out(0));
        assert_eq!(pool.active(), 2);
    }

    #[test]
    fn a_job_goes_to_whichever_group_has_a_worker_free() {
        let (sender, receiver) = channel();
        let group = |workers: usize| (0..workers).map(|_| Flag::default()).collect::<Vec<_>>();
        let pool: WorkerPool<Test> = WorkerPool::new(vec![group(2), group(1)]).unwrap();
        pool.set_active(0, 1);
        assert_eq!((pool.active_in(0), pool.active_in(1), pool.active()), (1, 1, 2));
        pool.submit(Test::Hang(sender.clone()));
        pool.submit(Test::Hang(sender.clone()));
        // One in each group, and a third has no place.
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
}
