//! What is told of the properties: their texts, bounds, and when they can be changed.

use std::sync::LazyLock;

use gst::prelude::*;

use super::*;
use crate::model::builtin;
use crate::reuse::{DEFAULT_MAX_AGE, DEFAULT_TOLERANCE};

pub(in crate::upscalefilter) fn param_specs() -> &'static [glib::ParamSpec] {
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
        glib::ParamSpecBoolean::builder("fit")
            .nick("Fit the size")
            .blurb(
                "Whether the output takes the size that downstream asks for (such as a caps filter with width=1920): the network runs, \
                 twice if once is not enough and that makes no more than four times the size, and the rest is resized. The picture keeps its \
                 shape, by that of its pixels or by bars. Where downstream takes any size, and always without this, it is the \
                 network's scale times the input's",
            )
            .default_value(true)
            .mutable_playing()
            .build(),
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
                 non-finite (values of the network that were NaN or infinite, and became black or the nearest code), \
                 cache-bytes",
            )
            .read_only()
            .build(),
    ]
}
