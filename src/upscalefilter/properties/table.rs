//! One row per property: its specification, how to read and write its value, and what a change does.
//!
//! `docs/properties.md` is generated from this table; `tests/documentation.rs` compares the two.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

use glib::translate::ToGlibPtr;
use gst::prelude::*;

use super::*;
use crate::model::builtin;
use crate::reuse::MAX_DETAIL_TOLERANCE;

/// More frames in flight would mean hours of latency, not throughput.
const MAX_IN_FLIGHT: u32 = 1024;
const MAX_WORKERS: u32 = 256;
/// Larger than any frame.
const MAX_TILE_SIZE: u32 = 65_535;
const MAX_TILE_OVERLAP: u32 = 256;
const MAX_SIMILARITY_TOLERANCE: u32 = 255;

/// What a change of a property does while a stream runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upscalefilter) enum Effect {
    /// Loads another engine in the background, which takes over when it is ready.
    ReloadsEngine,
    /// Negotiates the output caps again.
    Renegotiates,
    /// Applies to the next frame, or at the next change to PAUSED if the property is not mutable in PLAYING.
    NextUse,
}

/// One property.
pub(in crate::upscalefilter) struct Property {
    pub spec: glib::ParamSpec,
    pub effect: Effect,
    /// `None` if the value is not a setting: `stats`.
    access: Option<Access>,
}

/// How to get a value out of `Settings` and into it.
struct Access {
    get: fn(&Settings) -> glib::Value,
    set: fn(&mut Settings, &glib::Value),
    is_same: fn(&Settings, &Settings) -> bool,
}

impl Settings {
    /// Whether an engine that was loaded with the `other` settings can be used with these.
    pub fn same_engine(&self, other: &Settings) -> bool {
        PROPERTIES.iter().all(|property| property.effect != Effect::ReloadsEngine || property.is_same(self, other))
    }
}

impl Property {
    /// The value in `settings`; `None` for a property that is not a setting.
    pub fn get(&self, settings: &Settings) -> Option<glib::Value> {
        self.access.as_ref().map(|access| (access.get)(settings))
    }

    /// Stores a value whose type GObject has checked.
    pub fn set(&self, settings: &mut Settings, value: &glib::Value) {
        if let Some(access) = &self.access {
            (access.set)(settings, value);
        }
    }

    /// Whether both settings have the same value.
    pub fn is_same(&self, one: &Settings, other: &Settings) -> bool {
        self.access.as_ref().is_none_or(|access| (access.is_same)(one, other))
    }
}

/// All properties, in the order of `gst-inspect-1.0`.
pub(in crate::upscalefilter) static PROPERTIES: LazyLock<Vec<Property>> =
    LazyLock::new(|| [engine(), parallelism(), memory(), reuse(), timing(), stream()].into_iter().flatten().collect());

const TYPE_CHECKED: &str = "GObject has checked the type against the property's";

/// A row whose value is stored in a field of the property's own type, or accessed through a getter and a setter.
macro_rules! property {
    ($effect:ident, $field:ident, $spec:expr) => {
        property!($effect, $field, $spec, |settings| settings.$field.to_value(), |settings, value| {
            settings.$field = value.get().expect(TYPE_CHECKED)
        })
    };
    ($effect:ident, $field:ident, $spec:expr, $get:expr, $set:expr) => {
        Property {
            spec: $spec,
            effect: Effect::$effect,
            access: Some(Access { get: $get, set: $set, is_same: |one, other| one.$field == other.$field }),
        }
    };
}

