//! The properties whose values have names.

use gst::glib;

use crate::model::{self, Provider};

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
