//! The element's properties: what they are called, what they mean, their defaults and bounds.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

use glib::translate::ToGlibPtr;
use gst::prelude::*;

use crate::model::{self, Provider, builtin};
use crate::reuse::{DEFAULT_MAX_AGE, DEFAULT_TOLERANCE, Mode};

use super::conversion::Conversion;

const DEFAULT_CACHE_SIZE: u64 = 128 << 20;
/// More frames than this under way would be hours of latency, not throughput.
const MAX_IN_FLIGHT: u32 = 1024;
const MAX_WORKERS: u32 = 256;
const DEFAULT_TILE_OVERLAP: u32 = 16;
/// Larger than any frame.
const MAX_TILE_SIZE: u32 = 65_535;
const MAX_TILE_OVERLAP: u32 = 256;
const MAX_SIMILARITY_TOLERANCE: u32 = 255;

/// Where the network runs (property `execution-provider`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstUpscaleFilterExecutionProvider")]
#[repr(i32)]
pub enum ExecutionProvider {
    #[default]
    #[enum_value(name = "The best that is to be had", nick = "auto")]
    Auto,
    #[enum_value(name = "The processor", nick = "cpu")]
    Cpu,
    #[enum_value(name = "NVIDIA GPU through CUDA", nick = "cuda")]
    Cuda,
    #[enum_value(name = "NVIDIA GPU through TensorRT", nick = "tensorrt")]
    Tensorrt,
    #[enum_value(name = "Intel processor, GPU or NPU through OpenVINO", nick = "openvino")]
    Openvino,
    #[enum_value(name = "Any GPU with Vulkan, Metal or Direct3D 12 through WebGPU", nick = "webgpu")]
    Webgpu,
    #[enum_value(name = "Apple's Neural Engine, GPU or processor through Core ML", nick = "coreml")]
    Coreml,
    #[enum_value(name = "Any GPU with Direct3D 12 through DirectML", nick = "directml")]
    Directml,
}

impl From<ExecutionProvider> for Provider {
    fn from(provider: ExecutionProvider) -> Self {
        match provider {
            ExecutionProvider::Auto => Provider::Auto,
            ExecutionProvider::Cpu => Provider::Cpu,
            ExecutionProvider::Cuda => Provider::Cuda,
            ExecutionProvider::Tensorrt => Provider::TensorRt,
            ExecutionProvider::Openvino => Provider::OpenVino,
            ExecutionProvider::Webgpu => Provider::WebGpu,
            ExecutionProvider::Coreml => Provider::CoreMl,
            ExecutionProvider::Directml => Provider::DirectMl,
        }
    }
}

/// In which numbers the network computes (property `precision`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstUpscaleFilterPrecision")]
#[repr(i32)]
pub enum Precision {
    #[default]
    #[enum_value(name = "As fast as the hardware does it without a loss that is seen", nick = "auto")]
    Auto,
    #[enum_value(name = "32 bits", nick = "fp32")]
    Fp32,
    #[enum_value(name = "16 bits, IEEE 754", nick = "fp16")]
    Fp16,
    #[enum_value(name = "16 bits, bfloat16", nick = "bf16")]
    Bf16,
}

impl From<Precision> for model::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Auto => model::Precision::Auto,
            Precision::Fp32 => model::Precision::Fp32,
            Precision::Fp16 => model::Precision::Fp16,
            Precision::Bf16 => model::Precision::Bf16,
        }
    }
}

/// What happens to a frame that was seen before (property `duplicates`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstUpscaleFilterDuplicates")]
#[repr(i32)]
pub enum Duplicates {
    #[enum_value(name = "Upscale every frame", nick = "off")]
    Off,
    #[default]
    #[enum_value(name = "What looks exactly as before is not upscaled again", nick = "exact")]
    Exact,
    #[enum_value(name = "Nor is what looks nearly as before", nick = "similar")]
    Similar,
}

/// What happens to a frame that would be late (property `late-frames`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstUpscaleFilterLateFrames")]
#[repr(i32)]
pub enum LateFrames {
    #[default]
    #[enum_value(name = "It is upscaled, whatever that takes", nick = "upscale")]
    Upscale,
    #[enum_value(name = "It is resized without the network", nick = "fallback")]
    Fallback,
    #[enum_value(name = "It is dropped", nick = "drop")]
    Drop,
}