/// The properties for the network and the device it runs on.
fn engine() -> Vec<Property> {
    let builtins: Vec<_> = builtin::BUILTINS.iter().map(|builtin| builtin.name).collect();
    let model_blurb = format!(
        "Path of an ONNX super-resolution network, or the name of a built-in one: {}. Channels (1 = luma, 3 = RGB), scale, \
         number types and sizes are read from the file",
        builtins.join(", ")
    );
    vec![
        property!(
            ReloadsEngine,
            model,
            glib::ParamSpecString::builder("model")
                .nick("Model")
                .blurb(&model_blurb)
                .default_value(Some(builtin::DEFAULT))
                .mutable_playing()
                .build(),
            |settings| settings.model.to_string_lossy().into_owned().to_value(),
            |settings, value| settings.model = text(value).unwrap_or_else(|| builtin::DEFAULT.into())
        ),
        property!(
            ReloadsEngine,
            execution_provider,
            glib::ParamSpecEnum::builder_with_default("execution-provider", Provider::default())
                .nick("Execution provider")
                .blurb(
                    "Where the network runs. 'auto' takes the best available provider; an unavailable one is an error, never a \
                     silent fallback to the CPU",
                )
                .mutable_playing()
                .build()
        ),
        property!(
            ReloadsEngine,
            device_id,
            glib::ParamSpecString::builder("device-id")
                .nick("Devices")
                .blurb(
                    "Number of the execution provider's device, or a list of devices that share the frames: '0,1' (with OpenVINO also by \
                     name: CPU, GPU, NPU). 'workers' and 'vram-limit' apply to each of them",
                )
                .default_value(Some("0"))
                .mutable_playing()
                .build(),
            |settings| if settings.device_id.is_empty() { "0" } else { &settings.device_id }.to_value(),
            |settings, value| settings.device_id = value
                .get::<Option<String>>()
                .expect(TYPE_CHECKED)
                .unwrap_or_default()
        ),
        property!(
            ReloadsEngine,
            precision,
            glib::ParamSpecEnum::builder_with_default("precision", Precision::default())
                .nick("Precision")
                .blurb(
                    "Number type that the network computes in; one that is named and not possible is an error. 'auto' on the CPU takes int8 \
                     for networks that have that form, else bf16, as far as the processor has them; CUDA uses TF32 and TensorRT fp16",
                )
                .mutable_playing()
                .build()
        ),
        property!(
            ReloadsEngine,
            conversion,
            glib::ParamSpecEnum::builder_with_default("conversion", Conversion::default())
                .nick("Conversion")
                .blurb(
                    "Where pixels become tensors and tensors become pixels. 'device' copies the frame's integers to the device and \
                     fails if it cannot convert them; 'auto' does that with CUDA",
                )
                .mutable_playing()
                .build()
        ),
    ]
}

/// The properties for parallelism.
fn parallelism() -> Vec<Property> {
    vec![
        property!(
            ReloadsEngine,
            workers,
            glib::ParamSpecUInt::builder("workers")
                .nick("Workers")
                .blurb(
                    "Frames upscaled in parallel, if 'vram-limit' allows; the output does not depend on it. 0 = automatic: as many as \
                     CPU cores, or one to four by a GPU's memory and more while that is faster; 1 = sequential",
                )
                .maximum(MAX_WORKERS)
                .mutable_playing()
                .build()
        ),
        property!(
            ReloadsEngine,
            max_in_flight,
            glib::ParamSpecUInt::builder("max-in-flight")
                .nick("Frames in flight")
                .blurb(
                    "Maximum number of frames between sink and source pad; it bounds memory, and that many frame durations are added to \
                     the latency. 0 = automatic: twice the workers plus two",
                )
                .maximum(MAX_IN_FLIGHT)
                .mutable_playing()
                .build()
        ),
    ]
}

