//! A network for tests: enlarges by repeating pixels, and does when and as the test says.
//!
//! [`DummyModel::with_device`] gives it a device with a memory of some size, of which each run takes a part and other programs may, too.
//!
//! A [`Gate`] holds runs until the test lets them go, in any order; a script makes chosen runs or sessions fail. Everything waits on
//! condition variables, so that a test needs no sleep; a wait that lasts [`PATIENCE`] panics, so that a test that hangs says where.

mod device;
mod gate;

pub use gate::{Gate, Waiting};

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use self::device::{Device, Taken};
use super::graph::{Local, Locality, ReceptiveField};
use super::{Channels, Element, Interrupt, Model, ModelError, ModelInfo, Provider, RunError, Upscaler};
use crate::device::{Id, Memory};
use crate::types::Size;

/// How long a test waits for something that should happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What goes wrong in a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// [`RunError::Failed`] with this text.
    Error(String),
    /// [`RunError::OutOfMemory`].
    OutOfMemory,
    /// [`RunError::WrongSize`].
    WrongSize,
    /// A panic with this text.
    Panic(String),
    /// An output that is this number everywhere.
    Output(f32),
}

#[derive(Default)]
struct State {
    /// Whether runs wait at the gate.
    held: bool,
    /// How many of the runs that wait or come later may pass.
    permits: usize,
    /// Runs that may pass whatever else holds.
    released: HashSet<usize>,
    waiting: Vec<Waiting>,
    /// The most that ever stood at the gate together.
    most_waiting: usize,
    arrived: usize,
    finished: usize,
    interrupted: usize,
    /// What happens in which run.
    run_failures: HashMap<usize, Failure>,
    /// Which session cannot be opened, and why.
    session_failures: HashMap<usize, String>,
    /// Of all tensors that were run.
    sizes: HashSet<Size>,
    sessions_opened: usize,
    /// Of the session of each run, in the order of arrival.
    threads: Vec<usize>,
    sessions_open: usize,
    device: Option<Device>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }

    /// Waits until `done`, and panics with `what` where that does not come.
    fn wait_until(&self, what: &str, mut done: impl FnMut(&State) -> bool) -> MutexGuard<'_, State> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock();
        while !done(&state) {
            let late = self.changed.wait_until(&mut state, deadline).timed_out();
            assert!(
                !late || done(&state),
                "waited in vain for {what}: {} runs arrived, {} finished, waiting {:?}",
                state.arrived,
                state.finished,
                state.waiting
            );
        }
        state
    }
}

/// See the [module](self).
pub struct DummyModel {
    info: ModelInfo,
    shared: Arc<Shared>,
}

impl DummyModel {
    /// Takes any size, enlarges by `scale`.
    pub fn new(channels: Channels, scale: u32) -> Self {
        let one = Size { width: 1, height: 1 };
        let info = ModelInfo {
            name: "dummy".into(),
            channels,
            scale,
            fixed_size: None,
            multiple: one,
            min_size: one,
            locality: Locality::Local(Local {
                receptive_field: ReceptiveField::default(),
                alignment: one,
                least: one,
                exact: true,
            }),
            live_elements: Some(0),
            input: Element::Float32,
            output: Element::Float32,
            provider: Provider::Cpu,
            fixed_pixels: 16,
            seconds_per_pixel: 0.0,
            threads: 1,
        };
        Self { info, shared: Arc::default() }
    }

    /// Changes what the model says of itself. A run that does not keep to `fixed_size`, `multiple` or `min_size` fails.
    pub fn with_info(mut self, change: impl FnOnce(&mut ModelInfo)) -> Self {
        change(&mut self.info);
        self
    }

    /// Runs on a device with `total` bytes of memory, of which a run on a tensor of `pixels` takes `curve(pixels)`; one that finds too
    /// little left fails with [`RunError::OutOfMemory`].
    pub fn with_device(self, total: u64, curve: fn(u64) -> u64) -> Self {
        let device = Device { total, curve, session: 0, used: 0, peak: 0, others: 0 };
        self.shared.change(|state| state.device = Some(device));
        self
    }

    /// An open session takes `bytes` of the device's memory; one that finds too little left cannot be opened.
    pub fn with_session_bytes(self, bytes: u64) -> Self {
        self.shared.change(|state| {
            if let Some(device) = &mut state.device {
                device.session = bytes;
            }
        });
        self
    }

