//! Networks of all kinds, in ONNX Runtime: what is found out about them, what they give, and how the rest is refused.
//!
//! Needs ONNX Runtime (`./script/env cargo test` finds it). The networks of other people lie outside the project; where they are not
//! there, the tests that use them say so and pass.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use gst::prelude::*;
use gst_video::VideoFrameExt;
use gstupscale::model::graph::builder::{Builder, Len};
use gstupscale::model::{self, Element, LoadOptions, Model, ModelError, RunError, Source, builtin};
use gstupscale::types::Size;
use gstupscale::types::{Channels, Provider};

fn load(path: impl AsRef<Path>) -> Result<Arc<dyn Model>, ModelError> {
    model::load(&Source::File(path.as_ref().to_owned()), LoadOptions::default())
}

fn load_builtin() -> Arc<dyn Model> {
    model::load(&Source::parse("lanczos2x"), LoadOptions::default()).unwrap()
}

/// A network that `tests/data/make_models.py` made.
fn made(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).with_extension("onnx")
}

/// A file of the test data beside the project.
fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(path);
    if !path.exists() {
        eprintln!("SKIPPED: {} is not there", path.display());
        return None;
    }
    Some(path)
}

fn run(model: &dyn Model, input: &[f32], size: Size) -> Result<Vec<f32>, RunError> {
    let mut output = Vec::new();
    model.open_session().unwrap().run(input, size, &mut output)?;
    Ok(output)
}

fn refusal(path: impl AsRef<Path>) -> ModelError {
    match load(&path) {
        Ok(model) => panic!("{} was taken: {:?}", path.as_ref().display(), model.info()),
        Err(error) => error,
    }
}

fn size(width: u32, height: u32) -> Size {
    Size { width, height }
}

fn psnr(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    -10.0 * (sum / a.len() as f64).log10()
}

