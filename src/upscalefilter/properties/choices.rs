//! Enumerations of property values that only the element uses; the others are in `types`.

use gst::glib;

/// What happens to a frame that was seen before (property `duplicates`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstUpscaleFilterDuplicates")]
#[repr(i32)]
pub enum Duplicates {
    #[enum_value(name = "Upscale every frame", nick = "off")]
    Off,
    #[default]
    #[enum_value(name = "Reuse the results of identical frames and parts of frames", nick = "exact")]
    Exact,
    #[enum_value(name = "Reuse the results of similar parts as well", nick = "similar")]
    Similar,
}

/// What happens to a frame that would be late (property `late-frames`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstUpscaleFilterLateFrames")]
#[repr(i32)]
pub enum LateFrames {
    #[default]
    #[enum_value(name = "Upscale it regardless", nick = "upscale")]
    Upscale,
    #[enum_value(name = "Resize it without the network", nick = "fallback")]
    Fallback,
    #[enum_value(name = "Drop it", nick = "drop")]
    Drop,
}

/// Whether frames are upscaled in parallel or one after the other (property `latency-mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstUpscaleFilterLatencyMode")]
#[repr(i32)]
pub enum LatencyMode {
    #[default]
    #[enum_value(name = "'low' in live pipelines, otherwise 'throughput'", nick = "auto")]
    Auto,
    #[enum_value(name = "Several frames at a time, one for each worker", nick = "throughput")]
    Throughput,
    #[enum_value(name = "One frame at a time on each device, with all its cores", nick = "low")]
    Low,
}