/// The properties for memory use, and for what happens when memory runs out.
fn memory() -> Vec<Property> {
    vec![
        property!(
            ReloadsEngine,
            vram_limit,
            glib::ParamSpecUInt64::builder("vram-limit")
                .nick("Memory limit")
                .blurb(
                    "Bytes of the device's memory (the machine's on the CPU) that concurrent runs of the network may use; larger frames \
                     are cut into tiles. 0 = automatic: the memory free at the start, minus a reserve",
                )
                .mutable_playing()
                .build()
        ),
        property!(
            ReloadsEngine,
            tile_size,
            glib::ParamSpecUInt::builder("tile-size")
                .nick("Tile size")
                .blurb(
                    "Largest width and height in input pixels of what goes through the network at once, including the surroundings that \
                     a tile reads. 0 = automatic: whole frames, or tiles as large as 'vram-limit' allows",
                )
                .maximum(MAX_TILE_SIZE)
                .mutable_playing()
                .build()
        ),
        property!(
            ReloadsEngine,
            tile_overlap,
            glib::ParamSpecUInt::builder("tile-overlap")
                .nick("Tile overlap")
                .blurb(
                    "Input pixels over which tiles are blended if the network's receptive field is unknown or does not fit its fixed \
                     size. Tiles of other networks need no blending: they give the same output as the whole frame",
                )
                .maximum(MAX_TILE_OVERLAP)
                .default_value(DEFAULT_TILE_OVERLAP)
                .mutable_playing()
                .build()
        ),
        property!(
            ReloadsEngine,
            fallback,
            glib::ParamSpecBoolean::builder("fallback")
                .nick("Fall back to the CPU")
                .blurb(
                    "Let the CPU take over, with a warning, when the device fails or runs out of memory and neither fewer workers nor \
                     smaller tiles help. Otherwise that is an error",
                )
                .mutable_playing()
                .build()
        ),
    ]
}

/// The properties for reuse of earlier results.
fn reuse() -> Vec<Property> {
    vec![
        property!(
            NextUse,
            duplicates,
            glib::ParamSpecEnum::builder_with_default("duplicates", Duplicates::default())
                .nick("Duplicates")
                .blurb(
                    "Which frames and parts of frames reuse earlier results. 'exact' gives the same bytes as 'off'; 'similar' also reuses \
                     what differs by at most 'similarity-tolerance', for noisy sources",
                )
                .mutable_playing()
                .build()
        ),
        property!(
            NextUse,
            similarity_tolerance,
            glib::ParamSpecUInt::builder("similarity-tolerance")
                .nick("Similarity tolerance")
                .blurb(
                    "With duplicates=similar: how many 8-bit code values a sample may differ from the one that was upscaled in its place. \
                     Where the mean of 16x16 pixels has moved by more than half a code value they are upscaled again, so that fades are followed",
                )
                .maximum(MAX_SIMILARITY_TOLERANCE)
                .default_value(DEFAULT_TOLERANCE)
                .mutable_playing()
                .build()
        ),
        property!(
            NextUse,
            similarity_max_age,
            glib::ParamSpecUInt::builder("similarity-max-age")
                .nick("Similarity maximum age")
                .blurb(
                    "With duplicates=similar: number of frames within which every region is upscaled again, a few at a time. 0 = never",
                )
                .default_value(DEFAULT_MAX_AGE)
                .mutable_playing()
                .build()
        ),
        property!(
            NextUse,
            detail_tolerance,
            glib::ParamSpecUInt::builder("detail-tolerance")
                .nick("Detail tolerance")
                .blurb(
                    "Resizes blocks so smooth that the network would change them by no more than about this many 8-bit code values,                      and runs the network on the others. 0 = the network runs everywhere",
                )
                .maximum(MAX_DETAIL_TOLERANCE)
                .default_value(0)
                .mutable_playing()
                .build()
        ),
        property!(
            NextUse,
            cache_size,
            glib::ParamSpecUInt64::builder("cache-size")
                .nick("Cache size")
                .blurb(
                    "Bytes of upscaled frames kept for frames that recur; the least recently used is evicted first. 0 = only the last frame \
                     is kept",
                )
                .default_value(DEFAULT_CACHE_SIZE)
                .mutable_playing()
                .build()
        ),
        property!(
            NextUse,
            show_updates,
            glib::ParamSpecBoolean::builder("show-updates")
                .nick("Show updates")
                .blurb("Outline the parts of each frame that were upscaled, to see what 'duplicates' saves")
                .mutable_playing()
                .build()
        ),
    ]
}

