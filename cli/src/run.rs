//! Running a pipeline to its end: watching the bus, showing progress, and turning errors into one line.

use std::path::Path;
use std::sync::Arc;

use gst::prelude::*;

use crate::elements;
use crate::failure::{Failure, Result, failed};
use crate::interrupt;
use crate::progress::{Console, Counts, Progress, Snapshot};
use crate::shared::{FAILURE_MESSAGE, Shared};

/// How often progress is shown and signals are looked for.
const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// What is run, and where it reads and writes, for messages.
pub struct Run<'a> {
    pub pipeline: &'a gst::Pipeline,
    pub shared: &'a Arc<Shared>,
    pub input: &'a Path,
    pub output: &'a Path,
    /// Frames in all, where that is known beforehand.
    pub total: Option<u64>,
    pub console: &'a Console,
}

impl Run<'_> {
    /// Plays the pipeline until everything is written. `counts` says what was found in the frames so far.
    /// The pipeline is stopped when this returns, whatever happens.
    pub fn to_the_end(&self, progress: &mut Progress, counts: impl Fn() -> Counts) -> Result<()> {
        let result = self.play(progress, &counts);
        // It cannot fail: NULL can be reached from any state.
        self.pipeline.set_state(gst::State::Null).ok();
        progress.finish();
        result?;
        if self.shared.frames() == 0 {
            return failed(format!("{}: no frame could be decoded", self.input.display()));
        }
        if let Some(total) = self.total
            && self.shared.frames() != total
        {
            let unread = total.saturating_sub(self.shared.frames());
            return failed(format!("{}: {unread} of {total} pictures could not be decoded", self.input.display()));
        }
        Ok(())
    }

    fn play(&self, progress: &mut Progress, counts: &impl Fn() -> Counts) -> Result<()> {
        let bus = self.pipeline.bus().ok_or_else(|| Failure::Failed("the pipeline has no bus".into()))?;
        let mut missing = None;
        // A failure to start posts the reason on the bus, where the loop finds it.
        let started = self.pipeline.set_state(gst::State::Playing).is_ok();
        loop {
            interrupt::check()?;
            let message = bus.timed_pop(if started { TICK } else { gst::ClockTime::ZERO });
            if let Some(failure) = self.shared.failure() {
                return Err(failure);
            }
            match message.as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Eos(_)) => return Ok(()),
                Some(gst::MessageView::Error(error)) => return Err(self.explain(error, missing.as_deref())),
                Some(gst::MessageView::Warning(warning)) => self.pass_on(warning),
                Some(gst::MessageView::Element(element)) => {
                    if let Ok(message) = gst_pbutils::MissingPluginMessage::parse(element) {
                        missing = Some(message.description().to_string());
                    }
                }
                Some(gst::MessageView::Application(message)) => {
                    debug_assert!(message.structure().is_none_or(|structure| structure.name() == FAILURE_MESSAGE));
                }
                None if !started => return failed("the pipeline could not be started (GST_DEBUG=3 tells more)"),
                _ => {}
            }
            progress.update(self.snapshot(counts));
        }
    }

    fn snapshot(&self, counts: &impl Fn() -> Counts) -> Snapshot {
        let frames = self.shared.frames();
        let fraction = match self.total {
            Some(total) => Some(frames as f64 / total.max(1) as f64),
            None => self
                .duration()
                .map(|duration| self.shared.position().nseconds() as f64 / duration.nseconds().max(1) as f64),
        };
        Snapshot { frames, fraction: fraction.map(|fraction| fraction.clamp(0.0, 1.0)), counts: counts() }
    }

    /// How long the video is, if it says so.
    fn duration(&self) -> Option<gst::ClockTime> {
        let video = self.shared.video();
        let asked = || video.pad?.query_duration::<gst::ClockTime>();
        video.duration.or_else(asked).filter(|duration| !duration.is_zero())
    }

    /// Passes on what the upscaler warns of; other elements' warnings are for developers.
    fn pass_on(&self, warning: &gst::message::Warning) {
        let ours = warning.src().and_then(|source| source.downcast_ref::<gst::Element>()?.factory());
        if ours.is_some_and(|factory| factory.name() == crate::upscaler::FACTORY) {
            self.console.note(&format!("warning: {}", warning.error().message()));
        }
    }

    /// One line for an element's error.
    fn explain(&self, error: &gst::message::Error, missing: Option<&str>) -> Failure {
        let reason = error.error();
        let source = error.src().and_then(|source| source.downcast_ref::<gst::Element>()?.factory());
        let source = source.map(|factory| factory.name().to_string()).unwrap_or_default();
        let (input, output) = (self.input.display(), self.output.display());
        let text = reason.message().to_owned();
        if source == crate::upscaler::FACTORY {
            return Failure::Failed(text);
        }
        if reason.matches(gst::ResourceError::NoSpaceLeft) {
            return Failure::Failed(format!("no space left for {output}: make room or choose another folder"));
        }
        if source == "filesink" {
            return Failure::Failed(format!("cannot write {output}: {text}"));
        }
        if let Some(description) = missing
            && (reason.matches(gst::CoreError::MissingPlugin)
                || reason.matches(gst::StreamError::CodecNotFound)
                || reason.matches(gst::StreamError::WrongType))
        {
            return elements::missing_for(self.input, description);
        }
        if reason.matches(gst::StreamError::TypeNotFound) || reason.matches(gst::StreamError::WrongType) {
            return Failure::Failed(format!("{input} is no media file that GStreamer knows"));
        }
        let file = self.shared.current_file();
        let place = file.map_or_else(|| input.to_string(), |file| file.display().to_string());
        let details = error.debug().map(|debug| last_line(&debug)).unwrap_or_default();
        Failure::Failed(format!("{place}: {source}: {text} {details}"))
    }
}

/// The last line of an error's debugging text, which is the one that names the cause.
fn last_line(debug: &str) -> String {
    let line = debug.lines().last().unwrap_or("").trim();
    // The first line is where in the source it happened, of use to nobody here.
    if debug.lines().count() < 2 || line.is_empty() { String::new() } else { format!("({line})") }
}