/// A crop from the middle of a PNG file, as planar RGB in 0..1.
fn crop(path: &Path, size: Size) -> Vec<f32> {
    gst::init().unwrap();
    let location = path.display();
    let pipeline = gst::parse::launch(&format!(
        "filesrc location={location} ! pngdec ! videoconvert ! video/x-raw,format=RGB ! appsink name=sink sync=false"
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let sample = sink.pull_sample().unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer().unwrap(), &info).unwrap();
    let (stride, data) = (frame.plane_stride()[0] as usize, frame.plane_data(0).unwrap());
    let left = (info.width() - size.width) as usize / 2;
    let top = (info.height() - size.height) as usize / 2;
    let mut values = Vec::new();
    for channel in 0..3 {
        for y in 0..size.height as usize {
            let row = &data[(top + y) * stride..];
            values.extend((0..size.width as usize).map(|x| f32::from(row[(left + x) * 3 + channel]) / 255.0));
        }
    }
    values
}

/// Each pixel repeated: what any upscaler's result resembles.
fn nearest(input: &[f32], size: Size, scale: u32) -> Vec<f32> {
    let (width, scale) = (size.width as usize, scale as usize);
    let mut output = Vec::new();
    for row in input.chunks_exact(width) {
        for _ in 0..scale {
            output.extend(row.iter().flat_map(|&value| std::iter::repeat_n(value, scale)));
        }
    }
    output
}

#[test]
fn real_networks_are_detected_and_give_a_picture_like_the_input() {
    use Channels::{Luma, Rgb};
    use Element::{Float16, Float32};
    let (one, two) = (size(1, 1), size(2, 2));
    let table = [
        ("acnet/ACNetHDNL0", Luma, 2, Float32, Some(size(1080, 1920)), one),
        ("animejanai/2x_AnimeJaNai_HD_V3.1_Performance_SPANF3_b5f48_unshuffle_fp16", Rgb, 2, Float16, None, two),
        ("animejanai/2x_AnimeJaNai_HD_V3_SuperUltraCompact-fp16", Rgb, 2, Float16, None, one),
        ("animejanai/2x_AnimeJaNai_HD_V3_SuperUltraCompact-fp32", Rgb, 2, Float32, None, one),
        ("esr/eSR-CNN_s4_C4_D7_S12", Luma, 4, Float32, None, one),
        ("esr/eSR-TM_s2_K7_C16", Luma, 2, Float32, None, one),
        ("nn-upscaler/2xNomosUni_span_multijpg_ldl", Rgb, 2, Float32, None, one),
        ("qualityscaler/RealESR_Animex4_fp16", Rgb, 4, Float32, None, one),
        ("subpixel-cnn/super_resolution", Luma, 3, Float32, Some(size(224, 224)), one),
    ];
    let Some(picture) = shared("images/eval/kodim05.png") else { return };
    for (name, channels, scale, element, fixed_size, min_size) in table {
        let Some(path) = shared(&format!("models/{name}.onnx")) else { continue };
        let model = load(&path).unwrap();
        let info = model.info();
        assert_eq!((info.channels, info.scale, info.fixed_size), (channels, scale, fixed_size), "{name}");
        assert_eq!((info.input, info.output, info.provider), (element, element, Provider::Cpu), "{name}");
        assert_eq!(info.multiple, one, "{name}");
        // Older versions of ONNX Runtime run some sizes that newer ones refuse.
        assert!(info.min_size == min_size || info.min_size == one, "{name}: {:?}", info.min_size);
        // Odd in both directions, where the network is free. The large fixed one gets a picture put together from one crop.
        let area = fixed_size.unwrap_or(size(61, 43));
        let cut = size(area.width.min(224), area.height.min(224));
        let rgb = crop(&picture, cut);
        let plane = (cut.width * cut.height) as usize;
        let input: Vec<f32> = match fixed_size {
            Some(_) => (0..area.width * area.height)
                .map(|i| rgb[(i % area.width % cut.width + i / area.width % cut.height * cut.width) as usize])
                .collect(),
            None => rgb[..channels.count() * plane].to_vec(),
        };
        let output = run(&*model, &input, area).unwrap();
        let likeness = psnr(&output, &nearest(&input, area, scale));
        assert!(likeness > 18.0, "{name}: {likeness:.1} dB");
    }
}

#[test]
fn half_and_single_precision_agree() {
    let twin = |kind| shared(&format!("models/animejanai/2x_AnimeJaNai_HD_V3_SuperUltraCompact-{kind}.onnx"));
    let (Some(half), Some(single), Some(picture)) = (twin("fp16"), twin("fp32"), shared("images/eval/kodim05.png"))
    else {
        return;
    };
    let area = size(96, 64);
    let input = crop(&picture, area);
    let [half, single] = [half, single].map(|path| run(&*load(path).unwrap(), &input, area).unwrap());
    let likeness = psnr(&half, &single);
    assert!(likeness > 45.0 && likeness.is_finite(), "{likeness:.1} dB");
}

#[test]
fn foreign_formats_and_custom_operators_are_refused() {
    if let Some(path) = shared("models/microsoft/supres.onnx") {
        let error = refusal(&path).to_string();
        for part in ["supres.onnx", "ai.onnx.contrib", "encoded images"] {
            assert!(error.contains(part), "{error}");
        }
    }
    for name in ["ESPCN_x2.pb", "FSRCNN_x2.pb"] {
        let Some(path) = shared(&format!("models/opencv-dnn_superres/{name}")) else { continue };
        let error = refusal(&path).to_string();
        assert!(error.contains(name) && error.contains("not an ONNX model") && error.contains("TensorFlow"), "{error}");
    }
}

#[test]
fn odd_but_sound_networks_are_detected() {
    let found = |name| {
        let model = load(made(name)).unwrap();
        let info = model.info().clone();
        (info.channels, info.scale, info.fixed_size, info.multiple, info.min_size)
    };
    let one = size(1, 1);
    assert_eq!(found("uint8_x2"), (Channels::Luma, 2, None, one, one));
    assert_eq!(found("fixed_8x6_x3"), (Channels::Luma, 3, Some(size(8, 6)), one, one));
    assert_eq!(found("same_size"), (Channels::Luma, 1, None, one, one));
    assert_eq!(found("multiple_of_4"), (Channels::Luma, 1, None, size(4, 4), size(4, 4)));
    // ONNX Runtime 1.31 refuses to reflect more pixels than there are; 1.22 and 1.23 run any size.
    let (.., min_size) = found("at_least_5");
    assert!([size(5, 5), one].contains(&min_size), "{min_size:?}");
    assert_eq!(found("free_channels"), (Channels::Rgb, 1, None, one, one));
}

#[test]
fn bytes_go_in_and_out() {
    let model = load(made("uint8_x2")).unwrap();
    assert_eq!((model.info().input, model.info().output), (Element::Uint8, Element::Uint8));
    let output = run(&*model, &[0.0, 1.0, 100.4 / 255.0, 2.0, -1.0, 100.6 / 255.0], size(3, 2)).unwrap();
    let bytes: Vec<f32> = output.iter().map(|value| value * 255.0).collect();
    assert_eq!(bytes[..6], [0.0, 0.0, 255.0, 255.0, 100.0, 100.0]);
    assert_eq!(bytes[12..18], [255.0, 255.0, 0.0, 0.0, 101.0, 101.0]);
}

#[test]
fn what_is_no_upscaler_is_refused_with_file_and_reason() {
    let table = [
        ("scale_1_5", "integer scale"),
        ("scale_2_by_1", "integer scale"),
        ("declared_scale_1_5", "8x6 pixels into 12x9"),
        ("rank_3", "3 dimensions where 4 are due"),
        ("channels_last", "NHWC"),
        ("four_channels", "4 input channels"),
        ("batch_of_2", "batch size is 2"),
        ("double", "f64"),
        ("encoded_bytes", "encoded image"),
        ("two_inputs", "2 inputs"),
        ("two_outputs", "2 outputs"),
        ("no_output", "0 outputs"),
        ("fewer_channels", "one picture with as many"),
        ("sequence", "Sequence"),
        ("hidden_fixed_size", "no picture up to 256x128 runs"),
    ];
    for (name, reason) in table {
        let error = refusal(made(name));
        assert!(matches!(error, ModelError::Unsuitable { .. }), "{name}: {error:?}");
        check_text(&error, &format!("{name}.onnx"), reason);
    }
}

#[test]
fn a_size_that_no_memory_holds_is_refused_when_the_model_is_loaded() {
    for side in [1_000_000, 2_000_000_000] {
        let input = [Len::Fixed(1), Len::Fixed(1), Len::Fixed(side), Len::Fixed(side)];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge.onnx");
        fs::write(&path, Builder::new(1).input(input).node("Relu", "x", "y", &[]).build()).unwrap();
        let error = refusal(&path);
        assert!(matches!(error, ModelError::Unsuitable { .. }), "{error:?}");
        check_text(&error, "huge.onnx", &format!("pictures of {side}x{side} alone"));
    }
}

#[test]
fn what_cannot_be_loaded_is_refused_with_file_and_reason() {
    let table = [
        ("unknown_operator", "operator org.example:Sharpen"),
        ("missing_data", "external data is missing"),
        ("newer", "newer than this ONNX Runtime"),
    ];
    for (name, reason) in table {
        let error = refusal(made(name));
        assert!(matches!(error, ModelError::Invalid { .. }), "{name}: {error:?}");
        check_text(&error, &format!("{name}.onnx"), reason);
    }
}

#[test]
fn files_that_are_no_models_are_refused_with_file_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let whole = builtin::find("lanczos2x").unwrap().onnx;
    let half = &whole[..whole.len() / 2];
    // The last one is sound from outside and noise in the graph.
    let table: [(&str, &[u8], &str); 5] = [
        ("empty.onnx", b"", "empty"),
        ("page.onnx", b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
        ("pointer.onnx", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS"),
        ("half.onnx", half, "ends too early"),
        ("noise.onnx", &[0x08, 0x07, 0x3a, 0x04, 0xff, 0xff, 0xff, 0xff], "damaged"),
    ];
    for (name, bytes, reason) in table {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = refusal(&path);
        assert!(matches!(error, ModelError::Invalid { .. }), "{name}: {error:?}");
        check_text(&error, name, reason);
    }
    assert!(matches!(refusal(folder.path()), ModelError::Read { .. }));
    assert!(matches!(refusal(folder.path().join("none.onnx")), ModelError::NotFound(_)));
}

fn check_text(error: &ModelError, name: &str, reason: &str) {
    let text = error.to_string();
    assert!(text.contains(name) && text.contains(reason), "{text}");
    assert!(!text.contains('\n') && !text.contains(".cc:"), "{text}");
}

#[test]
fn another_size_than_the_probe_saw_is_reported_and_the_session_lives_on() {
    let model = load(made("cuts_at_64_rows")).unwrap();
    let mut session = model.open_session().unwrap();
    let mut output = Vec::new();
    let error = session.run(&[0.5; 100 * 3], size(3, 100), &mut output).unwrap_err();
    assert!(matches!(error, RunError::WrongSize { expected: 300, got: 192 }), "{error:?}");
    session.run(&[0.5; 60 * 3], size(3, 60), &mut output).unwrap();
    assert_eq!(output, [0.5; 60 * 3]);
}

#[test]
fn a_run_with_the_wrong_number_of_values_fails_without_running() {
    let model = load_builtin();
    assert!(matches!(run(&*model, &[0.5; 5], size(2, 2)), Err(RunError::Failed(_))));
    assert!(matches!(run(&*model, &[], size(0, 0)), Err(RunError::Failed(_))));
    let fixed = load(made("fixed_8x6_x3")).unwrap();
    assert!(matches!(run(&*fixed, &[0.5; 48], size(6, 8)), Err(RunError::Failed(_))));
}

#[test]
fn an_interrupted_session_stops_until_it_is_rearmed() {
    let model = load_builtin();
    let mut session = model.open_session().unwrap();
    let interrupter = session.interrupter();
    let (first, ran) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let (input, mut output) = (vec![0.5; 500 * 500], Vec::new());
            loop {
                if let Err(error) = session.run(&input, size(500, 500), &mut output) {
                    return error;
                }
                first.send(()).unwrap();
            }
        });
        ran.recv().unwrap();
        interrupter.interrupt();
        assert!(matches!(worker.join().unwrap(), RunError::Interrupted));
    });
    let mut output = Vec::new();
    assert!(matches!(session.run(&[0.5], size(1, 1), &mut output), Err(RunError::Interrupted)));
    interrupter.rearm();
    session.run(&[0.5], size(1, 1), &mut output).unwrap();
}

