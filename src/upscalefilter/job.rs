//! What a worker does with a frame.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::subclass::prelude::*;

use crate::model::{Interrupt, Upscaler};
use crate::picture::convert::Scratch;
use crate::schedule::{Interruptible, Job};

use super::errors::FrameError;
use super::state::Slot;
use super::stream::{StreamConfig, picture, picture_mut};
use super::{CAT, UpscaleFilter};

/// What one worker thread owns: a session, and buffers that it keeps from frame to frame.
pub(super) struct Worker {
    session: Box<dyn Upscaler>,
    scratch: Scratch,
    input: Vec<f32>,
    output: Vec<f32>,
}

impl Worker {
    pub fn new(session: Box<dyn Upscaler>) -> Self {
        Worker { session, scratch: Scratch::default(), input: Vec::new(), output: Vec::new() }
    }
}

impl Interruptible for Worker {
    type Handle = Arc<dyn Interrupt>;

    fn handle(&self) -> Self::Handle {
        self.session.interrupter()
    }

    fn interrupt(handle: &Self::Handle) {
        handle.interrupt();
    }

    fn rearm(handle: &Self::Handle) {
        handle.rearm();
    }
}

/// One frame to upscale.
pub(super) struct FrameJob {
    /// Weak, so that a worker never keeps the element alive.
    pub element: glib::WeakRef<UpscaleFilter>,
    pub config: Arc<StreamConfig>,
    /// Let go as soon as the result is there: upstream may have few of them.
    pub input: Option<gst::Buffer>,
    /// Let go with the result, so that a frame that nobody else shows owns its memory.
    pub slot: Option<Arc<Slot>>,
}

impl Job for FrameJob {
    type Context = Worker;

    fn run(&mut self, worker: &mut Worker) {
        let (Some(element), Some(slot)) = (self.element.upgrade(), &self.slot) else { return };
        if element.imp().is_stale(slot.generation) {
            return;
        }
        gst::trace!(CAT, obj = element, "Frame {}: upscaling", slot.index);
        let mut took = Duration::ZERO;
        let result = self.upscale(worker, &mut took);
        self.finish(&element, result, took);
    }

    fn panicked(&mut self, message: &str) {
        if let Some(element) = self.element.upgrade() {
            self.finish(&element, Err(FrameError::Panicked(message.to_owned())), Duration::ZERO);
        }
    }
}

impl FrameJob {
    fn finish(&mut self, element: &UpscaleFilter, result: Result<gst::Buffer, FrameError>, took: Duration) {
        self.input = None;
        if let Some(slot) = self.slot.take() {
            element.imp().complete(slot, result, took);
        }
    }

    /// Upscales region by region into a new buffer. `took` counts the network's time alone.
    fn upscale(&self, worker: &mut Worker, took: &mut Duration) -> Result<gst::Buffer, FrameError> {
        let config = &*self.config;
        let input = self.input.as_ref().expect("a job runs once");
        let source = gst_video::VideoFrameRef::from_buffer_ref_readable(input, &config.in_info)
            .map_err(|error| FrameError::Input(error.to_string()))?;
        let source = picture(config.format, &source).map_err(|error| FrameError::Input(error.to_string()))?;
        let mut buffer = config.acquire().map_err(|error| FrameError::Output(error.to_string()))?;
        {
            let mut target = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer.make_mut(), &config.out_info)
                .map_err(|error| FrameError::Output(error.to_string()))?;
            let mut target =
                picture_mut(config.format, &mut target).map_err(|error| FrameError::Output(error.to_string()))?;
            config.converter.begin(&source, &mut target, &mut worker.scratch);
            for region in &config.regions {
                config.converter.gather(&source, region, &mut worker.scratch, &mut worker.input);
                let begin = Instant::now();
                worker.session.run(&worker.input, region.tensor, &mut worker.output)?;
                *took += begin.elapsed();
                config.converter.scatter(&worker.output, region, &mut worker.scratch, &mut target);
            }
        }
        Ok(buffer)
    }
}