    /// Other programs have `bytes` of the device's memory from now on.
    pub fn others_take(&self, bytes: u64) {
        self.shared.change(|state| {
            if let Some(device) = &mut state.device {
                device.others = bytes;
            }
        });
    }

    /// The most bytes of the device that runs and sessions had together, and what they have now.
    pub fn device_bytes(&self) -> (u64, u64) {
        self.shared.state.lock().device.map_or((0, 0), |device| (device.peak, device.used))
    }

    /// Makes run number `run` fail, counted from 0 in the order of arrival. It passes the gate first.
    pub fn fail_run(&self, run: usize, failure: Failure) {
        self.shared.change(|state| {
            state.run_failures.insert(run, failure);
        });
    }

    /// Makes the opening of session number `session` fail, counted from 0.
    pub fn fail_session(&self, session: usize, reason: &str) {
        self.shared.change(|state| {
            state.session_failures.insert(session, reason.into());
        });
    }

    /// The gate of all its sessions.
    pub fn gate(&self) -> Gate {
        Gate(self.shared.clone())
    }

    /// The most runs that ever stood at the gate together.
    pub fn most_waiting(&self) -> usize {
        self.shared.state.lock().most_waiting
    }

    /// Runs that have begun.
    pub fn runs(&self) -> usize {
        self.shared.state.lock().arrived
    }

    /// The sizes of the tensors that were run.
    pub fn sizes(&self) -> HashSet<Size> {
        self.shared.state.lock().sizes.clone()
    }

    /// Threads of the session of each run so far, in the order of arrival.
    pub fn threads(&self) -> Vec<usize> {
        self.shared.state.lock().threads.clone()
    }

    /// Runs that have ended, well or not.
    pub fn finished(&self) -> usize {
        self.shared.state.lock().finished
    }

    /// Runs that ended because they were interrupted.
    pub fn interrupted(&self) -> usize {
        self.shared.state.lock().interrupted
    }

    /// Sessions that were ever opened.
    pub fn sessions_opened(&self) -> usize {
        self.shared.state.lock().sessions_opened
    }

    /// Sessions that are open now.
    pub fn sessions_open(&self) -> usize {
        self.shared.state.lock().sessions_open
    }
}

impl Model for DummyModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn open_session_with(&self, threads: usize) -> Result<Box<dyn Upscaler>, ModelError> {
        let refused = {
            let mut state = self.shared.state.lock();
            let session = state.sessions_opened;
            state.sessions_opened += 1;
            state.session_failures.remove(&session)
        };
        let taken = refused.map_or_else(|| Taken::take(&self.shared, |device| device.session), Err);
        let taken = taken.map_err(|reason| ModelError::Invalid { name: self.info.name.clone(), reason })?;
        self.shared.change(|state| state.sessions_open += 1);
        Ok(Box::new(DummyUpscaler {
            info: self.info.clone(),
            shared: self.shared.clone(),
            raised: Arc::default(),
            largest: 0,
            threads,
            taken,
        }))
    }

    fn memory(&self) -> Option<Memory> {
        self.shared.state.lock().device.map(|device| Memory { total: device.total, free: device.free() })
    }

    fn device(&self) -> Id {
        Id::Dummy(Arc::as_ptr(&self.shared) as usize)
    }

    fn key(&self) -> Option<u128> {
        None
    }
}

struct DummyUpscaler {
    info: ModelInfo,
    shared: Arc<Shared>,
    /// Whether runs are to be cut short. Changed only under the lock of `shared`.
    raised: Arc<AtomicBool>,
    /// Bytes that the largest run so far took.
    largest: u64,
    threads: usize,
    /// What it takes by being open.
    taken: Taken,
}

/// Counts a run as finished, however it ends.
struct Finish<'a>(&'a Shared);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.finished += 1);
    }
}

impl DummyUpscaler {
    /// Stands at the gate. Gives what is to go wrong with the run.
    fn pass(&self, mark: f32) -> Result<Option<Failure>, RunError> {
        let mut state = self.shared.state.lock();
        let run = state.arrived;
        state.arrived += 1;
        state.threads.push(self.threads);
        state.waiting.push(Waiting { run, mark });
        state.most_waiting = state.most_waiting.max(state.waiting.len());
        self.shared.changed.notify_all();
        let result = loop {
            if self.raised.load(Ordering::Relaxed) {
                state.interrupted += 1;
                break Err(RunError::Interrupted);
            }
            if !state.held || state.released.remove(&run) {
                break Ok(());
            }
            if state.permits > 0 {
                state.permits -= 1;
                break Ok(());
            }
            self.shared.changed.wait(&mut state);
        };
        state.waiting.retain(|waiting| waiting.run != run);
        self.shared.changed.notify_all();
        result.map(|()| state.run_failures.remove(&run))
    }