/// Whether frames are upscaled side by side or one after the other (property `latency-mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstUpscaleFilterLatencyMode")]
#[repr(i32)]
pub enum LatencyMode {
    #[default]
    #[enum_value(name = "'low' in live pipelines, else 'throughput'", nick = "auto")]
    Auto,
    #[enum_value(name = "Each worker has a frame of its own", nick = "throughput")]
    Throughput,
    #[enum_value(name = "The workers share each frame", nick = "low")]
    Low,
}

/// The values of the properties. Never changed by the stream.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub model: OsString,
    pub execution_provider: ExecutionProvider,
    /// A list of numbers; empty is the first device.
    pub device_id: String,
    pub precision: Precision,
    pub conversion: Conversion,
    /// 0 = automatic.
    pub workers: u32,
    /// 0 = automatic.
    pub max_in_flight: u32,
    /// Bytes; 0 = automatic.
    pub vram_limit: u64,
    /// Pixels; 0 = automatic.
    pub tile_size: u32,
    /// Pixels.
    pub tile_overlap: u32,
    pub fallback: bool,
    pub late_frames: LateFrames,
    pub latency_mode: LatencyMode,
    pub duplicates: Duplicates,
    /// Codes of 8 bits.
    pub similarity_tolerance: u32,
    /// Frames; 0 = of any age.
    pub similarity_max_age: u32,
    /// Bytes.
    pub cache_size: u64,
    pub show_updates: bool,
    pub plan_location: Option<PathBuf>,
    /// `None` = no progress messages.
    pub progress_interval: Option<gst::ClockTime>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            model: builtin::DEFAULT.into(),
            execution_provider: ExecutionProvider::default(),
            device_id: String::new(),
            precision: Precision::default(),
            conversion: Conversion::default(),
            workers: 0,
            max_in_flight: 0,
            vram_limit: 0,
            tile_size: 0,
            tile_overlap: DEFAULT_TILE_OVERLAP,
            fallback: false,
            late_frames: LateFrames::default(),
            latency_mode: LatencyMode::default(),
            duplicates: Duplicates::default(),
            similarity_tolerance: DEFAULT_TOLERANCE,
            similarity_max_age: DEFAULT_MAX_AGE,
            cache_size: DEFAULT_CACHE_SIZE,
            show_updates: false,
            plan_location: None,
            progress_interval: None,
        }
    }
}

impl Settings {
    /// The devices to run on, as the execution provider counts them; the error's text is for people.
    pub fn devices(&self) -> Result<Vec<u32>, String> {
        let given = self.device_id.trim();
        if given.is_empty() {
            return Ok(vec![0]);
        }
        let numbers: Result<Vec<u32>, _> = given.split(',').map(|number| number.trim().parse()).collect();
        let numbers =
            numbers.map_err(|_| format!("device-id={given} is no number and no list of numbers such as 0 or 0,1"))?;
        if numbers.iter().enumerate().any(|(place, number)| numbers[..place].contains(number)) {
            return Err(format!(
                "device-id={given} names a device twice; several workers on one are what `workers` is for"
            ));
        }
        Ok(numbers)
    }

    /// What serves while the engine for these is built, where that takes long.
    pub fn stand_in(&self) -> Option<Settings> {
        (self.execution_provider == ExecutionProvider::Tensorrt)
            .then(|| Settings { execution_provider: ExecutionProvider::Cuda, ..self.clone() })
    }

    /// What the engine depends on.
    pub fn engine_key(&self) -> impl PartialEq + use<> {
        let model =
            (self.model.clone(), self.execution_provider, self.device_id.clone(), self.precision, self.conversion);
        let memory = (self.vram_limit, self.tile_size, self.tile_overlap, self.fallback);
        (model, memory, self.workers, self.max_in_flight)
    }

    /// How frames are compared with those before; `None` where they are not.
    pub fn reuse(&self) -> Option<Mode> {
        match self.duplicates {
            Duplicates::Off => None,
            Duplicates::Exact => Some(Mode::Exact),
            Duplicates::Similar => {
                Some(Mode::Similar { tolerance: self.similarity_tolerance, max_age: self.similarity_max_age })
            }
        }
    }

