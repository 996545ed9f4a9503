//! The output has the size that downstream asks for.

mod common;

use common::*;
use gst::prelude::*;
use gstupscale::model::dummy::DummyModel;
use gstupscale::types::Channels;
use std::sync::Arc;

/// Gray frame number `n`: every pixel has the value `mark`, the PTS is n * 40 ms.
fn frame(n: u64, width: usize, height: usize, mark: u8) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(vec![mark; width.next_multiple_of(4) * height]);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40 * n));
    buffer
}

fn caps(width: usize, height: usize) -> String {
    format!("video/x-raw,format=GRAY8,width={width},height={height},framerate=25/1")
}

/// Width, height and pixel aspect ratio of the output caps.
fn output_size(element: &gst::Element) -> (i32, i32, gst::Fraction) {
    let caps = element.static_pad("src").unwrap().current_caps().expect("caps were sent");
    let structure = caps.structure(0).unwrap();
    let par = structure.get("pixel-aspect-ratio").unwrap_or(gst::Fraction::new(1, 1));
    (structure.get("width").unwrap(), structure.get("height").unwrap(), par)
}

fn doubling() -> Arc<DummyModel> {
    Arc::new(DummyModel::new(Channels::Luma, 2))
}

#[test]
fn the_network_runs_once_or_twice_and_a_resize_does_the_rest() {
    for (wanted, width, height, runs_on) in [
        ("ANY", 64, 36, vec![(32, 18)]),
        ("video/x-raw,width=128,height=72", 128, 72, vec![(32, 18), (64, 36)]),
        ("video/x-raw,width=96,height=54", 96, 54, vec![(32, 18), (64, 36)]),
        ("video/x-raw,width=48,height=27", 48, 27, vec![(32, 18)]),
        ("video/x-raw,width=320,height=180", 320, 180, vec![(32, 18), (64, 36)]),
        ("video/x-raw,width=16", 16, 9, vec![(32, 18)]),
        ("video/x-raw,height=[40,50]", 71, 40, vec![(32, 18), (64, 36)]),
    ] {
        let model = doubling();
        let element = dummy_element(&model, &[]);
        let mut harness = harness(&element);
        harness.set_caps_str(&caps(32, 18), wanted);
        for n in 0..3 {
            harness.push(frame(n, 32, 18, 100 + n as u8)).unwrap();
            let out = harness.pull().unwrap();
            assert_eq!(pts_ms(&out), 40 * n, "{wanted}");
            let map = out.map_readable().unwrap();
            let stride = (width as usize).next_multiple_of(4);
            assert!(
                (0..height as usize).all(|y| map[y * stride..][..width as usize].iter().all(|p| *p == 100 + n as u8)),
                "{wanted}"
            );
        }
        assert_eq!(output_size(&element), (width, height, gst::Fraction::new(1, 1)), "{wanted}");
        let mut sizes: Vec<_> = model.sizes().into_iter().map(|size| (size.width, size.height)).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, runs_on, "{wanted}");
    }
}

#[test]
fn a_network_that_quadruples_runs_once() {
    let model = Arc::new(DummyModel::new(Channels::Luma, 4));
    let element = dummy_element(&model, &[]);
    let mut harness = harness(&element);
    harness.set_caps_str(&caps(32, 18), "video/x-raw,width=320,height=180");
    harness.push(frame(0, 32, 18, 7)).unwrap();
    harness.pull().unwrap();
    assert_eq!(output_size(&element).0, 320);
    assert_eq!(model.runs(), 1);
}

#[test]
fn the_picture_is_never_distorted() {
    // 4:3 into 16:9, with any pixel aspect ratio and with square pixels.
    for (wanted, par, bars) in [("", (3, 4), false), (",pixel-aspect-ratio=1/1", (1, 1), true)] {
        let element = dummy_element(&doubling(), &[]);
        let mut harness = harness(&element);
        harness.set_caps_str(&caps(64, 48), &format!("video/x-raw,width=320,height=180{wanted}"));
        harness.push(frame(0, 64, 48, 200)).unwrap();
        let out = harness.pull().unwrap();
        assert_eq!(output_size(&element), (320, 180, gst::Fraction::new(par.0, par.1)));
        let map = out.map_readable().unwrap();
        let row = &map[90 * 320..][..320];
        let bar = if bars { 0 } else { 200 };
        for (x, expected) in [(0, bar), (39, bar), (42, 200), (160, 200), (319, bar)] {
            assert_eq!(row[x], expected, "column {x}");
        }
    }
}