    /// What is wrong with the input, if it breaks the model's own rules.
    fn complaint(&self, values: usize, size: Size) -> Option<String> {
        let Size { width, height } = size;
        let ModelInfo { multiple, min_size, .. } = self.info;
        if values == 0 || values != self.info.channels.count() * width as usize * height as usize {
            return Some(format!("{values} values for {width}x{height}"));
        }
        if self.info.fixed_size.is_some_and(|fixed| fixed != size) {
            return Some(format!("{width}x{height} is not the fixed size"));
        }
        if width % multiple.width != 0 || height % multiple.height != 0 {
            return Some(format!("{width}x{height} is no multiple"));
        }
        (width < min_size.width || height < min_size.height).then(|| format!("{width}x{height} is too small"))
    }
}

impl Upscaler for DummyUpscaler {
    fn run(&mut self, input: &[f32], size: Size, output: &mut Vec<f32>) -> Result<(), RunError> {
        let _finish = Finish(&self.shared);
        let taken = Taken::take(&self.shared, |device| (device.curve)(size.pixels()));
        let failure = self.pass(input.first().copied().unwrap_or(f32::NAN))?;
        let taken = taken.map_err(RunError::OutOfMemory)?;
        let scale = self.info.scale as usize;
        let expected = input.len() * scale * scale;
        match failure {
            None => {}
            Some(Failure::Error(text)) => return Err(RunError::Failed(text)),
            Some(Failure::OutOfMemory) => return Err(RunError::OutOfMemory("as the test says".into())),
            Some(Failure::WrongSize) => return Err(RunError::WrongSize { expected, got: expected + 1 }),
            Some(Failure::Panic(text)) => panic!("{text}"),
            Some(Failure::Output(value)) => {
                output.clear();
                output.resize(expected, value);
                return Ok(());
            }
        }
        if let Some(complaint) = self.complaint(input.len(), size) {
            return Err(RunError::Failed(complaint));
        }
        output.clear();
        output.reserve(expected);
        for row in input.chunks_exact(size.width as usize) {
            for _ in 0..scale {
                output.extend(row.iter().flat_map(|&value| std::iter::repeat_n(value, scale)));
            }
        }
        self.shared.change(|state| {
            state.sizes.insert(size);
        });
        self.largest = self.largest.max(taken.bytes);
        Ok(())
    }

    fn held(&self) -> Option<u64> {
        self.shared.state.lock().device?;
        Some(self.taken.bytes + self.largest)
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        Arc::new(DummyInterrupter { shared: self.shared.clone(), raised: self.raised.clone() })
    }
}

impl Drop for DummyUpscaler {
    fn drop(&mut self) {
        self.shared.change(|state| state.sessions_open -= 1);
    }
}

struct DummyInterrupter {
    shared: Arc<Shared>,
    raised: Arc<AtomicBool>,
}

impl Interrupt for DummyInterrupter {
    fn interrupt(&self) {
        self.shared.change(|_| self.raised.store(true, Ordering::Relaxed));
    }

