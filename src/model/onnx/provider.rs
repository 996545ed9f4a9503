//! Execution providers: which there are in the ONNX Runtime that was found, and how a session is told to use one.
//!
//! Some are compiled into ONNX Runtime and bring a library of their own beside it; others are plugins, libraries that any ONNX Runtime
//! loads. One that is asked for by name and cannot be had is an error that says which library is missing, never a fall to the CPU.

use std::path::PathBuf;

use once_cell::sync::OnceCell;
use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProvider};
use ort::session::builder::SessionBuilder;

use super::runtime::Runtime;
use super::text;
use crate::types::{Precision, Provider};

/// What a session's provider is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionOptions {
    pub provider: Provider,
    /// As the provider counts them.
    pub device_id: u32,
    /// Of the processor, for each session.
    pub threads: usize,
    pub precision: Precision,
}

/// What `auto` tries, best first. Not TensorRT, which builds for minutes before its first frame.
pub(super) const AUTO: [Provider; 4] = [Provider::Cuda, Provider::WebGpu, Provider::OpenVino, Provider::Cpu];

/// A provider in a library of its own that any ONNX Runtime loads.
struct Plugin {
    /// Under which ONNX Runtime knows it then.
    name: &'static str,
    library: &'static str,
    /// How `script/setup` fetches it.
    setup: &'static str,
    /// What it runs on.
    hardware: &'static str,
    loaded: OnceCell<()>,
}

static WEBGPU: Plugin = Plugin {
    name: "WebGpuExecutionProvider",
    library: "onnxruntime_providers_webgpu",
    setup: "--webgpu",
    hardware: "a GPU whose driver has Vulkan",
    loaded: OnceCell::new(),
};
static OPENVINO: Plugin = Plugin {
    name: "OpenVINOExecutionProvider",
    library: "onnxruntime_providers_openvino_plugin",
    setup: "--openvino",
    hardware: "an Intel processor or GPU",
    loaded: OnceCell::new(),
};

/// Makes sessions of `builder` run on the provider. An error is one line that can follow "execution-provider=NAME: ".
pub(super) fn append(builder: &mut SessionBuilder, runtime: &Runtime, settings: SessionOptions) -> Result<(), String> {
    let SessionOptions { provider, device_id, .. } = settings;
    match provider {
        // `auto` has been made one of the others before.
        Provider::Cpu | Provider::Auto => runtime.use_cpu(builder, true).map_err(|error| text::trim(error.message())),
        Provider::Cuda => register(
            builder,
            runtime,
            &ep::CUDA::default()
                .with_device_id(i32::try_from(device_id).map_err(|_| "there is no such device".to_owned())?)
                .with_prefer_nhwc(true)
                .with_arbitrary_config("use_tf32", if settings.precision == Precision::Fp32 { "0" } else { "1" }),
            "CUDA",
            "onnxruntime_providers_cuda",
            "gpu",
        ),
        Provider::TensorRt => {
            let cache = cache_folder().ok_or("it needs a folder for its engines: set XDG_CACHE_HOME or HOME")?;
            register(
                builder,
                runtime,
                &ep::TensorRT::default()
                    .with_device_id(i32::try_from(device_id).map_err(|_| "there is no such device".to_owned())?)
                    .with_fp16(settings.precision != Precision::Fp32)
                    .with_engine_cache(true)
                    .with_engine_cache_path(cache.display()),
                "TensorRT",
                "onnxruntime_providers_tensorrt",
                "gpu",
            )
        }
        Provider::OpenVino => openvino(builder, runtime, settings),
        Provider::WebGpu => WEBGPU.append(builder, runtime, device_id, &[]),
    }
}

/// Enables a provider that is compiled into ONNX Runtime. `library` is the provider's own library, `variant` the one
/// of `script/setup` that downloads it.
fn register<E: ExecutionProvider>(
    builder: &mut SessionBuilder,
    runtime: &Runtime,
    provider: &E,
    name: &str,
    library: &str,
    variant: &str,
) -> Result<(), String> {
    if !E::is_available().unwrap_or(false) {
        // What is fetched is a second ONNX Runtime: without the variable nobody would use it.
        return Err(format!(
            "{} was built without {name}; `./script/setup --{variant}` downloads one that has it, and {}: run with UPSCALE_RUNTIME={variant} \
             ./script/env ...",
            runtime.path.display(),
            file_name(library)
        ));
    }
    provider.register(builder).map_err(|error| {
        let reason = text::trim(error.message());
        text::missing_library(&reason).map(|(by, missing)| needs(by, missing)).unwrap_or(reason)
    })
}

/// What to do about a library of somebody else's that a provider's library wants and the system's loader does not find.
fn needs(by: &str, missing: &str) -> String {
    if missing.ends_with(by) {
        return format!("{missing} was not found");
    }
    let advice = match missing {
        _ if missing.starts_with("libcuda.so") => "it is part of NVIDIA's driver",
        _ if missing.starts_with("libnvinfer") || missing.starts_with("libnvonnxparser") => "it is part of TensorRT 10",
        _ if missing.starts_with("libcu") || missing.starts_with("libnv") => {
            "install CUDA 13 and cuDNN 9, or run `./script/setup --cuda`"
        }
        _ => "install the package that contains it, or add its folder to LD_LIBRARY_PATH",
    };
    format!("{by} needs {missing}, which was not found; {advice}")
}