#[test]
fn without_fit_only_the_networks_size_negotiates() {
    let element = dummy_element(&doubling(), &[("fit", "false")]);
    let mut harness = harness(&element);
    harness.set_caps_str(&caps(32, 18), "video/x-raw,width=320,height=180");
    assert_eq!(
        harness.push(frame(0, 32, 18, 7)).and_then(|_| harness.push(frame(1, 32, 18, 8))),
        Err(gst::FlowError::NotNegotiated)
    );
}

#[test]
fn downstream_may_change_its_mind() {
    let model = doubling();
    let element = dummy_element(&model, &[]);
    let filter = gst::ElementFactory::make("capsfilter").build().unwrap();
    let bin = gst::Bin::new();
    bin.add_many([&element, &filter]).unwrap();
    element.link(&filter).unwrap();
    for (name, pad) in [("sink", element.static_pad("sink")), ("src", filter.static_pad("src"))] {
        bin.add_pad(&gst::GhostPad::builder_with_target(&pad.unwrap()).unwrap().name(name).build()).unwrap();
    }
    let mut harness = gst_check::Harness::with_element(&bin, Some("sink"), Some("src"));
    harness.set_src_caps_str(&caps(32, 18));
    for (turn, (wanted, width)) in
        [("ANY", 64), ("video/x-raw,width=160", 160), ("video/x-raw,width=40", 40), ("ANY", 64)].into_iter().enumerate()
    {
        filter.set_property("caps", wanted.parse::<gst::Caps>().unwrap());
        for n in 0..4 {
            let n = 4 * turn as u64 + n;
            harness.push(frame(n, 32, 18, n as u8)).unwrap();
            let out = harness.pull().unwrap();
            assert_eq!(pts_ms(&out), 40 * n, "{wanted}");
            assert_eq!(mark(&out), n as u8, "{wanted}");
        }
        assert_eq!(output_size(&element).0, width, "{wanted}");
    }
    // The property takes effect while frames flow, too.
    filter.set_property("caps", "video/x-raw,width={64,160}".parse::<gst::Caps>().unwrap());
    element.set_property("fit", false);
    harness.push(frame(90, 32, 18, 9)).unwrap();
    harness.pull().unwrap();
    assert_eq!(output_size(&element).0, 64);
}

#[test]
fn duplicates_and_late_frames_have_the_same_size() {
    let model = doubling();
    model.gate().hold();
    let element = dummy_element(&model, &[("workers", "1"), ("late-frames", "fallback"), ("max-in-flight", "8")]);
    let mut harness = harness(&element);
    harness.use_testclock();
    harness.set_live(true);
    harness.set_caps_str(&caps(32, 18), "video/x-raw,width=100");
    harness.query_latency();
    harness.push(frame(0, 32, 18, 50)).unwrap();
    harness.push(frame(1, 32, 18, 50)).unwrap();
    harness.push(frame(2, 32, 18, 60)).unwrap();
    model.gate().open();
    for (n, expected) in [(0, 50), (1, 50), (2, 60)] {
        let out = harness.pull().unwrap();
        assert_frame(&out, 40 * n, expected);
        assert_eq!(out.size(), 100 * 56);
    }
    assert_stats(&element, &[("duplicates", 1), ("fallback", 1)]);
}

/// Sends a pointer position in the output; returns the position in the input that arrives upstream.
fn pointed(harness: &mut gst_check::Harness, x: f64, y: f64) -> (f64, f64) {
    harness.push_upstream_event(gst_video::NavigationEvent::new_mouse_move(x, y).build());
    let moved = std::iter::from_fn(|| harness.try_pull_upstream_event())
        .find(|event| event.type_() == gst::EventType::Navigation)
        .expect("the event goes upstream");
    let structure = moved.structure().unwrap();
    (structure.get("pointer_x").unwrap(), structure.get("pointer_y").unwrap())
}

