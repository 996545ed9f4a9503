//! What goes into the element and what comes out of it, from one flush to the next.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

#[derive(Default)]
struct Run {
    came: Vec<gst::ClockTime>,
    went: Vec<gst::ClockTime>,
}

#[derive(Default)]
pub struct Frames {
    run: Mutex<Run>,
    /// Of the runs before: frames that came, that went, and that were dropped.
    before: Mutex<(u64, u64, u64)>,
}

impl Frames {
    pub fn watch(element: &gst::Element) -> Arc<Self> {
        let frames = Arc::new(Frames::default());
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_FLUSH;
        let (watch, weak) = (Arc::clone(&frames), element.downgrade());
        element.static_pad("sink").unwrap().add_probe(kinds, move |_, info| {
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => watch.run.lock().unwrap().came.push(buffer.pts().unwrap()),
                // Between the flush's begin and its end nothing moves, and the element's figures still stand.
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
            watch.run.lock().unwrap().went.push(info.buffer().unwrap().pts().unwrap());
            gst::PadProbeReturn::Ok
        });
        frames
    }

    /// Every frame in front of the last one that went has gone or was dropped; what came after that was flushed.
    fn end_run(&self, dropped: u64) {
        let (missing, after, run) = self.take_run();
        assert!(missing <= dropped && dropped <= missing + after, "{missing} missing, {dropped} dropped, {after} left");
        self.count(&run, dropped);
    }

    /// At the end every frame has gone or was dropped. Tells how many came, went and were dropped.
    pub fn check_end(&self, element: &gst::Element) -> (u64, u64, u64) {
        let (missing, after, run) = self.take_run();
        assert_eq!(missing + after, dropped(element), "of the last {} frames", run.came.len());
        self.count(&run, dropped(element));
        *self.before.lock().unwrap()
    }

    fn count(&self, run: &Run, dropped: u64) {
        let mut before = self.before.lock().unwrap();
        before.0 += run.came.len() as u64;
        before.1 += run.went.len() as u64;
        before.2 += dropped;
    }

    /// How many frames in front of the last one that went are missing, and how many came after that.
    fn take_run(&self) -> (u64, u64, Run) {
        let run = std::mem::take(&mut *self.run.lock().unwrap());
        let mut came = run.came.iter();
        for pts in &run.went {
            // In the order in which they came, which is that of time but where the source's own count wraps.
            assert!(came.any(|other| other == pts), "{pts} went out of order, or twice, or had not come");
        }
        let after = came.len() as u64;
        ((run.came.len() - run.went.len()) as u64 - after, after, run)
    }
}

fn dropped(element: &gst::Element) -> u64 {
    element.property::<gst::Structure>("stats").get("dropped").unwrap()
}