    pub fn set(&mut self, name: &str, value: &glib::Value) {
        const TYPE: &str = "GObject has checked the type against the property's";
        match name {
            "model" => self.model = text(value).unwrap_or_else(|| builtin::DEFAULT.into()),
            "execution-provider" => self.execution_provider = value.get().expect(TYPE),
            "device-id" => self.device_id = value.get::<Option<String>>().expect(TYPE).unwrap_or_default(),
            "precision" => self.precision = value.get().expect(TYPE),
            "conversion" => self.conversion = value.get().expect(TYPE),
            "workers" => self.workers = value.get().expect(TYPE),
            "max-in-flight" => self.max_in_flight = value.get().expect(TYPE),
            "vram-limit" => self.vram_limit = value.get().expect(TYPE),
            "tile-size" => self.tile_size = value.get().expect(TYPE),
            "tile-overlap" => self.tile_overlap = value.get().expect(TYPE),
            "fallback" => self.fallback = value.get().expect(TYPE),
            "late-frames" => self.late_frames = value.get().expect(TYPE),
            "latency-mode" => self.latency_mode = value.get().expect(TYPE),
            "duplicates" => self.duplicates = value.get().expect(TYPE),
            "similarity-tolerance" => self.similarity_tolerance = value.get().expect(TYPE),
            "similarity-max-age" => self.similarity_max_age = value.get().expect(TYPE),
            "cache-size" => self.cache_size = value.get().expect(TYPE),
            "show-updates" => self.show_updates = value.get().expect(TYPE),
            "plan-location" => self.plan_location = text(value).map(PathBuf::from),
            "progress-interval" => {
                self.progress_interval =
                    Some(value.get::<u64>().expect(TYPE)).filter(|ns| *ns > 0).map(gst::ClockTime::from_nseconds);
            }
            _ => unreachable!("GObject has checked the name: {name}"),
        }
    }

    pub fn get(&self, name: &str) -> glib::Value {
        match name {
            "model" => self.model.to_string_lossy().into_owned().to_value(),
            "execution-provider" => self.execution_provider.to_value(),
            "device-id" => if self.device_id.is_empty() { "0" } else { &self.device_id }.to_value(),
            "precision" => self.precision.to_value(),
            "conversion" => self.conversion.to_value(),
            "workers" => self.workers.to_value(),
            "max-in-flight" => self.max_in_flight.to_value(),
            "vram-limit" => self.vram_limit.to_value(),
            "tile-size" => self.tile_size.to_value(),
            "tile-overlap" => self.tile_overlap.to_value(),
            "fallback" => self.fallback.to_value(),
            "late-frames" => self.late_frames.to_value(),
            "latency-mode" => self.latency_mode.to_value(),
            "duplicates" => self.duplicates.to_value(),
            "similarity-tolerance" => self.similarity_tolerance.to_value(),
            "similarity-max-age" => self.similarity_max_age.to_value(),
            "cache-size" => self.cache_size.to_value(),
            "show-updates" => self.show_updates.to_value(),
            "plan-location" => self.plan_location.as_ref().map(|path| path.to_string_lossy().into_owned()).to_value(),
            "progress-interval" => self.progress_interval.map_or(0, gst::ClockTime::nseconds).to_value(),
            _ => unreachable!("GObject has checked the name: {name}"),
        }
    }
}

/// A string property's value, if it is not empty. File names need not be UTF-8, and glib's own conversion panics on those.
fn text(value: &glib::Value) -> Option<OsString> {
    // SAFETY: the value holds a string or null, as GObject has checked, and is borrowed until the bytes are copied.
    let text = unsafe { glib::gobject_ffi::g_value_get_string(value.to_glib_none().0) };
    if text.is_null() {
        return None;
    }
    // SAFETY: it is not null, and ends with a nought byte.
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

pub(super) fn param_specs() -> &'static [glib::ParamSpec] {
    static SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
        let mut specs = engine_specs();
        specs.extend(worker_specs());
        specs.extend(memory_specs());
        specs.extend(reuse_specs());
        specs.extend(live_specs());
        specs.extend(stream_specs());
        specs
    });
    &SPECS
}