/// An overlay, such as a subtitle, at this place.
fn rectangle((x, y, width, height): (i32, i32, u32, u32)) -> gst_video::VideoOverlayRectangle {
    let mut pixels = gst::Buffer::with_size(16 * 16 * 4).unwrap();
    let strides = [16 * 4];
    let format = gst_video::VideoFormat::Bgra;
    let flags = gst_video::VideoFrameFlags::empty();
    gst_video::VideoMeta::add_full(pixels.get_mut().unwrap(), flags, format, 16, 16, &[0], &strides).unwrap();
    let flags = gst_video::VideoOverlayFormatFlags::empty();
    gst_video::VideoOverlayRectangle::new_raw(&pixels, x, y, width, height, flags)
}

#[test]
fn positions_account_for_bars() {
    // Input, output, and the position and scale of the picture in the output.
    for ((width, height), (out_width, out_height), (x, y), scale) in
        [((64, 48), (320, 192), (32, 0), 4), ((64, 32), (128, 96), (0, 16), 2)]
    {
        let element = dummy_element(&doubling(), &[("show-updates", "true")]);
        let mut harness = harness(&element);
        let wanted = format!("video/x-raw,width={out_width},height={out_height},pixel-aspect-ratio=1/1");
        harness.set_caps_str(&caps(width, height), &wanted);
        let mut buffer = frame(0, width, height, 200);
        {
            let buffer = buffer.get_mut().unwrap();
            for region in [(0, 0, width as u32, height as u32), (8, 4, 16, 12)] {
                gst_video::VideoRegionOfInterestMeta::add(buffer, "face", region);
            }
            let composition = gst_video::VideoOverlayComposition::new([&rectangle((8, 4, 16, 12))]).unwrap();
            gst_video::VideoOverlayCompositionMeta::add(buffer, &composition);
        }
        harness.push(buffer).unwrap();
        let out = harness.pull().unwrap();
        let due = |left: u32, top: u32, width: u32, height: u32| {
            (x + scale * left, y + scale * top, scale * width, scale * height)
        };
        let regions: Vec<_> = out.iter_meta::<gst_video::VideoRegionOfInterestMeta>().map(|meta| meta.rect()).collect();
        assert_eq!(regions, [due(0, 0, width as u32, height as u32), due(8, 4, 16, 12)]);
        let overlay = out.meta::<gst_video::VideoOverlayCompositionMeta>().unwrap();
        let (left, top, wide, high) = overlay.overlay().iter().next().unwrap().render_rectangle();
        assert_eq!((left as u32, top as u32, wide, high), due(8, 4, 16, 12));
        // The whole frame is new, so the outline surrounds the picture.
        let map = out.map_readable().unwrap();
        let at = |x: u32, y: u32| map[(y * out_width + x) as usize];
        assert_eq!(at(x, y), !200);
        assert_eq!(at(x + 4, y + 4), 200);
        assert_eq!(at(0, 0), if x + y == 0 { !200 } else { 0 });
        // Corners of the picture, its centre, and corners of the bars, which map to the nearest corner of the picture.
        let (right, bottom) = (f64::from(out_width - x), f64::from(out_height - y));
        let (width, height) = (width as f64, height as f64);
        for ((px, py), due) in [
            ((f64::from(x), f64::from(y)), (0.0, 0.0)),
            ((right, bottom), (width, height)),
            ((f64::from(x), bottom), (0.0, height)),
            ((f64::from(out_width) / 2.0, f64::from(out_height) / 2.0), (width / 2.0, height / 2.0)),
            ((f64::from(x + scale), f64::from(y + 3 * scale)), (1.0, 3.0)),
            ((0.0, 0.0), (0.0, 0.0)),
            ((f64::from(out_width), f64::from(out_height)), (width, height)),
        ] {
            assert_eq!(pointed(&mut harness, px, py), due, "{px}, {py}");
        }
    }
}

#[test]
fn positions_are_scaled() {
    let element = dummy_element(&doubling(), &[]);
    let mut harness = harness(&element);
    harness.set_caps_str(&caps(32, 18), "video/x-raw,width=160,height=90");
    let mut buffer = frame(0, 32, 18, 9);
    gst_video::VideoRegionOfInterestMeta::add(buffer.get_mut().unwrap(), "face", (4, 2, 8, 6));
    harness.push(buffer).unwrap();
    let out = harness.pull().unwrap();
    assert_eq!(out.meta::<gst_video::VideoRegionOfInterestMeta>().unwrap().rect(), (20, 10, 40, 30));
    assert_eq!(pointed(&mut harness, 80.0, 45.0), (16.0, 9.0));
}