#[test]
fn all_sessions_give_the_same_bits() {
    let model = load_builtin();
    let area = size(97, 41);
    let input: Vec<f32> = (0..97 * 41).map(|i| (i * 7919 % 256) as f32 / 255.0).collect();
    let results: Vec<Vec<f32>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3).map(|_| scope.spawn(|| run(&*model, &input, area).unwrap())).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_session_tells_what_it_holds() {
    let model = load_builtin();
    let mut session = model.open_session().unwrap();
    let mut held = |width: u32, height: u32| {
        let pixels = vec![0.5; (width * height) as usize];
        session.run(&pixels, size(width, height), &mut Vec::new()).unwrap();
        session.held().expect("this version of ONNX Runtime tells it")
    };
    let (small, large, again) = (held(64, 64), held(640, 360), held(64, 64));
    // A float for each pixel that goes in and each of the four that come out, at least; the allocator takes blocks of megabytes.
    assert!((4 * 5 * 640 * 360..64 << 20).contains(&large), "{large}");
    assert!(small < large && again == large, "{small} {large} {again}");
}

#[test]
fn the_same_network_on_the_same_device_is_known_again() {
    let with = |threads| {
        let options = LoadOptions { intra_threads: threads, ..LoadOptions::default() };
        model::load(&Source::parse("lanczos2x"), options).unwrap().key()
    };
    assert!(with(1).is_some());
    assert_eq!(with(1), load_builtin().key());
    assert_eq!(with(1), with(2), "threads are a session's own");
    assert_ne!(with(1), model::load(&Source::parse("fast2x"), LoadOptions::default()).unwrap().key());
}

