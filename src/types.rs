//! Types shared by several layers.

use gst::glib;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl Size {
    /// Width times height.
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// A rectangle in pixels, from the top left corner of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rect {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl Rect {
    /// Width times height.
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// What a tensor's channels mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// One channel: luma, 0..1 over the nominal range.
    Luma,
    /// Three channels: R'G'B', 0..1.
    Rgb,
}

impl Channels {
    /// Number of channels in the tensor.
    pub fn count(self) -> usize {
        match self {
            Channels::Luma => 1,
            Channels::Rgb => 3,
        }
    }
}

/// Where a network runs (property `execution-provider`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, glib::Enum)]
#[enum_type(name = "GstUpscaleFilterExecutionProvider")]
#[repr(i32)]
pub enum Provider {
    #[default]
    #[enum_value(name = "Best available provider", nick = "auto")]
    Auto,
    #[enum_value(name = "CPU", nick = "cpu")]
    Cpu,
    #[enum_value(name = "NVIDIA GPU through CUDA", nick = "cuda")]
    Cuda,
    #[enum_value(name = "NVIDIA GPU through TensorRT", nick = "tensorrt")]
    TensorRt,
    #[enum_value(name = "CPU, Intel GPU or NPU through OpenVINO", nick = "openvino")]
    OpenVino,
    #[enum_value(name = "GPU with Vulkan, Metal or Direct3D 12 through WebGPU", nick = "webgpu")]
    WebGpu,
}

impl Provider {
    /// The nick in properties and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Provider::Auto => "auto",
            Provider::Cpu => "cpu",
            Provider::Cuda => "cuda",
            Provider::TensorRt => "tensorrt",
            Provider::OpenVino => "openvino",
            Provider::WebGpu => "webgpu",
        }
    }

    /// Whether its libraries prepare each new tensor size (choose kernels, record graphs).
    pub fn plans_for_sizes(self) -> bool {
        !matches!(self, Provider::Auto | Provider::Cpu)
    }
}

/// Number type that a network computes in, where the provider offers a choice (property `precision`). The types of its
/// input and output stay the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, glib::Enum)]
#[enum_type(name = "GstUpscaleFilterPrecision")]
#[repr(i32)]
pub enum Precision {
    /// On processors int8 for quantised networks, else bfloat16, else fp32, as far as the processor has them; TF32 and
    /// float16 on NVIDIA GPUs.
    #[default]
    #[enum_value(name = "Fastest without visible loss", nick = "auto")]
    Auto,
    #[enum_value(name = "32-bit floating point", nick = "fp32")]
    Fp32,
    #[enum_value(name = "16-bit floating point (IEEE 754)", nick = "fp16")]
    Fp16,
    #[enum_value(name = "bfloat16", nick = "bf16")]
    Bf16,
    #[enum_value(name = "8-bit integers, for quantised networks", nick = "int8")]
    Int8,
}

impl Precision {
    /// The nick in properties and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Auto => "auto",
            Precision::Fp32 => "fp32",
            Precision::Fp16 => "fp16",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
        }
    }
}

/// The number by which OpenVINO's NPU is known here. 0 is the CPU, the others are GPUs from 1 on.
pub const OPENVINO_NPU: u32 = 1000;

/// Where samples are converted to tensors and back (property `conversion`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, glib::Enum)]
#[enum_type(name = "GstUpscaleFilterConversion")]
#[repr(i32)]
pub enum Conversion {
    #[default]
    #[enum_value(name = "On the device where that is possible and faster", nick = "auto")]
    Auto,
    /// The network receives floats.
    #[enum_value(name = "On the processor", nick = "processor")]
    Processor,
    /// The network's device receives integer samples.
    #[enum_value(name = "On the network's device", nick = "device")]
    Device,
}

impl Conversion {
    /// Whether the device of `provider` converts.
    ///
    /// `Auto` means CUDA only: it has kernels for every operator and type that is added to the graph. TensorRT and WebGPU lack 16-bit
    /// integers, WebGPU bytes too; the other providers are untested, and on the CPU there is nothing to gain.
    pub fn on_device(self, provider: Provider) -> bool {
        match self {
            Conversion::Auto => provider == Provider::Cuda,
            Conversion::Processor => false,
            Conversion::Device => true,
        }
    }
}
