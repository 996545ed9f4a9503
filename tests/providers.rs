//! Execution providers and number types: an unavailable one says what is missing; `auto` follows the rule; OpenVINO and ONNX
//! Runtime do without each other.

mod common;

use std::process::Command;

use gst::prelude::*;
use gstupscale::model::processor::{self, Features};
use gstupscale::model::{self, LoadOptions, Model, ModelError, Source};
use gstupscale::types::{Precision, Provider, Size};

use common::{element, harness, have_openvino, have_runtime, shared_data, with_bus};

/// Set in a process that has one of the two libraries.
const CHILD: &str = "UPSCALE_TEST_ONE_LIBRARY";

fn load(name: &str, provider: Provider) -> Result<std::sync::Arc<dyn Model>, ModelError> {
    model::load(&Source::parse(name), LoadOptions { provider, intra_threads: 1, ..LoadOptions::default() })
}

#[test]
fn an_unavailable_provider_names_the_missing_library() {
    if !have_runtime() {
        return;
    }
    let runtime = std::path::absolute(std::env::var_os("ORT_DYLIB_PATH").unwrap()).unwrap();
    // `script/setup --webgpu` may have brought it; what happens then is the machine's matter.
    let has_webgpu = runtime.with_file_name("libonnxruntime_providers_webgpu.so").exists();
    let runtime = runtime.display();
    for (provider, reason) in [
        (
            Provider::Cuda,
            format!(
                "execution-provider=cuda: {runtime} was built without CUDA; `./script/setup --gpu` downloads one that \
                 has it, and libonnxruntime_providers_cuda.so: run with UPSCALE_RUNTIME=gpu ./script/env ..."
            ),
        ),
        (
            Provider::TensorRt,
            format!(
                "execution-provider=tensorrt: {runtime} was built without TensorRT; `./script/setup --gpu` downloads one that \
                 has it, and libonnxruntime_providers_tensorrt.so: run with UPSCALE_RUNTIME=gpu ./script/env ..."
            ),
        ),
        (
            Provider::WebGpu,
            format!(
                "execution-provider=webgpu: libonnxruntime_providers_webgpu.so was not found beside {runtime}; `./script/setup --webgpu` \
                 downloads it"
            ),
        ),
    ] {
        if provider == Provider::WebGpu && has_webgpu {
            continue;
        }
        let Err(error) = load("lanczos2x", provider) else { panic!("{provider:?} was accepted") };
        assert!(matches!(&error, ModelError::Provider { provider: named, .. } if *named == provider), "{error}");
        assert_eq!(error.to_string(), reason);
    }
}

#[test]
fn the_element_refuses_an_unavailable_provider() {
    if !have_runtime() {
        return;
    }
    let missing = element(&[("execution-provider", "cuda")]);
    let bus = with_bus(&missing);
    assert!(missing.set_state(gst::State::Ready).is_err());
    let error = bus.pop_filtered(&[gst::MessageType::Error]).expect("an error is posted");
    let gst::MessageView::Error(error) = error.view() else { unreachable!() };
    assert!(error.error().to_string().contains("libonnxruntime_providers_cuda.so"), "{error:?}");
    missing.set_bus(None);
    missing.set_state(gst::State::Null).unwrap();
}

/// The provider and number type that a built-in network gets.
fn chosen(name: &str, precision: Precision) -> (Provider, Precision) {
    let options = LoadOptions { precision, intra_threads: 1, ..LoadOptions::default() };
    let model = model::load(&Source::parse(name), options).unwrap_or_else(|error| panic!("{error}"));
    (model.info().provider, model.info().precision)
}

#[test]
fn auto_follows_the_rule() {
    if !have_runtime() || !have_openvino() {
        return;
    }
    let has = processor::features();
    let small = match has {
        Features { int8: true, .. } => (Provider::OpenVino, Precision::Int8),
        Features { bf16: true, .. } => (Provider::OpenVino, Precision::Bf16),
        _ => (Provider::Cpu, Precision::Fp32),
    };
    assert_eq!(chosen("fast2x", Precision::Auto), small);
    assert_eq!(chosen("fast2x", Precision::Fp32), (Provider::Cpu, Precision::Fp32));
    // One convolution.
    assert_eq!(chosen("lanczos2x", Precision::Auto), (Provider::Cpu, Precision::Fp32));
}

#[test]
fn a_number_type_that_is_not_possible_is_an_error_with_the_reason() {
    if !have_runtime() || !have_openvino() {
        return;
    }
    let refusal = |name: &str, provider, precision| {
        let options = LoadOptions { provider, precision, ..LoadOptions::default() };
        let Err(error) = model::load(&Source::parse(name), options) else { panic!("{name} was accepted") };
        assert!(matches!(error, ModelError::Precision { .. }), "{error}");
        error.to_string()
    };
    assert_eq!(
        refusal("lanczos2x", Provider::Auto, Precision::Int8),
        "precision=int8: the network has no int8 form; training/quantize.py makes one of most networks"
    );
    let bf16 = refusal("fast2x", Provider::Cpu, Precision::Bf16);
    let has = processor::features();
    assert!(bf16.contains(if has.bf16 { "only execution-provider=openvino computes in bf16" } else { "no bfloat16" }));
    if !has.fp16 {
        assert!(refusal("fast2x", Provider::Auto, Precision::Fp16).contains("this processor has no float16"));
    }
}