/// The properties that say how the network is loaded and run.
fn engine_specs() -> Vec<glib::ParamSpec> {
    let describe = |b: &builtin::Builtin| {
        format!("'{}' (x{}, {}, {} kB: {})", b.name, b.scale, b.speed.name(), b.onnx.len().div_ceil(1000), b.summary)
    };
    let builtins: Vec<_> = builtin::BUILTINS.iter().map(describe).collect();
    let model_blurb = format!(
        "The network: the path of an ONNX super-resolution model, or the name of a built-in one: {}. Channels (1 = luma, \
         3 = RGB), scale, number types and sizes are found out from the file",
        builtins.join(", ")
    );
    vec![
        glib::ParamSpecString::builder("model")
            .nick("Model")
            .blurb(&model_blurb)
            .default_value(Some(builtin::DEFAULT))
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("execution-provider", ExecutionProvider::default())
            .nick("Execution provider")
            .blurb(
                "Where the network runs. 'auto' takes the best that is to be had; one asked for by name that is not there is \
                 an error, never a silent fall to the CPU",
            )
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder("device-id")
            .nick("Devices")
            .blurb(
                "Which device of the execution provider, as that provider counts them from 0, or several that share the frames: '0,1'. \
                 'workers' and 'vram-limit' are for each. For OpenVINO 0 is the processor and 1 the first GPU. The CPU has no use for it",
            )
            .default_value(Some("0"))
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("precision", Precision::default())
            .nick("Precision")
            .blurb(
                "In which numbers the network computes where the execution provider offers a choice: OpenVINO (bf16, fp16), CUDA \
                 (TF32 unless fp32), TensorRT (fp16 unless fp32). The CPU provider computes as the model says",
            )
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("conversion", Conversion::default())
            .nick("Conversion")
            .blurb(
                "Where pictures become what the network takes, and its result pictures. 'device' hands the pictures' own integers to \
                 the network's device, which is an error where that is not possible; 'auto' does so with CUDA. Both give the same to a \
                 code value",
            )
            .mutable_playing()
            .build(),
    ]
}

/// The properties that say how much is done at a time.
fn worker_specs() -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecUInt::builder("workers")
            .nick("Workers")
            .blurb(
                "Frames upscaled at a time, each in a session of its own, as far as 'vram-limit' allows. 0 = automatic: on the \
                 CPU one for each core, on a GPU one below 5 GB of its memory, two below 7 GB, three below 10 GB, else four, and \
                 more while that makes it faster. \
                 1 = sequential. The output does not depend on it",
            )
            .maximum(MAX_WORKERS)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("max-in-flight")
            .nick("Frames in flight")
            .blurb(
                "Frames that may be between sink and source pad at a time; upstream waits when there are as many. Bounds \
                 memory and latency (as many frame durations are added to the pipeline's). 0 = automatic: twice the workers \
                 and two",
            )
            .maximum(MAX_IN_FLIGHT)
            .mutable_playing()
            .build(),
    ]
}

/// The properties that say how much memory is used, and what happens when it runs out.
fn memory_specs() -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecUInt64::builder("vram-limit")
            .nick("Memory limit")
            .blurb(
                "Bytes of the device's memory (on the CPU: of the machine's) that runs of the network may take together. \
                 Frames too large for it are cut into tiles, without a difference to be seen. 0 = automatic: what is free at \
                 the start, less a tenth, or 256 MiB if that is more, but no more than half",
            )
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("tile-size")
            .nick("Tile size")
            .blurb(
                "Largest width and height, in input pixels, of what goes through the network at once, with what is read around a \
                 tile; never smaller than the network needs. 0 = automatic: whole frames, or tiles as large as 'vram-limit' allows",
            )
            .maximum(MAX_TILE_SIZE)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("tile-overlap")
            .nick("Tile overlap")
            .blurb(
                "Input pixels over which tiles are blended, where the network's reach is not known or its fixed size leaves no \
                 room for it. Other networks' tiles give what the whole frame does, to the last bit unless the network resizes by other factors than 2",
            )
            .maximum(MAX_TILE_OVERLAP)
            .default_value(DEFAULT_TILE_OVERLAP)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("fallback")
            .nick("Fall back to the CPU")
            .blurb(
                "Whether the CPU takes over, with a warning, when the device has run out of memory or failed and neither fewer \
                 workers nor smaller tiles help. Else that is an error",
            )
            .mutable_playing()
            .build(),
    ]
}

