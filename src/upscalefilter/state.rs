//! The state of a running stream, and the order in which locks are taken.
//!
//! # Locks
//!
//! Locks are taken in this order, never the other way; each is held only briefly:
//!
//! 1. a pad's stream lock (by GStreamer),
//! 2. `settings`, the values of the properties,
//! 3. `engine`, the loaded model and its workers, then `swap`, the engines being loaded or retired,
//! 4. `state`, this file,
//! 5. a device's `controller`,
//! 6. the locks inside `schedule::WorkerPool`, `schedule::shares`, `schedule::permits`, `schedule::footprint`, `StreamConfig`'s pool and regions, a worker's
//!    `Handle`, a `PendingResult` (then those that it is based on), a `PendingQuery`; and `UpscaleFilter::previous`, which is taken out and
//!    put back.
//!
//! None of 2 to 6 is held across: pushing a buffer, event or query, posting a message, notify, starting, pausing or
//! stopping the task, joining a thread, acquiring or releasing a buffer, loading a model, running it.
//!
//! The source pad's task waits for `ready`, the streaming thread for `room`; both go with `state`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::plan::Recorder;
use crate::reuse::FrameCache;
use crate::schedule::completion::CompletionEstimate;
use crate::schedule::{Item, PtsQueue};
use crate::stats::Stats;
use crate::types::Rect;

use crate::upscalefilter::frame::pending_result::PendingResult;
use crate::upscalefilter::negotiation::config::StreamConfig;
use crate::upscalefilter::pads::pending_query::PendingQuery;
use crate::upscalefilter::timing::deadlines::Deadlines;

/// A frame on its way to the source pad.
#[derive(Debug)]
pub(in crate::upscalefilter) struct QueuedFrame {
    /// Counts from the start of the stream.
    pub index: u64,
    /// The output buffer without memory: timestamps, flags and metas, already scaled.
    pub header: gst::Buffer,
    pub pending: Arc<PendingResult>,
    pub config: Arc<StreamConfig>,
    /// The rectangles that were upscaled for it, in input pixels, if they are to be outlined.
    pub updates: Option<Arc<[Rect]>>,
    /// The running time by which it has to leave, in a live pipeline.
    pub deadline: Option<gst::ClockTime>,
}

/// An item that keeps its place between the frames.
#[derive(Debug)]
pub(in crate::upscalefilter) enum Serialized {
    Event(gst::Event),
    /// New caps; the event is made when it is pushed, from the configuration's output caps and this seqnum. Caps
    /// without a seqnum do not come from upstream, and are pushed only if they differ from the previous ones.
    Caps(Arc<StreamConfig>, Option<gst::Seqnum>),
    Query(Arc<PendingQuery>),
}

impl Serialized {
    fn is_sticky(&self) -> bool {
        match self {
            Serialized::Event(event) => event.is_sticky(),
            Serialized::Caps(..) => true,
            Serialized::Query(_) => false,
        }
    }

    /// After these events frames are accepted again, or there are no more.
    fn ends_segment(&self) -> bool {
        use gst::EventType::{Eos, Segment, StreamStart};
        matches!(self, Serialized::Event(event) if matches!(event.type_(), Eos | Segment | StreamStart))
    }
}

fn abandon_queries(items: &[Queued]) {
    for item in items {
        if let Item::Event(Serialized::Query(query)) = item {
            query.abandon();
        }
    }
}

pub(in crate::upscalefilter) type Queued = Item<QueuedFrame, Serialized>;

/// Stream state. FLUSH_STOP resets it with [`State::flush_stop`]; model, sessions, worker threads and caps stay.
pub(in crate::upscalefilter) struct State {
    /// Frames and serialized items in the order in which they leave.
    pub queue: PtsQueue<QueuedFrame, Serialized>,
    /// Results by fingerprint, finished or pending; all of them for `config`.
    pub cache: FrameCache<Arc<PendingResult>>,
    /// The sink pad's negotiated caps and everything derived from them.
    pub config: Option<Arc<StreamConfig>>,
    /// `detail-tolerance`, and the threshold found for it, as of the last frame for which they were looked up.
    pub policy: Option<(u32, Option<u32>)>,
    /// The source pad is active.
    pub active: bool,
    /// Between FLUSH_START and FLUSH_STOP, and while a pad is inactive.
    pub flushing: bool,
    /// EOS was received; data is refused until STREAM_START or SEGMENT.
    pub eos: bool,
    /// Downstream wants no more frames of this segment; they are refused until STREAM_START or SEGMENT.
    pub unexpected: bool,
    /// Downstream's flow return, if it was neither success nor EOS; returned to upstream until a flush, or until
    /// downstream is linked again.
    pub flow: Result<gst::FlowSuccess, gst::FlowError>,
    /// Results of jobs of an earlier generation are dropped. Counts flushes and stops.
    pub generation: u64,
    /// The segment's rate is negative: frames come in descending PTS.
    pub reverse: bool,
    /// The limit on frames in flight when the last one arrived.
    pub in_flight: Option<usize>,
    /// Index of the next frame to arrive.
    pub next_index: u64,
    pub stats: Stats,
    /// When frames have to leave, and when they would.
    pub timing: Deadlines,
    pub completion: CompletionEstimate,
    /// Downstream's caps may have changed; they may ask for another size.
    pub reconfigure: bool,
    /// A frame was dropped, so the next one is a discontinuity.
    pub discont: bool,
    /// Present while `plan-location` is set.
    pub plan: Option<Plan>,
    /// When the next progress message is due.
    pub progress_due: Option<Instant>,
    /// An error message with the reason why the stream stopped has been posted.
    pub posted: bool,
}

