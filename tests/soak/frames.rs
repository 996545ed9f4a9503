//! Checks that every frame between two flushes leaves in order or is counted as dropped.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

/// PTS of the frames since the last flush.
#[derive(Default)]
struct Run {
    entered: Vec<gst::ClockTime>,
    left: Vec<gst::ClockTime>,
}

/// Numbers of frames.
#[derive(Clone, Copy, Default)]
pub struct Totals {
    pub entered: u64,
    pub left: u64,
    pub dropped: u64,
}

#[derive(Default)]
pub struct Frames {
    run: Mutex<Run>,
    /// Totals of the earlier runs.
    before: Mutex<Totals>,
}

impl Frames {
    pub fn watch(element: &gst::Element) -> Arc<Self> {
        let frames = Arc::new(Frames::default());
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_FLUSH;
        let (watch, weak) = (Arc::clone(&frames), element.downgrade());
        element.static_pad("sink").unwrap().add_probe(kinds, move |_, info| {
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => {
                    watch.run.lock().unwrap().entered.push(buffer.pts().unwrap())
                }
                // Between FLUSH_START and FLUSH_STOP nothing moves, and the statistics have not been reset.
                Some(gst::PadProbeData::Event(event)) if event.type_() == gst::EventType::FlushStop => {
                    let dropped = weak.upgrade().map_or(0, |element| dropped(&element));
                    watch.end_run(dropped);
                }
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
        let watch = Arc::clone(&frames);
        element.static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            watch.run.lock().unwrap().left.push(info.buffer().unwrap().pts().unwrap());
            gst::PadProbeReturn::Ok
        });
        frames
    }

    /// Up to the last frame that left, every frame has left or was dropped; later frames were dropped or flushed.
    fn end_run(&self, dropped: u64) {
        let (missing, after, run) = self.take_run();
        assert!(
            missing <= dropped && dropped <= missing + after,
            "{missing} missing, {dropped} dropped, {after} after the last one"
        );
        self.count(&run, dropped);
    }

    /// After EOS every frame has left or was dropped.
    pub fn check_end(&self, element: &gst::Element) -> Totals {
        let (missing, after, run) = self.take_run();
        assert_eq!(missing + after, dropped(element), "of the last {} frames", run.entered.len());
        self.count(&run, dropped(element));
        *self.before.lock().unwrap()
    }

    fn count(&self, run: &Run, dropped: u64) {
        let mut before = self.before.lock().unwrap();
        before.entered += run.entered.len() as u64;
        before.left += run.left.len() as u64;
        before.dropped += dropped;
    }

    /// The number of frames missing before the last one that left, the number that entered after it, and the run.
    fn take_run(&self) -> (u64, u64, Run) {
        let run = std::mem::take(&mut *self.run.lock().unwrap());
        let mut entered = run.entered.iter();
        for pts in &run.left {
            // Compared with the order of arrival, because the PTS of the source may step back.
            assert!(entered.any(|other| other == pts), "{pts} left out of order or twice, or never entered");
        }
        let after = entered.len() as u64;
        ((run.entered.len() - run.left.len()) as u64 - after, after, run)
    }
}

fn dropped(element: &gst::Element) -> u64 {
    element.property::<gst::Structure>("stats").get("dropped").unwrap()
}