#[test]
fn each_library_works_without_the_other() {
    if let Ok(which) = std::env::var(CHILD) {
        return with_one_library(&which);
    }
    if !have_runtime() || !have_openvino() {
        return;
    }
    for (missing, which) in [("ORT_DYLIB_PATH", "openvino"), ("OPENVINO_DYLIB_PATH", "cpu")] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "each_library_works_without_the_other", "--nocapture"])
            .env(missing, "/nonexistent/library.so")
            .env(CHILD, which)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(OVER), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}

const OVER: &str = "the one library runs everything";

fn with_one_library(which: &str) {
    let (there, missing) = match which {
        "cpu" => (Provider::Cpu, Provider::OpenVino),
        _ => (Provider::OpenVino, Provider::Cpu),
    };
    for name in ["fast2x", "lanczos2x"] {
        assert_eq!(chosen(name, Precision::Auto).0, there);
        assert_eq!(chosen(name, Precision::Fp32), (there, Precision::Fp32));
        let Err(error) = load(name, missing) else { panic!("{missing:?} was accepted") };
        assert!(error.to_string().contains("/nonexistent/library.so cannot be read"), "{error}");
    }
    let element = element(&[("model", "fast2x")]);
    let mut harness = harness(&element);
    harness.set_src_caps_str("video/x-raw,format=GRAY8,width=32,height=16,framerate=25/1");
    let frame = gst::Buffer::from_mut_slice(vec![128; 32 * 16]);
    assert_eq!(harness.push_and_pull(frame).unwrap().size(), 64 * 32);
    println!("{OVER}");
}

/// A picture with smooth areas, edges and some grain, 0 to 1.
fn picture(size: Size, channels: usize) -> Vec<f32> {
    let pixel = |n: u32| {
        let (x, y) = (n % size.width, n / size.width);
        let wave = (x as f32 / 9.0).sin() * (y as f32 / 13.0).cos();
        let edge = if (x / 20 + y / 15) % 2 == 0 { 0.15 } else { -0.15 };
        (0.5 + 0.2 * wave + edge + (n * 7919 % 31) as f32 / 1500.0).clamp(0.0, 1.0)
    };
    (0..channels).flat_map(|_| (0..size.width * size.height).map(pixel)).collect()
}

#[test]
fn all_number_types_agree() {
    if !have_runtime() || !have_openvino() {
        return;
    }
    let size = Size { width: 160, height: 120 };
    let mut models: Vec<String> = model::builtin::BUILTINS.iter().map(|builtin| builtin.name.to_owned()).collect();
    if let Some(folder) = shared_data("models") {
        for file in ["animejanai/2x_AnimeJaNai_HD_V3_SuperUltraCompact-fp32.onnx", "esr/eSR-TM_s2_K7_C16.onnx"] {
            models.push(folder.join(file).display().to_string());
        }
    }
    let has = processor::features();
    for name in models {
        let has_int8 = has.int8 && model::builtin::find(&name).is_some_and(|builtin| builtin.int8.is_some());
        let run = |provider, precision| {
            let options = LoadOptions { provider, precision, intra_threads: 1, ..LoadOptions::default() };
            let model = model::load(&Source::parse(&name), options).unwrap_or_else(|error| panic!("{error}"));
            let mut output = Vec::new();
            let input = picture(size, model.info().channels.count());
            model.open_session().unwrap().run(&input, size, &mut output).unwrap();
            output
        };
        let fp32 = run(Provider::Cpu, Precision::Fp32);
        for (provider, precision, is_there, least) in [
            (Provider::OpenVino, Precision::Fp32, true, 100.0),
            (Provider::OpenVino, Precision::Bf16, has.bf16, 50.0),
            (Provider::OpenVino, Precision::Int8, has_int8, 45.0),
            (Provider::Cpu, Precision::Int8, has_int8, 45.0),
        ] {
            if !is_there {
                continue;
            }
            let other = run(provider, precision);
            let errors = fp32.iter().zip(&other).map(|(a, b)| f64::from(a - b).powi(2));
            let psnr = -10.0 * (errors.sum::<f64>() / fp32.len() as f64).log10();
            println!("{name} on {provider:?} in {precision:?}: {psnr:.1} dB");
            assert!(psnr >= least, "{name} on {provider:?} in {precision:?}: {psnr:.1} dB from fp32");
        }
    }
}

#[test]
fn frames_with_reuse_have_the_bytes_of_whole_frames() {
    if !have_openvino() {
        return;
    }
    let frames = |duplicates: &str| -> Vec<Vec<u8>> {
        let element =
            element(&[("execution-provider", "openvino"), ("duplicates", duplicates), ("max-in-flight", "16")]);
        let mut harness = harness(&element);
        harness.set_src_caps_str("video/x-raw,format=GRAY8,width=160,height=120,framerate=25/1");
        let size = Size { width: 160, height: 120 };
        for n in 0..5 {
            let mut bytes: Vec<u8> = picture(size, 1).iter().map(|value| (value * 255.0) as u8).collect();
            bytes[160 * 60 + 70 + n] = 255;
            harness.push(gst::Buffer::from_mut_slice(bytes)).unwrap();
        }
        (0..5).map(|_| harness.pull().unwrap().map_readable().unwrap().to_vec()).collect()
    };
    for (whole, reused) in frames("off").iter().zip(frames("exact")) {
        assert!(*whole == reused);
    }
}