/// The properties for timing.
fn timing() -> Vec<Property> {
    vec![
        property!(
            NextUse,
            late_frames,
            glib::ParamSpecEnum::builder_with_default("late-frames", LateFrames::default())
                .nick("Late frames")
                .blurb(
                    "What happens to a frame that would leave later than a live pipeline's latency allows, or than the sink can use (QoS). \
                     'fallback' frames carry the custom meta GstUpscaleFilterFallbackMeta; after 'drop' the next frame is marked DISCONT",
                )
                .mutable_playing()
                .build()
        ),
        property!(
            NextUse,
            latency_mode,
            glib::ParamSpecEnum::builder_with_default("latency-mode", LatencyMode::default())
                .nick("Latency mode")
                .blurb(
                    "Whether a device runs several frames at a time, one per worker (throughput), or one at a time on all cores, so that it \
                     is done sooner (low). 'low' keeps fewer frames in flight unless 'max-in-flight' is set",
                )
                .mutable_ready()
                .build()
        ),
    ]
}

/// The properties for output size and reporting.
fn stream() -> Vec<Property> {
    vec![
        property!(
            Renegotiates,
            fit,
            glib::ParamSpecBoolean::builder("fit")
                .nick("Fit the size")
                .blurb(
                    "Let downstream choose the output size, for example with a caps filter: the network runs once or twice and the rest is \
                     resized, keeping the picture's shape by pixel aspect ratio or bars. Otherwise the size is the input's times the network's scale",
                )
                .default_value(true)
                .mutable_playing()
                .build()
        ),
        property!(
            NextUse,
            plan_location,
            glib::ParamSpecString::builder("plan-location")
                .nick("Plan location")
                .blurb(
                    "File to write a JSON plan to at the end of the stream: unique frames, which of them each frame repeats, and totals. \
                     Not set = no plan",
                )
                .mutable_ready()
                .build(),
            |settings| settings.plan_location.as_ref().map(|path| path.to_string_lossy().into_owned()).to_value(),
            |settings, value| settings.plan_location = text(value).map(PathBuf::from)
        ),
        property!(
            NextUse,
            progress_interval,
            glib::ParamSpecUInt64::builder("progress-interval")
                .nick("Progress interval")
                .maximum(i64::MAX as u64)
                .blurb(
                    "Nanoseconds between 'upscalefilter-progress' element messages, which have the fields of 'stats'. 0 = none",
                )
                .mutable_playing()
                .build(),
            |settings| settings.progress_interval.map_or(0, gst::ClockTime::nseconds).to_value(),
            |settings, value| {
                let nanoseconds: u64 = value.get().expect(TYPE_CHECKED);
                settings.progress_interval = (nanoseconds > 0).then(|| gst::ClockTime::from_nseconds(nanoseconds));
            }
        ),
        Property {
            spec: glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                .nick("Statistics")
                .blurb(
                    "Counters since the stream started or was last flushed: frames, reuse, memory, speed and lateness. docs/statistics.md \
                     explains each field",
                )
                .read_only()
                .build(),
            effect: Effect::NextUse,
            access: None,
        },
    ]
}

/// A string property's value, if it is not empty. File names need not be UTF-8, and glib's own conversion panics on
/// invalid UTF-8.
fn text(value: &glib::Value) -> Option<OsString> {
    // SAFETY: the value holds a string or null, as GObject has checked, and is borrowed until the bytes are copied.
    let text = unsafe { glib::gobject_ffi::g_value_get_string(value.to_glib_none().0) };
    if text.is_null() {
        return None;
    }
    // SAFETY: it is not null, and ends with a zero byte.
    let bytes = unsafe { std::ffi::CStr::from_ptr(text) }.to_bytes();
    (!bytes.is_empty()).then(|| os_string(bytes))
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}
