//! Execution providers: checks which are available and configures sessions to use one.
//!
//! Some are compiled into ONNX Runtime and come with their own library; others are plugin libraries that any ONNX
//! Runtime can load. An unavailable provider is an error that names the missing library, never a silent fallback to the
//! CPU.

use std::path::PathBuf;

use once_cell::sync::OnceCell;
use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProvider};
use ort::session::builder::SessionBuilder;

use super::runtime::Runtime;
use super::text;
use crate::model::loading::SessionOptions;
use crate::types::{Precision, Provider};

/// A provider in a separate library that any ONNX Runtime can load.
struct Plugin {
    /// Its name in ONNX Runtime.
    name: &'static str,
    library: &'static str,
    /// The option of `script/setup` that downloads it.
    setup: &'static str,
    /// The hardware it needs, for messages.
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
/// Adds the provider to `builder`, for a network whose file has this `hash`. The error is one line that can follow
/// "execution-provider=NAME: ".
pub(super) fn append(
    builder: &mut SessionBuilder,
    runtime: &Runtime,
    settings: SessionOptions,
    hash: u128,
) -> Result<(), String> {
    let SessionOptions { provider, device_id, .. } = settings;
    match provider {
        // The caller has already replaced `auto`.
        Provider::Cpu | Provider::Auto => runtime.use_cpu(builder, true).map_err(|error| text::trim(error.message())),
        Provider::Cuda => cuda(builder, runtime, settings),
        Provider::TensorRt => {
            let cache = cache_folder(&engine_name(hash, settings))
                .ok_or("it needs a folder for its engines: set XDG_CACHE_HOME or HOME")?;
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
            )?;
            // For what TensorRT does not know: without it, ONNX Runtime would give that to the CPU and say nothing.
            cuda(builder, runtime, settings)
        }
        Provider::OpenVino => Err("ONNX Runtime does not run it".into()),
        Provider::WebGpu => WEBGPU.append(builder, runtime, device_id),
    }
}

fn cuda(builder: &mut SessionBuilder, runtime: &Runtime, settings: SessionOptions) -> Result<(), String> {
    let provider = ep::CUDA::default()
        .with_device_id(i32::try_from(settings.device_id).map_err(|_| "there is no such device".to_owned())?)
        .with_prefer_nhwc(true)
        .with_arbitrary_config("use_tf32", if settings.precision == Precision::Fp32 { "0" } else { "1" });
    register(builder, runtime, &provider, "CUDA", "onnxruntime_providers_cuda", "gpu")
}

/// Adds a provider that is compiled into ONNX Runtime. `library` is the provider's own library, `variant` the option of
/// `script/setup` that downloads it.
fn register<E: ExecutionProvider>(
    builder: &mut SessionBuilder,
    runtime: &Runtime,
    provider: &E,
    name: &str,
    library: &str,
    variant: &str,
) -> Result<(), String> {
    if !E::is_available().unwrap_or(false) {
        // The script downloads a second ONNX Runtime, which is only used if the variable selects it.
        return Err(format!(
            "{} was built without {name}; `./script/setup --{variant}` downloads one that has it, and {}: run with \
             UPSCALE_RUNTIME={variant} ./script/env ...",
            runtime.path.display(),
            file_name(library)
        ));
    }
    provider.register(builder).map_err(|error| {
        let reason = text::trim(error.message());
        text::missing_library(&reason).map(|(by, missing)| needs(by, missing)).unwrap_or(reason)
    })
}

/// Says how to get the library `missing`, which the provider's library `by` needs and the loader does not find.
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

impl Plugin {
    /// Loads the library, once, and asks for the provider's device number `device_id`.
    fn append(&self, builder: &mut SessionBuilder, runtime: &Runtime, device_id: u32) -> Result<(), String> {
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
        // It takes the builder by value; what is left meanwhile is of no use.
        let given = std::mem::replace(builder, runtime.builder().map_err(|error| text::trim(error.message()))?);
        *builder = given.with_devices([device], None).map_err(|error| text::trim(error.message()))?;
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

/// The cache folder of TensorRT engines, by the XDG base directory specification.
fn cache_folder(name: &str) -> Option<PathBuf> {
    let absolute = |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    let folder = base.join("gst-upscale").join("tensorrt").join(name);
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder)
}

/// Names the engines of one network with the settings that are built into them. ONNX Runtime itself tells engines apart by the
/// names in the graph alone, not by the weights (`TRTGenerateId` in its `tensorrt_execution_provider_utils.h`).
fn engine_name(hash: u128, settings: SessionOptions) -> String {
    format!("{hash:032x}-{}", if settings.precision == Precision::Fp32 { "fp32" } else { "fp16" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_of_other_weights_or_precision_have_another_folder() {
        let settings = |precision| SessionOptions {
            provider: Provider::TensorRt,
            device_id: 0,
            threads: 1,
            precision,
            reason: "",
            converts: false,
        };
        let name = |hash, precision| engine_name(hash, settings(precision));
        assert_ne!(name(1, Precision::Auto), name(2, Precision::Auto));
        assert_ne!(name(1, Precision::Auto), name(1, Precision::Fp32));
        assert_eq!(name(1, Precision::Auto), name(1, Precision::Fp16));
    }

    #[test]
    fn a_missing_library_comes_with_advice() {
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
