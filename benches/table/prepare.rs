//! Prepares the frames and clips that all variants use.
//!
//! The frames must be real: networks with PReLU run up to 1.6 times as fast on blank ones.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gst::prelude::*;
use gst_video::VideoFrameExt;
use serde::{Deserialize, Serialize};

use crate::SIZE;
use crate::child::Child;
use crate::measure::frames::{FORMAT, drawn, frame_bytes};
use crate::measure::machine;

/// Number of different frames, which are repeated.
const KEPT: usize = 24;
/// Number of frames of the clip that they are taken from.
const LOOKED_AT: usize = 300;
const FPS: i32 = 24;

/// What was prepared.
#[derive(Deserialize, Serialize)]
pub struct Prepared {
    /// The frames in sequence: 4:2:0, 640x360, tightly packed.
    pub frames: PathBuf,
    /// Their source, as text for the table.
    pub source: String,
    /// Clips of the requested lengths.
    pub clips: [Clip; 2],
    pub gstreamer: String,
    pub date: String,
}

/// A video file for the command.
#[derive(Deserialize, Serialize)]
pub struct Clip {
    pub path: PathBuf,
    pub frames: usize,
}

/// Prepares in a separate process; `counts` are the numbers of frames of the clips.
pub fn in_child(clip: &Path, counts: [usize; 2]) -> Result<Prepared> {
    let frames = Path::new(env!("CARGO_TARGET_TMPDIR")).join("table.i420");
    let child = Child::Prepare { clip: clip.to_owned(), frames, counts: counts.to_vec() };
    let answer = child.answer().context("preparing the frames failed")?;
    serde_json::from_str(&answer.output).context("cannot parse the answer")
}

/// Does the work. Returns [`Prepared`] as JSON.
pub fn run(clip: &Path, frames: &Path, counts: &[usize]) -> Result<String> {
    gst::init()?;
    let &[long, short] = counts else { bail!("expected two counts") };
    let (decoded, source) = if clip.exists() {
        let name = clip.file_name().unwrap_or(clip.as_os_str());
        (decode(clip)?, name.display().to_string())
    } else {
        eprintln!("*** {} not found: measuring with synthetic frames ***", clip.display());
        (
            (0..LOOKED_AT).map(|index| drawn(index, SIZE)).collect(),
            "synthetic, because the clip was not found".to_owned(),
        )
    };
    // Spread over the clip, which may start with black frames.
    let kept: Vec<u8> = (0..KEPT).flat_map(|index| decoded[index * decoded.len() / KEPT].iter().copied()).collect();
    std::fs::write(frames, kept).with_context(|| format!("{} cannot be written", frames.display()))?;
    let file = |count: usize| -> Result<Clip> {
        // If all of the clip is needed, use the file as it is.
        if count >= decoded.len() && clip.exists() && decoded.len() < LOOKED_AT {
            return Ok(Clip { path: clip.to_owned(), frames: decoded.len() });
        }
        let path = frames.with_extension(format!("{count}.mp4"));
        encode(&decoded, count, &path)?;
        Ok(Clip { path, frames: count })
    };
    let date = machine::date()?;
    let gstreamer = gst::version_string().to_string();
    let clips = [file(long)?, file(short)?];
    let prepared = Prepared { frames: frames.to_owned(), source, clips, gstreamer, date };
    Ok(serde_json::to_string(&prepared)?)
}

fn caps() -> gst::Caps {
    gst_video::VideoCapsBuilder::new()
        .format(gst_video::VideoFormat::from_string(FORMAT.name()))
        .width(SIZE.width as i32)
        .height(SIZE.height as i32)
        .pixel_aspect_ratio(gst::Fraction::new(1, 1))
        .build()
}

/// The first [`LOOKED_AT`] frames of a clip.
fn decode(clip: &Path) -> Result<Vec<Vec<u8>>> {
    let pipeline = launch("filesrc name=file ! decodebin ! videoconvert ! videoscale ! appsink name=sink sync=false")?;
    named::<gst::Element>(&pipeline, "file")?.set_property("location", clip);
    let sink: gst_app::AppSink = named(&pipeline, "sink")?;
    sink.set_caps(Some(&caps()));
    sink.set_max_buffers(2);
    pipeline.set_state(gst::State::Playing)?;
    let mut frames = Vec::new();
    while frames.len() < LOOKED_AT
        && let Ok(sample) = sink.pull_sample()
    {
        let info = sample.caps().context("a sample without caps")?;
        let info = gst_video::VideoInfo::from_caps(info)?;
        let buffer = sample.buffer().context("a sample without a buffer")?;
        frames.push(tight(buffer, &info)?);
    }
    let bus = pipeline.bus().context("a pipeline has a bus")?;
    let error = bus.pop_filtered(&[gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null)?;
    if let Some(gst::MessageView::Error(error)) = error.as_ref().map(|message| message.view()) {
        bail!("{}: {}", clip.display(), error.error());
    }
    if frames.is_empty() {
        bail!("{} has no frames", clip.display());
    }
    Ok(frames)
}

/// The visible pixels of a frame, without padding.
fn tight(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Result<Vec<u8>> {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info)?;
    let mut bytes = Vec::with_capacity(frame_bytes(SIZE));
    for plane in 0..FORMAT.planes() {
        let (row_bytes, rows) = FORMAT.visible(plane, SIZE);
        let stride = usize::try_from(frame.plane_stride()[plane])?;
        let data = frame.plane_data(u32::try_from(plane)?)?;
        (0..rows).for_each(|y| bytes.extend_from_slice(&data[y * stride..][..row_bytes]));
    }
    Ok(bytes)
}

/// Writes a clip of `count` frames.
fn encode(frames: &[Vec<u8>], count: usize, path: &Path) -> Result<()> {
    let pipeline = launch(
        "appsrc name=source format=time block=true ! x264enc pass=quant quantizer=20 speed-preset=veryfast ! h264parse ! \
         mp4mux ! filesink name=file",
    )?;
    named::<gst::Element>(&pipeline, "file")?.set_property("location", path);
    let source: gst_app::AppSrc = named(&pipeline, "source")?;
    let mut caps = caps();
    caps.make_mut().set("framerate", gst::Fraction::new(FPS, 1));
    source.set_caps(Some(&caps));
    pipeline.set_state(gst::State::Playing)?;
    let duration = gst::ClockTime::SECOND / FPS as u64;
    for (index, frame) in frames.iter().cycle().take(count).enumerate() {
        let mut buffer = gst::Buffer::from_slice(frame.clone());
        let header = buffer.get_mut().context("a new buffer has no other owner")?;
        header.set_pts(duration * index as u64);
        header.set_duration(duration);
        source.push_buffer(buffer)?;
    }
    source.end_of_stream()?;
    let bus = pipeline.bus().context("a pipeline has a bus")?;
    let message = bus.timed_pop_filtered(gst::ClockTime::NONE, &[gst::MessageType::Eos, gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null)?;
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => bail!("{}: {}", path.display(), error.error()),
        _ => Ok(()),
    }
}

fn launch(description: &str) -> Result<gst::Pipeline> {
    gst::parse::launch(description)?.downcast().map_err(|_| anyhow::anyhow!("the description is not a pipeline"))
}

fn named<T: IsA<gst::Element>>(pipeline: &gst::Pipeline, name: &str) -> Result<T> {
    let element = pipeline.by_name(name).and_then(|element| element.downcast().ok());
    element.with_context(|| format!("the pipeline has no {name} of this kind"))
}
