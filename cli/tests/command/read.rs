//! Reading what came out.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use gst::prelude::*;
use gst_pbutils::prelude::*;

use crate::common::{PATIENCE, init};
use crate::make::finish;

/// The decoded frames of a file.
#[derive(Debug, Default)]
pub struct Frames {
    pub caps: Option<gst::Caps>,
    /// Hashes of their bytes.
    pub hashes: Vec<u64>,
}

impl Frames {
    /// A field of the caps.
    pub fn field<T: for<'a> glib::value::FromValue<'a>>(&self, name: &str) -> Option<T> {
        self.caps.as_ref()?.structure(0)?.get_optional(name).ok()?
    }
}

fn hash(buffer: &gst::BufferRef) -> u64 {
    let map = buffer.map_readable().expect("it can be read");
    BuildHasherDefault::<DefaultHasher>::default().hash_one(map.as_slice())
}

/// Decodes a file's video.
pub fn frames(path: &Path) -> Frames {
    init();
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("filesrc").property("location", path).build().unwrap();
    let decoder = gst::ElementFactory::make("decodebin").build().unwrap();
    pipeline.add_many([&source, &decoder]).unwrap();
    source.link(&decoder).unwrap();
    let frames = Arc::new(Mutex::new(Frames::default()));
    decoder.connect_pad_added({
        let (frames, pipeline) = (frames.clone(), pipeline.downgrade());
        move |_, pad| {
            let sink = gst::ElementFactory::make("fakesink").property("sync", false).build().unwrap();
            pipeline.upgrade().unwrap().add(&sink).unwrap();
            pad.link(&sink.static_pad("sink").unwrap()).unwrap();
            sink.sync_state_with_parent().unwrap();
            let frames = frames.clone();
            pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
                let caps = pad.current_caps().unwrap();
                if caps.structure(0).unwrap().name() == "video/x-raw" {
                    let mut frames = frames.lock().unwrap();
                    frames.hashes.push(hash(info.buffer().unwrap()));
                    frames.caps = Some(caps);
                }
                gst::PadProbeReturn::Ok
            });
        }
    });
    finish(&pipeline);
    std::mem::take(&mut *frames.lock().unwrap())
}

/// When the frames of a file's video are shown, as ffprobe says.
///
/// GStreamer's demuxer is no judge here: it drops frames at the end of MP4 files with an edit list.
pub fn times(path: &Path) -> Vec<gst::ClockTime> {
    let text = ffprobe(path, &["-select_streams", "v:0", "-show_entries", "frame=pts_time", "-of", "csv=p=0"]);
    let time = |line: &str| {
        let seconds: f64 = line.trim_end_matches(',').parse().expect("a number");
        gst::ClockTime::from_nseconds((seconds * 1e9).round() as u64)
    };
    text.lines().filter(|line| !line.is_empty()).map(time).collect()
}

/// The hashes of the packets of each stream of sound, as ffprobe says.
pub fn sound(path: &Path) -> Vec<Vec<String>> {
    let args = ["-select_streams", "a", "-show_packets", "-show_data_hash", "md5", "-of", "json"];
    let packets: serde_json::Value = serde_json::from_str(&ffprobe(path, &args)).expect("ffprobe writes JSON");
    let mut streams = BTreeMap::<u64, Vec<String>>::new();
    for packet in packets["packets"].as_array().into_iter().flatten() {
        let index = packet["stream_index"].as_u64().expect("a number");
        streams.entry(index).or_default().push(packet["data_hash"].as_str().expect("a hash").to_owned());
    }
    streams.into_values().collect()
}

/// Seconds of sound that can be decoded.
pub fn sound_duration(path: &Path) -> f64 {
    let args = ["-select_streams", "a:0", "-show_entries", "frame=nb_samples", "-of", "csv=p=0"];
    let text = ffprobe(path, &args);
    let samples: u64 = text.lines().filter_map(|line| line.trim_end_matches(',').parse::<u64>().ok()).sum();
    let rate = ffprobe(path, &["-select_streams", "a:0", "-show_entries", "stream=sample_rate", "-of", "csv=p=0"]);
    samples as f64 / rate.trim().parse::<f64>().expect("a number")
}