/// OpenVINO is compiled into the ONNX Runtime that comes with it, and a plugin (for Intel's own hardware alone) for others.
fn openvino(builder: &mut SessionBuilder, runtime: &Runtime, settings: SessionOptions) -> Result<(), String> {
    // OpenVINO's own properties, in JSON. It would pin the one thread of each session to the same core.
    let precision = openvino_precision(settings.precision);
    let config = format!(r#"{{"CPU":{{"INFERENCE_PRECISION_HINT":"{precision}","ENABLE_CPU_PINNING":"NO"}}}}"#);
    let plugin = runtime.path.with_file_name(file_name(OPENVINO.library));
    if !ep::OpenVINO::is_available().unwrap_or(false) && plugin.exists() {
        return OPENVINO.append(builder, runtime, settings.device_id, &[("load_config", &config)]);
    }
    let device = match settings.device_id {
        0 => "CPU".to_owned(),
        gpu => format!("GPU.{}", gpu - 1),
    };
    let provider = ep::OpenVINO::default()
        .with_device_type(device)
        .with_num_threads(settings.threads)
        .with_num_streams(1)
        .with_arbitrary_config("load_config", config);
    register(builder, runtime, &provider, "OpenVINO", "onnxruntime_providers_openvino", "openvino")
}

/// bfloat16 where the processor multiplies it (AVX-512 BF16): two to three times as fast, and above 50 dB from float32.
fn openvino_precision(precision: Precision) -> &'static str {
    #[cfg(target_arch = "x86_64")]
    let native = std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    let native = false;
    match precision {
        Precision::Bf16 => "bf16",
        Precision::Fp16 => "f16",
        Precision::Auto if native => "bf16",
        Precision::Auto | Precision::Fp32 => "f32",
    }
}

impl Plugin {
    /// Loads the library, once, and asks for the provider's device number `device_id`.
    fn append(
        &self,
        builder: &mut SessionBuilder,
        runtime: &Runtime,
        device_id: u32,
        options: &[(&str, &str)],
    ) -> Result<(), String> {
        self.loaded.get_or_try_init(|| self.load(runtime))?;
        let devices = runtime.environment.devices().filter(|device| device.ep().is_ok_and(|name| name == self.name));
        let devices: Vec<_> = devices.collect();
        let count = devices.len();
        let device = devices.into_iter().nth(device_id as usize).ok_or_else(|| match count {
            0 => format!("{} finds no device: it needs {}", file_name(self.library), self.hardware),
            count => {
                format!("there is no device {device_id}; {} finds {count}, counted from 0", file_name(self.library))
            }
        })?;
        let options: Vec<_> =
            options.iter().map(|(key, value)| (format!("{}.{key}", self.name), (*value).to_owned())).collect();
        // It takes the builder by value; what is left meanwhile is of no use.
        let given = std::mem::replace(builder, runtime.builder().map_err(|error| text::trim(error.message()))?);
        *builder = given.with_devices([device], Some(&options)).map_err(|error| text::trim(error.message()))?;
        Ok(())
    }

    fn load(&self, runtime: &Runtime) -> Result<(), String> {
        let name = file_name(self.library);
        let folder = runtime.path.parent().map(PathBuf::from).unwrap_or_default();
        let path = folder.join(&name);
        if !path.exists() {
            return Err(format!(
                "{name} was not found beside {}; `./script/setup {}` downloads it",
                runtime.path.display(),
                self.setup
            ));
        }
        let registered = runtime.environment.register_ep_library(self.name, &path);
        registered.map_err(|error| format!("{} cannot be loaded ({})", path.display(), text::trim(error.message())))
    }
}

fn file_name(library: &str) -> String {
    format!("{}{library}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// Where TensorRT's engines are kept, by the XDG base directory specification.
fn cache_folder() -> Option<PathBuf> {
    let absolute = |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    let folder = base.join("gst-upscale").join("tensorrt");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_missing_comes_with_what_brings_it() {
        let by = "libonnxruntime_providers_cuda.so";
        for (missing, advice) in [
            ("libcuda.so.1", "NVIDIA's driver"),
            ("libcublasLt.so.13", "`./script/setup --cuda`"),
            ("libnvinfer.so.10", "TensorRT 10"),
            ("libz.so.1", "LD_LIBRARY_PATH"),
        ] {
            let text = needs(by, missing);
            assert!(text.starts_with(&format!("{by} needs {missing}, which was not found; ")), "{text}");
            assert!(text.contains(advice), "{text}");
        }
        assert_eq!(
            needs(by, "/a b/libonnxruntime_providers_cuda.so"),
            "/a b/libonnxruntime_providers_cuda.so was not found"
        );
    }
}
