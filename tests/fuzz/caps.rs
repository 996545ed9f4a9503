//! Any caps: they are accepted, and frames come out in the larger size, or they are refused with a reason.

use gst::prelude::*;
use gstupscale::model::dummy::DummyModel;
use gstupscale::types::Channels;
use gstupscale::types::Size;

use crate::Target;
use crate::common::GRAY;
use crate::random::Random;
use crate::stage::{Out, Stage, glib_warnings, listen};

const SCALE: i32 = 2;

/// Fields of caps, valid and invalid.
#[rustfmt::skip]
const FIELDS: [&str; 74] = [
    "format=I420", "format=NV12", "format=RGB", "format=GRAY16_LE", "format=P010_10LE", "format=RGBA64_LE", "format=YUY2",
    "format=ENCODED", "format=(string){I420,RGB}", "format=(int)3", "format=I422_10LE", "format=GBR", "format=v210",
    "width=4", "width=1", "width=0", "width=-1", "width=2147483647", "width=1073741824", "width=65536", "width=46341", "width=[1,9]",
    "width=[2,2147483647,2]", "width={3,5,7}", "width=(string)8", "width=(int64)4294967300", "width=5.5", "width=32767",
    "height=3", "height=1", "height=0", "height=-2147483648", "height=2147483647", "height=32768", "height=[1,1]", "height=46341",
    "height={1,[2,9]}",
    "framerate=25/1", "framerate=0/1", "framerate=1/2147483647", "framerate=2147483647/1", "framerate=[0/1,2147483647/1]",
    "framerate=-25/1", "framerate=25", "framerate={24/1,30000/1001}", "max-framerate=30/1", "max-framerate=0/1", "max-framerate=5",
    "pixel-aspect-ratio=0/1", "pixel-aspect-ratio=2147483647/1", "pixel-aspect-ratio=-4/3", "pixel-aspect-ratio=[1/2,2/1]",
    "interlace-mode=interleaved", "interlace-mode=alternate", "interlace-mode=nonsense", "interlace-mode=(int)1",
    "field-order=top-field-first",
    "colorimetry=bt709", "colorimetry=9:9:9:9", "colorimetry=1:4:0:1", "colorimetry=", "colorimetry=nonsense", "colorimetry=(int)1",
    "chroma-site=mpeg2", "chroma-site=nonsense", "chroma-site=none", "chroma-site=dv",
    "multiview-mode=side-by-side", "multiview-mode=frame-by-frame", "views=2147483647", "multiview-flags=0:ffffffff",
    "mastering-display-info=0:0:0:0:0:0:0:0:0:0", "content-light-level=65536:0", "x=(GstCaps)[video/x-raw,width=(int)1]",
];

const KINDS: [&str; 6] = [
    "video/x-raw",
    "video/x-raw(memory:SystemMemory)",
    "video/x-raw(memory:DMABuf)",
    "video/x-raw(format:Interlaced)",
    "video/x-raw(meta:GstVideoOverlayComposition)",
    "video/x-h264",
];

pub struct Caps {
    /// One with whole frames of any size, and one with tiles on a grid.
    stages: [Stage; 2],
}

impl Caps {
    pub fn new() -> Self {
        listen();
        let initial: gst::Caps = GRAY.parse().unwrap();
        let two = Size { width: 2, height: 2 };
        let tiled = DummyModel::new(Channels::Rgb, SCALE as u32).with_info(|info| info.multiple = two);
        Caps {
            stages: [
                Stage::new(DummyModel::new(Channels::Luma, SCALE as u32), &[("workers", "1")], &initial),
                Stage::new(tiled, &[("workers", "1"), ("tile-size", "64"), ("vram-limit", "1000000")], &initial),
            ],
        }
    }
}

impl Target for Caps {
    const NAME: &str = "caps";

    fn attempt(&mut self, input: &[u8]) -> String {
        let text = String::from_utf8_lossy(input).replace('\0', " ");
        let Ok(caps) = text.trim().parse::<gst::Caps>() else { return "no caps".into() };
        glib_warnings();
        let stage = &self.stages[input.len() % 2];
        if warns(&caps, &stage.sink.pad_template_caps()) {
            return "GStreamer warns about them".into();
        }
        let outcome = ask(stage, &caps) + &send(stage, &caps);
        let glib_warnings = glib_warnings();
        assert!(glib_warnings.is_empty(), "{caps}: {glib_warnings:?}");
        outcome
    }