#[test]
fn a_file_that_changes_later_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    fs::write(&path, builtin::find("lanczos2x").unwrap().onnx).unwrap();
    let model = load(&path).unwrap();
    let first = run(&*model, &[0.1, 0.9], size(2, 1)).unwrap();
    fs::write(&path, "changed").unwrap();
    assert_eq!(run(&*model, &[0.1, 0.9], size(2, 1)).unwrap(), first);
}

#[test]
fn lanczos2x_keeps_a_solid_picture() {
    let model = load_builtin();
    for value in [0.0, 1.0 / 3.0, 1.0, 1.09, -0.07] {
        for area in [size(1, 1), size(5, 9)] {
            let input = vec![value; (area.width * area.height) as usize];
            for got in run(&*model, &input, area).unwrap() {
                assert!((got - value).abs() <= 1e-6, "{got} for {value}");
            }
        }
    }
}

#[test]
fn lanczos2x_is_the_formula() {
    let area = size(40, 31);
    let input: Vec<f32> = match shared("images/eval/kodim05.png") {
        Some(picture) => crop(&picture, area)[..40 * 31].to_vec(),
        None => (0..40 * 31).map(|i| (i * 7919 % 256) as f32 / 255.0).collect(),
    };
    let likeness = psnr(&run(&*load_builtin(), &input, area).unwrap(), &lanczos(&input, area));
    assert!(likeness > 120.0, "{likeness:.1} dB");
}

