//! The worker pool: threads that each own a context (a session) and take jobs in order.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::sync::thread::{self, JoinHandle};
use super::sync::{Arc, Condvar, Mutex, MutexGuard};

/// A unit of work.
pub trait Job: Send + 'static {
    /// What each worker owns and lends to its jobs.
    type Context: Interruptible;

    /// Does the work. It delivers the result itself, unless the job returns [`Outcome::Again`].
    fn run(&mut self, context: &mut Self::Context) -> Outcome;

    /// Called if `run` panicked with `message`.
    fn panicked(&mut self, message: &str);
}

/// A pool of boxed jobs does not name their type.
impl<C: Interruptible> Job for Box<dyn Job<Context = C>> {
    type Context = C;

    fn run(&mut self, context: &mut C) -> Outcome {
        (**self).run(context)
    }

    fn panicked(&mut self, message: &str) {
        (**self).panicked(message);
    }
}

/// What happens to a job after it has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Run it again: it goes to the front of the queue, for the first free worker.
    Again,
}

/// A context whose work in progress another thread can cut short.
pub trait Interruptible: Send + 'static {
    type Handle: Send + 'static;
    fn handle(&self) -> Self::Handle;
    /// Makes the run in progress return soon.
    fn interrupt(handle: &Self::Handle);
    /// Lets the context run again.
    fn rearm(handle: &Self::Handle);
    /// Releases what holds memory, because the worker gets no jobs for now. The next job acquires it again.
    fn park(&mut self);
}

/// A fixed set of worker threads named `upscale-0`, `upscale-1`, ..., in groups (one per device). In each group, the
/// first few workers are active. Jobs start in the order of submission, on the first free worker.
///
/// Dropping the pool abandons waiting jobs, interrupts running ones and joins the threads.
pub struct WorkerPool<J: Job> {
    shared: Arc<Shared<J>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<J: Job> {
    inner: Mutex<Inner<J>>,
    /// Signalled when a job arrives, the number of active workers changes, or the pool stops.
    work: Condvar,
    /// Signalled when a worker becomes idle.
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
    /// Workers with a rank of this number or higher get no jobs.
    active: usize,
    /// The group gets no more jobs, for good.
    left_out: bool,
}

struct Worker<J: Job> {
    group: usize,
    /// Its index in the group.
    rank: usize,
    handle: <J::Context as Interruptible>::Handle,
    /// A job is running.
    busy: bool,
    /// It may hold what [`Interruptible::park`] releases.
    holding: bool,
    /// It must park before it takes another job.
    trim: bool,
}

impl<J: Job> WorkerPool<J> {
    /// Starts one thread for each context of each group.
    pub fn new(groups: Vec<Vec<J::Context>>) -> std::io::Result<Self> {
        let sizes = groups.iter().map(|contexts| Group { active: contexts.len(), left_out: false }).collect();
        let places = groups.iter().enumerate().flat_map(|(group, contexts)| {
            contexts.iter().enumerate().map(move |(rank, context)| (group, rank, context.handle()))
        });
        let workers: Vec<_> = places
            .map(|(group, rank, handle)| Worker { group, rank, handle, busy: false, holding: true, trim: false })
            .collect();
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

    /// Appends a job to the queue.
    pub fn submit(&self, job: J) {
        let mut inner = self.shared.inner.lock();
        inner.jobs.push_back(job);
        self.shared.wake(&inner);
    }

    /// From now on, only the first `count` workers of a group get jobs; the others finish their current job, then park.
    /// A job starts only when fewer than `count` workers of the group are running or still hold memory, so a single
    /// active worker never shares the device with one that has yet to park. At least one worker of some group must stay
    /// active, or waiting jobs never run. Has no effect on a group that was left out.
    pub fn set_active(&self, group: usize, count: usize) {
        let mut inner = self.shared.inner.lock();
        let size = inner.workers.iter().filter(|worker| worker.group == group).count();
        if let Some(group) = inner.groups.get_mut(group).filter(|group| !group.left_out) {
            group.active = count.min(size);
        }
        self.shared.work.notify_all();
    }

    /// Makes each worker of a group release its memory as soon as it is idle.
    pub fn trim(&self, group: usize) {
        let mut inner = self.shared.inner.lock();
        let holding = inner.workers.iter_mut().filter(|worker| worker.group == group && worker.holding);
        holding.for_each(|worker| worker.trim = true);
        self.shared.work.notify_all();
    }

    /// Stops giving jobs to a group, for good, if another group remains; its running jobs finish. Returns `false` if it
    /// is the last group.
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

    /// Number of active workers in a group.
    pub fn active_in(&self, group: usize) -> usize {
        self.shared.inner.lock().groups.get(group).map_or(0, |group| group.active)
    }

    /// Number of active workers.
    pub fn active(&self) -> usize {
        self.shared.inner.lock().active()
    }

    /// Number of jobs waiting for a worker.
    pub fn waiting(&self) -> usize {
        self.shared.inner.lock().jobs.len()
    }

    /// Removes the waiting jobs and interrupts the running ones, which may still be running when this returns.
    ///
    /// The jobs are returned because they own buffers whose release may call into other elements: drop them without
    /// holding a lock.
    pub fn cancel(&self) -> impl Iterator<Item = J> + use<J> {
        let dropped = self.shared.inner.lock().cancel();
        self.shared.idle.notify_all();
        dropped.into_iter()
    }

    /// Waits until no job is waiting or running.
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
            // A job may drop the last reference to the pool on a worker's own thread, which cannot join itself.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                debug_assert!(false, "panics are caught around each job");
            }
        }
    }
}

