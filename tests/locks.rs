//! The element holds no lock while it calls what may call back into it: the clock, and the release of a buffer.

mod common;

use std::cell::Cell;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use common::*;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gstupscale::model::dummy::{DummyModel, Failure};
use gstupscale::types::Channels;
use parking_lot::Mutex;

const LIMIT: Duration = Duration::from_secs(60);

/// A clock that reads the element's statistics before it returns the time, which is always 5 s.
mod asking {
    use super::*;

    #[derive(Default)]
    pub struct AskingClock(pub Mutex<glib::WeakRef<gst::Element>>, pub Mutex<u32>);

    #[glib::object_subclass]
    impl ObjectSubclass for AskingClock {
        const NAME: &'static str = "AskingClock";
        type Type = super::AskingClock;
        type ParentType = gst::Clock;
    }

    impl ObjectImpl for AskingClock {}
    impl GstObjectImpl for AskingClock {}

    impl ClockImpl for AskingClock {
        fn internal_time(&self) -> gst::ClockTime {
            let element = self.0.lock().upgrade();
            if let Some(element) = element {
                element.property::<gst::Structure>("stats");
                *self.1.lock() += 1;
            }
            gst::ClockTime::from_seconds(5)
        }
    }
}

glib::wrapper! {
    pub struct AskingClock(ObjectSubclass<asking::AskingClock>) @extends gst::Clock, gst::Object;
}

#[test]
fn a_clock_may_read_the_statistics() {
    init();
    for mode in ["upscale", "drop", "fallback"] {
        completes_within(LIMIT, mode, move || {
            let element = dummy_element(&model(), &[("late-frames", mode)]);
            let mut harness = harness(&element);
            harness.set_live(true);
            let clock = glib::Object::new::<AskingClock>();
            clock.imp().0.lock().set(Some(&element));
            element.set_clock(Some(&clock)).unwrap();
            element.set_base_time(gst::ClockTime::ZERO);
            harness.set_src_caps_str(GRAY);
            harness.query_latency();
            push_frames(&mut harness, 0..4);
            element.set_state(gst::State::Null).unwrap();
            assert!(*clock.imp().1.lock() > 0, "the time is read");
        });
    }
}

/// Reads the element's statistics whenever a pool gets a buffer back.
fn ask_at_each_release(element: &gst::Element) {
    static ELEMENT: LazyLock<Mutex<glib::WeakRef<gst::Element>>> = LazyLock::new(Mutex::default);
    thread_local! {
        static ASKING: Cell<bool> = const { Cell::new(false) };
    }
    ELEMENT.lock().set(Some(element));
    gst::log::remove_default_log_function();
    gst::log::set_threshold_for_name("bufferpool", gst::DebugLevel::Log);
    gst::log::add_log_function(|_, _, _, _, _, _, message| {
        let is_release = message.get().is_some_and(|text| text.starts_with("released buffer"));
        if is_release && !ASKING.replace(true) {
            let element = ELEMENT.lock().upgrade();
            if let Some(element) = element {
                element.property::<gst::Structure>("stats");
            }
            ASKING.set(false);
        }
    });
}

const CAPS: &str = "video/x-raw,format=GRAY8,width=128,height=128,framerate=25/1";

/// Frame number `n`, which differs from the others in a small region.
fn frame(n: u64) -> gst::Buffer {
    let mut pixels = vec![9; 128 * 128];
    pixels[n as usize * 40..][..8].fill(200);
    let mut buffer = gst::Buffer::from_mut_slice(pixels);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40 * n));
    buffer
}

fn start(model: &Arc<DummyModel>, properties: &[(&str, &str)]) -> (gst::Element, gst_check::Harness) {
    let element = dummy_element(model, properties);
    ask_at_each_release(&element);
    let mut harness = harness(&element);
    harness.set_src_caps_str(CAPS);
    (element, harness)
}

/// The failed frame holds the last reference to the frame that it is based on.
#[test]
fn the_frame_before_a_failed_one_is_released_without_a_lock() {
    completes_within(LIMIT, "the failure", || {
        let model = model();
        (1..400).for_each(|run| model.fail_run(run, Failure::Error("on purpose".into())));
        let (element, mut harness) = start(&model, &[("workers", "1"), ("cache-size", "0")]);
        let bus = with_bus(&element);
        drop(harness.push_and_pull(frame(0)).unwrap());
        harness.push(frame(1)).unwrap();
        wait_message(&bus, &[gst::MessageType::Error]);
        element.set_state(gst::State::Null).unwrap();
    });
}

#[test]
fn flushes_new_caps_and_state_changes_release_buffers_without_a_lock() {
    for duplicates in ["exact", "similar", "off"] {
        completes_within(LIMIT, duplicates, move || {
            let model = Arc::new(DummyModel::new(Channels::Luma, 2));
            let (element, mut harness) =
                start(&model, &[("workers", "2"), ("duplicates", duplicates), ("cache-size", "200000")]);
            for turn in 0..3 {
                (0..6).for_each(|n| drop(harness.push_and_pull(frame(n)).unwrap()));
                element.set_property("cache-size", 100_000u64 * turn);
                model.gate().hold();
                (6..9).for_each(|n| assert!(harness.push(frame(n)).is_ok()));
                flush(&mut harness);
                model.gate().open();
                harness.set_src_caps_str(&CAPS.replace("25/1", &format!("{}/1", 26 + turn)));
                (0..3).for_each(|n| drop(harness.push_and_pull(frame(n)).unwrap()));
                element.set_state(gst::State::Null).unwrap();
                element.set_state(gst::State::Playing).unwrap();
                harness.set_src_caps_str(CAPS);
                send_segment(&mut harness);
            }
            element.set_state(gst::State::Null).unwrap();
        });
    }
}