/// The share of frames that FFmpeg's `idet` takes for interlaced.
pub fn combed_share(path: &Path) -> f64 {
    let args = ["-hide_banner", "-nostats", "-vf", "scale=iw:ih/2:flags=neighbor,idet", "-f", "null", "-"];
    let output = Command::new("ffmpeg").arg("-i").arg(path).args(args).output().expect("ffmpeg is there");
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().rfind(|line| line.contains("Multi frame detection")).expect("idet counts");
    let count = |name: &str| -> f64 {
        let after = line.split(name).nth(1).expect("a count");
        after.split_whitespace().next().expect("a number").parse().expect("a number")
    };
    let (combed, progressive) = (count("TFF:") + count("BFF:"), count("Progressive:"));
    combed / (combed + progressive).max(1.0)
}

/// The luma of the first row of the first frame, of 8 bits.
pub fn first_luma_row(path: &Path, width: usize) -> Vec<u8> {
    raw(path, "gray", "extractplanes=y", width)
}

/// The first row of the first frame as R'G'B'.
pub fn first_rgb_row(path: &Path, width: usize) -> Vec<u8> {
    raw(path, "rgb24", "null", 3 * width)
}

fn raw(path: &Path, format: &str, filter: &str, bytes: usize) -> Vec<u8> {
    let args = ["-frames:v", "1", "-vf", filter, "-f", "rawvideo", "-pix_fmt", format, "-"];
    let output =
        Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(path).args(args).output().expect("ffmpeg is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout[..bytes].to_vec()
}

/// What the first frame and the stream say beside pixels.
pub fn first_frame_side_data(path: &Path) -> String {
    let args = ["-select_streams", "v:0", "-read_intervals", "%+#1", "-show_frames", "-show_streams"];
    ffprobe(path, &[&args[..], &["-of", "json"]].concat())
}

/// When subtitles are shown, in milliseconds, as ffprobe says. Those without text end the one before.
pub fn subtitles(path: &Path) -> Vec<u64> {
    let args = ["-select_streams", "s", "-show_entries", "packet=pts_time,size", "-of", "csv=p=0"];
    let text = ffprobe(path, &args);
    let packets = text.lines().filter_map(|line| line.split_once(','));
    let shown = packets.filter(|(_, size)| size.trim_end_matches(',').parse::<u32>().expect("a number") > 2);
    shown.map(|(time, _)| (time.parse::<f64>().expect("a number") * 1e3).round() as u64).collect()
}

/// Whether ffprobe is there; says loudly what is left out if not.
pub fn have_ffprobe() -> bool {
    let there = Command::new("ffprobe").arg("-version").output().is_ok();
    if !there {
        eprintln!("*** SKIPPED: ffprobe is not installed ***");
    }
    there
}

fn ffprobe(path: &Path, args: &[&str]) -> String {
    let output = Command::new("ffprobe").args(["-v", "error"]).args(args).arg(path).output().expect("ffprobe is there");
    assert!(output.status.success(), "ffprobe {}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("ffprobe speaks UTF-8")
}

/// What GStreamer finds out about a file.
pub fn discover(path: &Path) -> gst_pbutils::DiscovererInfo {
    init();
    let uri = glib::filename_to_uri(path.canonicalize().expect("the file is there"), None).expect("a path has a URI");
    let discoverer = gst_pbutils::Discoverer::new(PATIENCE).expect("the discoverer starts");
    discoverer.discover_uri(&uri).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The title of the whole file, or else of its first stream.
pub fn title(path: &Path) -> String {
    let entries = "format_tags=title:stream_tags=title";
    let text = ffprobe(path, &["-show_entries", entries, "-of", "csv=p=0"]);
    text.lines().rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

/// A tag of the whole file, or of one of its streams.
pub fn tag<'a, T: gst::Tag<'a, TagType = &'a str>>(path: &Path) -> Option<String> {
    let info = discover(path);
    let streams = info.stream_list().into_iter().chain(info.stream_info());
    let value = |tags: gst::TagList| tags.get::<T>().map(|value| value.get().to_owned());
    streams.filter_map(|stream| stream.tags()).find_map(value)
}

/// Fails the test unless two lists of times are equal up to what a container rounds.
#[track_caller]
pub fn assert_same_times(expected: &[gst::ClockTime], got: &[gst::ClockTime], tolerance: gst::ClockTime, what: &str) {
    assert_eq!(expected.len(), got.len(), "number of frames: {what}");
    for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
        assert!(expected.absdiff(*got) <= tolerance, "frame {index} of {what}: {got} instead of {expected}");
    }
}

/// By how much a container may move a frame: Matroska counts in milliseconds.
pub fn tolerance(path: &Path) -> gst::ClockTime {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("mkv" | "webm") => gst::ClockTime::from_useconds(501),
        _ => gst::ClockTime::from_useconds(3),
    }
}
