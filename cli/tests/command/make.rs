//! Making clips to try the command with.

use std::path::{Path, PathBuf};

use gst::prelude::*;

use crate::common::{init, wait_message};

/// Moving pictures, small enough for any test.
pub const VIDEO: &str =
    "videotestsrc num-buffers=30 pattern=ball ! video/x-raw,format=I420,width=64,height=48,framerate=25/1";
/// As long as [`VIDEO`].
pub const SOUND: &str =
    "audiotestsrc num-buffers=50 samplesperbuffer=1152 freq=300 ! audio/x-raw,rate=48000,channels=1";
/// Coded with B-frames, as most videos are.
pub const X264: &str = "x264enc bframes=2 b-adapt=false key-int-max=12 speed-preset=veryfast";

/// Runs a pipeline that writes to `filesink name=out` until it ends.
#[track_caller]
pub fn render(path: &Path, description: &str) -> PathBuf {
    init();
    let pipeline = gst::parse::launch(description).unwrap_or_else(|error| panic!("{description}: {error}"));
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a description of several elements is a pipeline");
    pipeline.by_name("out").expect("the sink has a name").set_property("location", path);
    finish(&pipeline);
    path.to_owned()
}

/// Plays a pipeline to its end.
#[track_caller]
pub fn finish(pipeline: &gst::Pipeline) {
    pipeline.set_state(gst::State::Playing).expect("the pipeline starts");
    wait_message(&pipeline.bus().expect("a pipeline has a bus"), &[gst::MessageType::Eos]);
    pipeline.set_state(gst::State::Null).expect("the pipeline stops");
}

/// Whether these elements are all there; says loudly what is left out if not.
pub fn have(factories: &[&str]) -> bool {
    init();
    let missing = factories.iter().find(|factory| gst::ElementFactory::find(factory).is_none());
    if let Some(missing) = missing {
        eprintln!("*** SKIPPED: no {missing} ***");
    }
    missing.is_none()
}

/// A clip with H.264 in `muxer`, and the sound of each of `encoders`.
pub fn with_sound(path: &Path, muxer: &str, encoders: &[&str]) -> PathBuf {
    let sound: String =
        encoders.iter().map(|encoder| format!(" {SOUND} ! audioconvert ! {encoder} ! queue ! mux.")).collect();
    let video = format!("{VIDEO} ! {X264} ! queue ! mux.");
    render(path, &format!("{muxer} name=mux ! filesink name=out {video}{sound}"))
}

/// A clip whose frames come at irregular times.
pub fn irregular(path: &Path, encoder: &str, muxer: &str) -> PathBuf {
    init();
    let pipeline = gst::parse::launch(&format!(
        "appsrc name=in format=time caps=video/x-raw,format=I420,width=64,height=48,framerate=0/1 ! {encoder} ! {muxer} ! \
         filesink name=out"
    ))
    .expect("the description is sound");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("it is a pipeline");
    pipeline.by_name("out").expect("the sink has a name").set_property("location", path);
    let source = pipeline.by_name("in").and_then(|source| source.downcast::<gst_app::AppSrc>().ok());
    let source = source.expect("the source has a name");
    for (index, pts) in irregular_times().into_iter().enumerate() {
        let mut buffer = gst::Buffer::from_mut_slice(vec![index as u8 * 8; 64 * 48 * 3 / 2]);
        let frame = buffer.get_mut().expect("it is new");
        frame.set_pts(pts);
        frame.set_duration(gst::ClockTime::from_mseconds(20));
        source.push_buffer(buffer).expect("the source takes frames");
    }
    source.end_of_stream().expect("the source takes the end");
    finish(&pipeline);
    path.to_owned()
}

/// Steps of 20 to 140 ms, and one of a second.
pub fn irregular_times() -> Vec<gst::ClockTime> {
    let steps = [40, 20, 20, 140, 60, 20, 1000, 20, 100, 40, 20, 60, 20, 120, 20, 40, 80, 20, 20, 60];
    let times = steps.iter().scan(0, |now, step| Some(std::mem::replace(now, *now + step)));
    times.map(gst::ClockTime::from_mseconds).collect()
}

/// Numbered pictures of `pattern`, each shown twice.
pub fn pictures(folder: &Path, count: u32, first: u32) {
    std::fs::create_dir_all(folder).expect("the folder can be made");
    let location = folder.join("%03d.png");
    init();
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc num-buffers={count} pattern=ball ! video/x-raw,format=RGB,width=32,height=24,framerate=25/1 ! \
         videorate ! pngenc ! multifilesink name=out index={first}"
    ))
    .expect("the description is sound");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("it is a pipeline");
    pipeline.by_name("out").expect("the sink has a name").set_property("location", location.to_str());
    finish(&pipeline);
}

/// Changes bytes of a file: in each box of type `kind`, what `change` does to its contents.
pub fn patch_boxes(path: &Path, kind: &[u8; 4], mut change: impl FnMut(&mut [u8])) {
    let mut bytes = std::fs::read(path).expect("the clip can be read");
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(4).position(|window| window == kind) {
        at += found + 4;
        change(&mut bytes[at..]);
    }
    std::fs::write(path, bytes).expect("the clip can be written");
}