/// The properties that say what is not upscaled twice.
fn reuse_specs() -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecEnum::builder_with_default("duplicates", Duplicates::default())
            .nick("Duplicates")
            .blurb(
                "'exact': a frame whose visible pixels are all the same as those of one seen before (adjacent or not) shares \
                 its result, and of one that differs from the frame before in some places only these are upscaled, if the \
                 network's reach is known; the output is the same as with 'off', to the byte. 'similar': places that differ \
                 from what was upscaled by no more than 'similarity-tolerance' are not upscaled again either: for noisy \
                 sources. 'off': every frame is upscaled",
            )
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("similarity-tolerance")
            .nick("Similarity tolerance")
            .blurb(
                "With duplicates=similar, by how many code values (of 8 bits; scaled for more) a sample may differ from the one \
                 that was upscaled at its place. Where the mean of 16x16 pixels differs by more than half a code value they are upscaled \
                 again whatever the tolerance, so that a slow fade does not stand still",
            )
            .maximum(MAX_SIMILARITY_TOLERANCE)
            .default_value(DEFAULT_TOLERANCE)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("similarity-max-age")
            .nick("Similarity maximum age")
            .blurb(
                "With duplicates=similar, after how many frames every place is upscaled again though it is similar; not all at \
                 the same time, so that it is not seen. 0 = never",
            )
            .default_value(DEFAULT_MAX_AGE)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder("cache-size")
            .nick("Cache size")
            .blurb(
                "Bytes of upscaled frames kept to be used again when a frame comes back; the least recently used goes first. A \
                 1280x720 frame in 4:2:0 with 8 bits takes 1.4 MB. 0 = keep none but, where the network's reach is known, the last, so that only what the frame before shows is found",
            )
            .default_value(DEFAULT_CACHE_SIZE)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("show-updates")
            .nick("Show updates")
            .blurb(
                "Draws a frame around what was upscaled of each picture, as desktops show their updates: to see what \
                 'duplicates' saves. A frame that was seen before has none",
            )
            .mutable_playing()
            .build(),
    ]
}

/// The properties that say how a stream keeps its time.
fn live_specs() -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecEnum::builder_with_default("late-frames", LateFrames::default())
            .nick("Late frames")
            .blurb(
                "What happens to a frame that would leave too late: in a live pipeline later than the latency allows, elsewhere later \
                 than the sink can use (QoS). It is found out before work is spent, from how long frames took so far. 'fallback' \
                 frames carry the custom meta GstUpscaleFilterFallbackMeta; after 'drop' the next frame is marked DISCONT",
            )
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("latency-mode", LatencyMode::default())
            .nick("Latency mode")
            .blurb(
                "Whether the workers have a frame each, or share each frame, so that it is done sooner; then fewer frames are in flight \
                 unless 'max-in-flight' says how many. 'low' takes a network whose reach is known and no fixed size",
            )
            .mutable_ready()
            .build(),
    ]
}

/// The properties that say what is done with the stream, and what it tells.
fn stream_specs() -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecString::builder("plan-location")
            .nick("Plan location")
            .blurb(
                "File to which a JSON plan is written at the end of the stream: the unique frames, which of them each frame \
                 shows, and totals. Not set = no plan",
            )
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt64::builder("progress-interval")
            .nick("Progress interval")
            .maximum(i64::MAX as u64)
            .blurb(
                "Nanoseconds between two element messages 'upscalefilter-progress' on the bus, which carry the fields of \
                 'stats'. 0 = none",
            )
            .mutable_playing()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb(
                "What happened since the stream began or was last flushed: frames-in, frames-out, unique, duplicates, duplicate-percentage, \
                 reused-percentage (of the frames' area, taken from frames before), saved-seconds (of the network's time, by that), \
                 in-flight, workers (at a time, now), tile-size (0 = whole frames), memory-used, memory-peak and memory-limit \
                 (bytes that runs are reckoned to take), steps-down and steps-up (changes after failures), fps (pushed, wall-clock), inference-ms-average and inference-ms-worst (the network \
                 alone, for each frame), reorders (frames put into PTS order), reorders-failed (of these, too late to be put right), \
                 late (left later than the latency allows), fallback (resized because they would have been), dropped (likewise), \
                 cache-bytes",
            )
            .read_only()
            .build(),
    ]
}
