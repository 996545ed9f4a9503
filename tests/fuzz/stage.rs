//! An element with its output, and with the warnings that GLib logs.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Once};

use gst::prelude::*;
use gstupscale::model::dummy::DummyModel;

use crate::common::{PATIENCE, dummy_element, init};

static GLIB_WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The warnings and criticals that GLib has logged since the last call.
pub fn glib_warnings() -> Vec<String> {
    std::mem::take(&mut *GLIB_WARNINGS.lock().unwrap())
}

/// Starts GStreamer and collects what GLib logs from here on.
pub fn listen() {
    static ONCE: Once = Once::new();
    init();
    ONCE.call_once(|| {
        // Collected instead of fatal: GStreamer itself warns about hostile text, and a failure must show the input.
        glib::log_set_always_fatal(glib::LogLevels::empty());
        glib::log_set_default_handler(|domain, level, message| {
            if matches!(level, glib::LogLevel::Error | glib::LogLevel::Critical | glib::LogLevel::Warning) {
                GLIB_WARNINGS.lock().unwrap().push(format!("{}: {message}", domain.unwrap_or("?")));
            }
        });
    });
}

/// What the element pushes or posts.
#[derive(Debug)]
pub enum Out {
    Buffer(gst::Buffer),
    /// A frame was dropped, with this warning.
    Warning(String),
    Error(String),
}

pub struct Stage {
    pub element: gst::Element,
    pub sink: gst::Pad,
    pub src: gst::Pad,
    behind: gst::Pad,
    outs: Receiver<Out>,
}

impl Stage {
    /// An element that is playing, with a stream of these caps started.
    pub fn new(model: DummyModel, properties: &[(&str, &str)], caps: &gst::Caps) -> Self {
        listen();
        let element = dummy_element(&Arc::new(model), properties);
        let (sender, outs) = channel();
        let behind = behind(sender.clone());
        let (sink, src) = (element.static_pad("sink").unwrap(), element.static_pad("src").unwrap());
        src.link(&behind).unwrap();
        let bus = gst::Bus::new();
        bus.set_sync_handler(move |_, message| {
            let out = match message.view() {
                gst::MessageView::Error(error) => Some(Out::Error(error.error().to_string())),
                gst::MessageView::Warning(warning) => Some(Out::Warning(warning.error().to_string())),
                _ => None,
            };
            out.map(|out| sender.send(out).ok());
            gst::BusSyncReply::Drop
        });
        element.set_bus(Some(&bus));
        behind.set_active(true).unwrap();
        element.set_state(gst::State::Playing).unwrap();
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(sink.send_event(gst::event::StreamStart::new("fuzz")));
        assert!(sink.send_event(gst::event::Caps::new(caps)));
        assert!(sink.send_event(gst::event::Segment::new(&segment)));
        Stage { element, sink, src, behind, outs }
    }

    /// Waits for the next output.
    pub fn next(&self) -> Out {
        self.outs.recv_timeout(PATIENCE.into()).expect("the element pushes or posts something")
    }

    /// The next output, if there is one.
    pub fn now(&self) -> Option<Out> {
        self.outs.try_recv().ok()
    }
}

fn behind(sender: Sender<Out>) -> gst::Pad {
    let any = gst::PadTemplate::new("any", gst::PadDirection::Sink, gst::PadPresence::Always, &gst::Caps::new_any());
    gst::Pad::builder_from_template(&any.unwrap())
        .chain_function(move |_, _, buffer| {
            sender.send(Out::Buffer(buffer)).ok();
            Ok(gst::FlowSuccess::Ok)
        })
        .event_function(|_, _, _| true)
        .build()
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.element.set_state(gst::State::Null).unwrap();
        self.element.set_bus(None);
        self.behind.set_active(false).unwrap();
    }
}