impl Default for State {
    fn default() -> Self {
        State {
            queue: PtsQueue::default(),
            cache: FrameCache::new(0),
            config: None,
            policy: None,
            active: false,
            flushing: true,
            eos: false,
            unexpected: false,
            flow: Ok(gst::FlowSuccess::Ok),
            generation: 0,
            reverse: false,
            in_flight: None,
            next_index: 0,
            stats: Stats::default(),
            timing: Deadlines::default(),
            completion: CompletionEstimate::default(),
            reconfigure: false,
            discont: false,
            plan: None,
            progress_due: None,
            posted: false,
        }
    }
}

/// The plan of the stream, and the file it is written to.
#[derive(Clone, Debug)]
pub(in crate::upscalefilter) struct Plan {
    pub location: PathBuf,
    pub recorder: Recorder,
}

/// Items that were removed; drop them without the lock, because releasing a buffer may call into other elements.
pub(in crate::upscalefilter) struct Leftovers {
    pub items: Vec<Queued>,
    _results: Vec<Arc<PendingResult>>,
}

impl State {
    /// The flow return to refuse data with, if data is refused.
    pub fn refusal(&self) -> Result<(), gst::FlowError> {
        if self.flushing {
            return Err(gst::FlowError::Flushing);
        }
        self.flow?;
        if self.eos || self.unexpected { Err(gst::FlowError::Eos) } else { Ok(()) }
    }

    /// Refuses data from now on and removes everything in flight. Finished results stay in the cache. Cancel the jobs
    /// under the same lock, so that none of a later generation is cancelled.
    pub fn flush_start(&mut self) -> Leftovers {
        self.flushing = true;
        self.generation += 1;
        self.completion.clear();
        let items: Vec<_> = self.queue.clear().collect();
        abandon_queries(&items);
        Leftovers { items, _results: self.cache.retain(|pending| pending.get().is_some_and(Result::is_ok)) }
    }

    /// Stores downstream's flow return for upstream and removes the frames, which cannot be pushed. Sticky events stay,
    /// for frames that may follow. Cancel the jobs as with [`State::flush_start`].
    pub fn stop_on(&mut self, flow: gst::FlowError) -> Leftovers {
        self.flow = Err(flow);
        self.generation += 1;
        self.completion.clear();
        let (_, items) = self.queue.skip(|_| false, Serialized::is_sticky);
        abandon_queries(&items);
        Leftovers { items, _results: self.cache.retain(|pending| pending.get().is_some_and(Result::is_ok)) }
    }

    /// Downstream needs no more of this segment: removes its frames, up to the event that ends it. Their jobs keep
    /// running, for the cache and for later frames that share their results.
    pub fn skip_segment(&mut self) -> Leftovers {
        let (ended, items) = self.queue.skip(Serialized::ends_segment, Serialized::is_sticky);
        self.unexpected = !ended;
        abandon_queries(&items);
        Leftovers { items, _results: Vec::new() }
    }

    /// Accepts data again, if the pads are active.
    pub fn flush_stop(&mut self) {
        self.flushing = !self.active;
        self.eos = false;
        self.unexpected = false;
        self.reverse = false;
        self.timing.flush();
        self.discont = false;
        self.posted = false;
        self.flow = Ok(gst::FlowSuccess::Ok);
        self.restart_counters();
    }

    /// Restarts indices, statistics and the plan.
    pub fn restart_counters(&mut self) {
        self.next_index = 0;
        self.stats = Stats::default();
        self.progress_due = None;
        if let Some(plan) = &mut self.plan {
            plan.recorder.clear();
        }
    }

    /// Whether a progress message is due; there is one every `interval`.
    pub fn progress_is_due(&mut self, interval: Duration, now: Instant) -> bool {
        let due = *self.progress_due.get_or_insert(now + interval);
        if now >= due {
            self.progress_due = Some(now + interval);
        }
        now >= due
    }
}