    fn mutate(random: &mut Random, from: &[Vec<u8>]) -> Vec<u8> {
        let mut text = random.pick(from).clone();
        if random.once_in(4) {
            random.mutate(&mut text);
            return text;
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut fields: Vec<&str> = text.split(", ").collect();
        for _ in 0..=random.below(3) {
            let field = *random.pick(&FIELDS);
            let name = field.split('=').next();
            match fields.iter().position(|other| other.split('=').next() == name) {
                Some(at) if random.once_in(8) => drop(fields.remove(at)),
                Some(at) => fields[at] = field,
                None => fields.push(field),
            }
        }
        if random.once_in(8) {
            fields[0] = *random.pick(&KINDS);
        }
        fields.join(", ").into_bytes()
    }
}

/// Whether GStreamer itself warns about the caps, as it does about lists of ranges and about unknown names.
fn warns(caps: &gst::Caps, template: &gst::Caps) -> bool {
    for mode in [gst::CapsIntersectMode::First, gst::CapsIntersectMode::ZigZag] {
        let both = caps.intersect_with_mode(template, mode);
        both.is_subset(caps);
        both.intersect_with_mode(caps, mode);
        template.intersect_with_mode(caps, mode).is_subset(caps);
    }
    if caps.is_fixed() {
        drop(gst_video::VideoInfo::from_caps(caps));
    }
    !glib_warnings().is_empty()
}

/// The answers of both pads to CAPS and ACCEPT_CAPS queries.
fn ask(stage: &Stage, caps: &gst::Caps) -> String {
    let mut outcome = String::new();
    for pad in [&stage.sink, &stage.src] {
        let possible = pad.query_caps(Some(caps));
        assert!(possible.is_subset(caps), "{possible} is more than {caps}");
        let accepted = caps.is_fixed() && pad.query_accept_caps(caps);
        outcome +=
            &format!("{}{} ", if possible.is_empty() { "none" } else { "some" }, if accepted { "!" } else { "" });
    }
    outcome
}

/// Sends the caps, whatever the answers were, and a frame unless it is too large.
fn send(stage: &Stage, caps: &gst::Caps) -> String {
    if !caps.is_fixed() {
        return "unfixed".into();
    }
    while stage.now().is_some() {}
    if !stage.sink.send_event(gst::event::Caps::new(caps)) {
        let reason = match stage.now() {
            Some(Out::Error(reason)) => reason,
            // The pad itself refuses caps that it does not accept.
            None if !stage.sink.query_accept_caps(caps) => "not accepted".into(),
            other => panic!("{caps} are refused without a reason: {other:?}"),
        };
        let words = reason.split(' ').filter(|word| word.bytes().all(|byte| byte.is_ascii_alphabetic()));
        return words.collect::<Vec<_>>().join(" ");
    }
    let info = gst_video::VideoInfo::from_caps(caps).expect("they were accepted");
    if info.size() > 1 << 16 {
        return format!("{} large", info.format());
    }
    let mut frame = gst::Buffer::from_mut_slice(vec![0x40; info.size()]);
    frame.get_mut().unwrap().set_pts(gst::ClockTime::SECOND);
    // A discontinuity, so that the frame is not a duplicate.
    frame.get_mut().unwrap().set_flags(gst::BufferFlags::DISCONT);
    stage.sink.chain(frame).unwrap_or_else(|flow| panic!("{caps}: {flow}, {:?}", stage.now()));
    match stage.next() {
        Out::Buffer(buffer) => {
            check(caps, &stage.src.current_caps().unwrap(), &buffer);
            format!("{} {}", info.format(), info.colorimetry())
        }
        Out::Warning(error) | Out::Error(error) => panic!("{caps}: {error}"),
    }
}

/// The output caps differ from the input caps only in the size.
fn check(from: &gst::CapsRef, to: &gst::CapsRef, buffer: &gst::BufferRef) {
    let info = gst_video::VideoInfo::from_caps(to).unwrap_or_else(|_| panic!("{from} gives {to}"));
    assert_eq!(buffer.size(), info.size(), "{from} gives {to}");
    assert_eq!(buffer.pts(), Some(gst::ClockTime::SECOND));
    let (from, to) = (from.structure(0).unwrap(), to.structure(0).unwrap());
    for (name, value) in from.iter() {
        let other = to.value(name).unwrap_or_else(|_| panic!("{name} is missing in {to}"));
        if ["width", "height"].contains(&&**name) {
            assert_eq!(other.get::<i32>().unwrap(), SCALE * value.get::<i32>().unwrap(), "{to}");
        } else {
            assert_eq!(value.serialize().ok(), other.serialize().ok(), "{name} of {to}");
        }
    }
}
