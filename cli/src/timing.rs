//! When the streams of a file are shown, all of them on one clock.
//!
//! Muxers go by running time, which the segments of a stream define. Those of some demuxers are corrected here.

use std::path::Path;
use std::sync::Arc;

use gst::prelude::*;
use parking_lot::Mutex;

use crate::mp4::edits::{Edits, Shown};
use crate::probes::{on_buffer, on_segment};

/// A Matroska file whose first frame comes later than this counts from there: it was cut out of a longer recording.
const LATE_START: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// How the segments of a file's streams are to be corrected.
#[derive(Debug, Default)]
pub struct Timing {
    edits: Option<Edits>,
    /// Whether the file is Matroska.
    matroska: bool,
}

/// The part of a Matroska file's clock before its first frame, once that is known.
type Origin = Arc<Mutex<Option<gst::ClockTime>>>;

impl Timing {
    /// Looks into the file for what its demuxer will get wrong, and hides that from it: `source` reads the file.
    pub fn new(path: &Path, source: &gst::Element) -> Self {
        // A file that cannot be read is reported by the element that reads it next.
        let edits = Edits::read(path).ok().flatten();
        if let (Some(edits), Some(pad)) = (&edits, source.static_pad("src")) {
            edits.hide(&pad);
        }
        let mut magic = [0; 4];
        let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic));
        Timing { edits, matroska: read.is_ok() && magic == [0x1A, 0x45, 0xDF, 0xA3] }
    }

    /// How long the stream of `pad` is shown, where the demuxer does not know.
    pub fn duration(&self, pad: &gst::Pad) -> Option<gst::ClockTime> {
        self.edits.as_ref()?.shown(pad)?.end()
    }

    /// Corrects the segments of the streams: that of the video, and of `sound_and_text`.
    ///
    /// With `lead_in` sound starts with what its decoder needs to start cleanly, before what is to be heard. Everything is
    /// then shown later by the time returned, which is to be taken off again in the result.
    pub fn correct(&self, video: &gst::Pad, others: &[gst::Pad], lead_in: bool) -> gst::ClockTime {
        if self.matroska {
            let origin = Origin::default();
            others.iter().chain([video]).for_each(|pad| on_segment(pad, absolute(origin.clone())));
        }
        let Some(edits) = &self.edits else { return gst::ClockTime::ZERO };
        let shown: Vec<(&gst::Pad, Shown)> =
            others.iter().chain([video]).filter_map(|pad| Some((pad, edits.shown(pad)?))).collect();
        let lead_in_of = |shown: &Shown| if lead_in { shown.lead_in } else { gst::ClockTime::ZERO };
        let delay = shown.iter().map(|(_, shown)| lead_in_of(shown)).max().unwrap_or_default();
        let starts = shown.iter().map(|(_, shown)| shown.at + delay - lead_in_of(shown));
        // A muxer counts from the first thing it gets.
        let added = delay.saturating_sub(starts.min().unwrap_or_default());
        for (pad, shown) in shown {
            let lead_in = lead_in_of(&shown);
            on_segment(pad, move |segment| {
                segment.set_start(shown.start - lead_in);
                segment.set_stop(shown.stop);
                segment.set_time(shown.at);
                segment.set_base(shown.at + delay - lead_in);
                segment.set_position(shown.start - lead_in);
            });
        }
        added
    }
}

/// Keeps the times of a Matroska file as they are written in it.
///
/// The demuxer lets time start at the first frame it meets, and starts it anew at an earlier one of another stream, so
/// that the first frame is shown too early and what follows is not.
fn absolute(origin: Origin) -> impl Fn(&mut gst::FormattedSegment<gst::ClockTime>) + Send + Sync + 'static {
    move |segment| {
        let start = segment.start().unwrap_or_default();
        let late = |start| if start > LATE_START { start } else { gst::ClockTime::ZERO };
        let origin = (*origin.lock().get_or_insert_with(|| late(start))).min(start);
        segment.set_start(origin);
        segment.set_time(gst::ClockTime::ZERO);
        segment.set_base(gst::ClockTime::ZERO);
        segment.set_position(origin);
    }
}

/// Gives buffers without a duration the time since the one before, which is what lasts where times are regular. MP4 muxers
/// have no other way to know how long the last one is.
pub fn fill_durations(pad: &gst::Pad) {
    let before = Mutex::new(None::<gst::ClockTime>);
    on_buffer(pad, move |buffer| {
        let pts = buffer.pts();
        let before = std::mem::replace(&mut *before.lock(), pts);
        if buffer.duration().is_some_and(|duration| !duration.is_zero()) {
            return None;
        }
        let interval = pts?.checked_sub(before?)?;
        let mut filled = buffer.copy();
        filled.make_mut().set_duration(interval);
        Some(filled)
    });
}