/// Lanczos-3 by 2, straight from the formula, the edge repeated.
fn lanczos(input: &[f32], size: Size) -> Vec<f32> {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
    let kernel = |x: f64| if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 };
    // The taps around output position `o` of a row or column of `length` input pixels: index and weight.
    let taps = |o: u32, length: u32| -> Vec<(usize, f64)> {
        let centre = (f64::from(o) + 0.5) / 2.0 - 0.5;
        let taps: Vec<(i64, f64)> =
            (-4..=4).map(|t| centre.floor() as i64 + t).map(|t| (t, kernel(t as f64 - centre))).collect();
        let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
        taps.into_iter().map(|(t, weight)| (t.clamp(0, i64::from(length) - 1) as usize, weight / sum)).collect()
    };
    let mut output = Vec::new();
    for y in 0..2 * size.height {
        for x in 0..2 * size.width {
            let (columns, rows) = (taps(x, size.width), taps(y, size.height));
            let at = |row: usize, column: usize| f64::from(input[row * size.width as usize + column]);
            let sum: f64 =
                rows.iter().flat_map(|(row, v)| columns.iter().map(move |(column, h)| v * h * at(*row, *column))).sum();
            output.push(sum as f32);
        }
    }
    output
}

/// Tells a child process to be the child of [`without_the_library_loading_fails_cleanly_and_can_be_tried_again`].
const CHILD: &str = "UPSCALE_TEST_CHILD";
const LIBRARY: &str = "ORT_DYLIB_PATH";

/// Does nothing unless it is run as a child: the library is loaded once per process.
#[test]
fn child() {
    let Some(good) = std::env::var_os(CHILD) else { return };
    let Err(error) = model::load(&Source::parse("lanczos2x"), LoadOptions::default()) else { panic!("it loaded") };
    assert!(matches!(error, ModelError::Runtime(_)), "{error:?}");
    println!("ERROR {error}");
    if !good.is_empty() {
        // SAFETY: this process runs this one test, and no other thread reads or writes the environment meanwhile.
        unsafe { std::env::set_var(LIBRARY, good) };
        load_builtin();
        println!("LOADED");
    }
}

#[test]
fn without_the_library_loading_fails_cleanly_and_can_be_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libonnxruntime.so");
    fs::write(&text, "no library").unwrap();
    let missing = folder.path().join("gone.so");
    let good = std::env::var_os(LIBRARY).unwrap_or_default();
    for (path, reason) in [(&missing, "cannot be read"), (&text, "cannot be loaded")] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(LIBRARY, path)
            .env(CHILD, &good)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(
            said.contains(&path.display().to_string()) && said.contains(reason) && said.contains(LIBRARY),
            "{said}"
        );
        assert_eq!(said.contains("LOADED"), !good.is_empty(), "{said}");
    }
}