impl<J: Job> Inner<J> {
    /// Workers of a group that are running, or have yet to park.
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
    /// The main loop of a worker.
    fn serve(&self, index: usize, mut context: J::Context) {
        loop {
            let mut job = match self.next(index) {
                Next::Job(job) => job,
                Next::Park => {
                    context.park();
                    self.parked(index);
                    if self.wait_until_active(index) { continue } else { return }
                }
                Next::Trim => {
                    context.park();
                    self.parked(index);
                    continue;
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
            // Dropped without the lock: it may own buffers.
            done = None;
        }
        let mut inner = self.inner.lock();
        inner.workers[index].busy = false;
        if !inner.stopping
            && let Some(job) = done.take()
        {
            inner.jobs.push_front(job);
        }
        // Other workers may have waited for this one to finish.
        if !inner.jobs.is_empty() {
            self.wake(&inner);
        }
        drop(inner);
        self.idle.notify_all();
    }

    /// Wakes a worker that can take a job. Parked workers wait on the same condition and could swallow a single
    /// notification.
    fn wake(&self, inner: &Inner<J>) {
        if inner.active() < inner.workers.len() {
            self.work.notify_all();
        } else {
            self.work.notify_one();
        }
    }

    /// Waits for a job, or until the worker has to park, trim or stop.
    fn next(&self, index: usize) -> Next<J> {
        let mut inner = self.inner.lock();
        loop {
            if inner.stopping {
                return Next::Stop;
            }
            if !inner.is_active(index) {
                return Next::Park;
            }
            if inner.workers[index].trim {
                return Next::Trim;
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
        inner.workers[index].trim = false;
        if !inner.jobs.is_empty() {
            self.wake(&inner);
        }
    }

    /// Returns `false` when the pool stops.
    fn wait_until_active(&self, index: usize) -> bool {
        let mut inner = self.inner.lock();
        while !inner.stopping && !inner.is_active(index) {
            self.work.wait(&mut inner);
        }
        !inner.stopping
    }

    /// Runs under the lock that `cancel` takes: an interrupt meant for an earlier job never hits this one, and a later
    /// interrupt always does.
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
    /// Release its memory and wait until it is active again.
    Park,
    /// Release its memory, then continue.
    Trim,
    Stop,
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

// An explicit path, because `tests/scheduler/` includes this file from elsewhere.
#[cfg(test)]
#[path = "pool/tests.rs"]
mod tests;