    fn rearm(&self) {
        self.shared.change(|_| self.raised.store(false, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 2, height: 1 };

    #[test]
    fn repeats_pixels_channel_by_channel() {
        let model = DummyModel::new(Channels::Rgb, 2);
        let mut output = Vec::new();
        model.open_session().unwrap().run(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], SIZE, &mut output).unwrap();
        let row = |a, b| [a, a, b, b, a, a, b, b];
        assert_eq!(output, [row(1.0, 2.0), row(3.0, 4.0), row(5.0, 6.0)].concat());
        assert_eq!((model.runs(), model.finished(), model.sessions_opened(), model.sessions_open()), (1, 1, 1, 0));
    }

    #[test]
    fn runs_pass_the_gate_in_the_order_that_the_test_says() {
        let model = DummyModel::new(Channels::Luma, 1);
        let gate = model.gate();
        gate.hold();
        let (sender, ended) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            for run in 0..3 {
                let (mut session, sender) = (model.open_session().unwrap(), sender.clone());
                scope.spawn(move || {
                    session.run(&[run as f32, 0.0], SIZE, &mut Vec::new()).unwrap();
                    sender.send(run).unwrap();
                });
                assert_eq!(gate.wait_waiting(run + 1)[run], Waiting { run, mark: run as f32 });
            }
            for run in [2, 0] {
                gate.release_run(run);
                assert_eq!(ended.recv_timeout(PATIENCE), Ok(run));
            }
            assert_eq!(gate.waiting(), [Waiting { run: 1, mark: 1.0 }]);
            gate.release(1);
            assert_eq!(ended.recv_timeout(PATIENCE), Ok(1));
        });
        gate.wait_finished(3);
    }

    #[test]
    fn a_held_run_can_be_interrupted_and_the_session_goes_on_after() {
        let model = DummyModel::new(Channels::Luma, 1);
        model.gate().hold();
        let mut session = model.open_session().unwrap();
        let interrupter = session.interrupter();
        std::thread::scope(|scope| {
            let run = scope.spawn(|| session.run(&[0.0, 0.0], SIZE, &mut Vec::new()));
            model.gate().wait_waiting(1);
            interrupter.interrupt();
            assert!(matches!(run.join().unwrap(), Err(RunError::Interrupted)));
        });
        assert!(matches!(session.run(&[0.0, 0.0], SIZE, &mut Vec::new()), Err(RunError::Interrupted)));
        interrupter.rearm();
        model.gate().open();
        assert!(session.run(&[0.0, 0.0], SIZE, &mut Vec::new()).is_ok());
        assert_eq!(model.interrupted(), 2);
    }

    #[test]
    fn fails_as_told() {
        let model = DummyModel::new(Channels::Luma, 2);
        model.fail_run(0, Failure::Error("no".into()));
        model.fail_run(1, Failure::WrongSize);
        model.fail_run(2, Failure::OutOfMemory);
        model.fail_run(3, Failure::Panic("on purpose".into()));
        model.fail_session(1, "no more");
        let mut session = model.open_session().unwrap();
        assert!(model.open_session().is_err());
        let mut run = || session.run(&[0.0, 0.0], SIZE, &mut Vec::new());
        assert!(matches!(run(), Err(RunError::Failed(text)) if text == "no"));
        assert!(matches!(run(), Err(RunError::WrongSize { expected: 8, got: 9 })));
        assert!(matches!(run(), Err(RunError::OutOfMemory(_))));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut run)).is_err());
        assert!(run().is_ok());
        assert_eq!(model.finished(), 5);
    }

    #[test]
    fn refuses_sizes_that_break_its_own_rules() {
        let two = Size { width: 2, height: 2 };
        let model = DummyModel::new(Channels::Luma, 2).with_info(|info| info.multiple = two);
        let mut session = model.open_session().unwrap();
        assert!(session.run(&[0.0; 2], SIZE, &mut Vec::new()).is_err());
        assert!(session.run(&[0.0; 4], two, &mut Vec::new()).is_ok());
        assert!(session.run(&[0.0; 3], two, &mut Vec::new()).is_err());
    }

    #[test]
    fn runs_share_the_memory_of_the_device_with_other_programs() {
        let model = DummyModel::new(Channels::Luma, 1).with_device(100, |pixels| 10 * pixels);
        let mut session = model.open_session().unwrap();
        let mut run = || session.run(&[0.0, 0.0], SIZE, &mut Vec::new());
        run().unwrap();
        assert_eq!(model.device_bytes(), (20, 0));
        model.others_take(81);
        assert!(matches!(run(), Err(RunError::OutOfMemory(_))));
        assert_eq!(model.memory().unwrap().free, 19);
        model.others_take(80);
        run().unwrap();
        assert_eq!(model.device_bytes(), (20, 0));
    }

    #[test]
    fn open_sessions_have_their_part_of_the_device() {
        let model = DummyModel::new(Channels::Luma, 1).with_device(100, |pixels| 10 * pixels).with_session_bytes(40);
        let mut session = model.open_session().unwrap();
        let other = model.open_session().unwrap();
        assert!(model.open_session().is_err());
        session.run(&[0.0, 0.0], SIZE, &mut Vec::new()).unwrap();
        assert_eq!((session.held(), other.held(), model.device_bytes()), (Some(60), Some(40), (100, 80)));
        drop(other);
        assert!(model.open_session().is_ok());
        drop(session);
        assert_eq!(model.device_bytes().1, 0);
    }
}
