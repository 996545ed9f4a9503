//! Execution providers: an unavailable provider names the missing library; OpenVINO runs on the CPU.
//!
//! A process has one ONNX Runtime, so the tests that need OpenVINO's run in a process of their own.

mod common;

use std::process::Command;

use gst::prelude::*;
use gstupscale::model::{self, LoadOptions, Model, ModelError, Source};
use gstupscale::types::Provider;
use gstupscale::types::Size;

use common::{element, harness, have_runtime, openvino_runtime, shared_data, with_bus};

/// Set in the process that runs with OpenVINO.
const CHILD: &str = "UPSCALE_TEST_OPENVINO_CHILD";

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
            Provider::OpenVino,
            format!(
                "execution-provider=openvino: {runtime} was built without OpenVINO; `./script/setup --openvino` downloads one that \
                 has it, and libonnxruntime_providers_openvino.so: run with UPSCALE_RUNTIME=openvino ./script/env ..."
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
fn the_element_refuses_an_unavailable_provider_and_auto_selects_the_cpu() {
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
    assert_eq!(load("lanczos2x", Provider::Auto).unwrap().info().provider, Provider::Cpu);
}

#[test]
fn openvino_runs_on_the_cpu() {
    let Some(library) = openvino_runtime() else { return };
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "openvino_in_a_process_of_its_own", "--nocapture"])
        .env("ORT_DYLIB_PATH", library)
        .env(CHILD, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
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
fn openvino_in_a_process_of_its_own() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let size = Size { width: 160, height: 120 };
    let mut models: Vec<String> = model::builtin::BUILTINS.iter().map(|builtin| builtin.name.to_owned()).collect();
    if let Some(folder) = shared_data("models") {
        for file in ["animejanai/2x_AnimeJaNai_HD_V3_SuperUltraCompact-fp32.onnx", "esr/eSR-TM_s2_K7_C16.onnx"] {
            models.push(folder.join(file).display().to_string());
        }
    }
    for name in models {
        let run = |provider| {
            let model = load(&name, provider).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(model.info().provider, provider);
            let mut output = Vec::new();
            let input = picture(size, model.info().channels.count());
            model.open_session().unwrap().run(&input, size, &mut output).unwrap();
            output
        };
        let (cpu, openvino) = (run(Provider::Cpu), run(Provider::OpenVino));
        let error = cpu.iter().zip(&openvino).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / cpu.len() as f64;
        let psnr = -10.0 * error.log10();
        eprintln!("{name}: {psnr:.1} dB");
        assert!(psnr >= 50.0, "{name}: {psnr} dB from the CPU provider");
    }
    assert_eq!(load("lanczos2x", Provider::Auto).unwrap().info().provider, Provider::OpenVino);
    through_the_element();
}

/// Frames go through the element; with reuse, they differ from whole frames by at most one.
fn through_the_element() {
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
        let worst = whole.iter().zip(&reused).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(1), "{worst:?}");
    }
}
