//! What all backends have in common, in each number type that this machine's processor computes in: parts of pictures,
//! interruptions, errors, values that are no numbers.
//!
//! Needs ONNX Runtime and OpenVINO (`./script/env cargo test` finds them).

mod common;

use std::sync::{Arc, Barrier};

use gstupscale::model::graph::Locality;
use gstupscale::model::graph::builder::{Builder, int, ints};
use gstupscale::model::{self, LoadOptions, Model, RunError, Source, Upscaler, builtin, processor};
use gstupscale::types::{Channels, Precision, Provider, Size};

use common::{have_openvino, have_runtime, shared_data};

/// Backends and number types that this machine has.
fn ways() -> Vec<(Provider, Precision)> {
    use Precision::{Bf16, Fp32, Int8};
    let has = processor::features();
    let mut ways = Vec::new();
    if have_runtime() {
        ways.extend([(Provider::Cpu, Fp32, true), (Provider::Cpu, Int8, has.int8)]);
    }
    if have_openvino() {
        ways.extend([
            (Provider::OpenVino, Fp32, true),
            (Provider::OpenVino, Bf16, has.bf16),
            (Provider::OpenVino, Int8, has.int8),
        ]);
    }
    ways.into_iter().filter(|(.., is_there)| *is_there).map(|(provider, precision, _)| (provider, precision)).collect()
}

fn load(source: &Source, (provider, precision): (Provider, Precision)) -> Arc<dyn Model> {
    let options = LoadOptions { provider, precision, intra_threads: 1, ..LoadOptions::default() };
    let model = model::load(source, options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((model.info().provider, model.info().precision), (provider, precision));
    model
}

/// The ways in which a network can run: one without an int8 form not in int8.
fn loaded(source: &Source) -> Vec<Arc<dyn Model>> {
    let has_int8 = matches!(source, Source::Builtin(builtin) if builtin.int8.is_some());
    let ways = ways().into_iter().filter(|(_, precision)| has_int8 || *precision != Precision::Int8);
    ways.map(|way| load(source, way)).collect()
}

struct Random(u32);

impl Random {
    /// A number below `limit`.
    fn below(&mut self, limit: u32) -> u32 {
        // Numerical Recipes' generator; the low bits repeat soon.
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((u64::from(self.0) * u64::from(limit)) >> 32) as u32
    }
}

/// A rectangle that is kept of a result, and the one that is read for it; each from begin to end.
#[derive(Clone, Copy, Debug)]
struct Span {
    read: [u32; 2],
    keep: [u32; 2],
}

/// A random part of a side of `length`, of up to 40 pixels.
fn span(random: &mut Random, length: u32, field: [u32; 2], alignment: u32, least: u32) -> Span {
    loop {
        let begin = random.below(length);
        let end = (begin + 1 + random.below(40)).min(length);
        let from = begin.saturating_sub(field[0]) / alignment * alignment;
        let to = (end + field[1]).max(from + least).next_multiple_of(alignment).min(length);
        if to - from >= least {
            return Span { read: [from, to], keep: [begin, end] };
        }
    }
}

/// Rows of a plane.
fn cut(plane: &[f32], width: u32, [left, right]: [u32; 2], [top, bottom]: [u32; 2]) -> Vec<f32> {
    let row = |y: u32| &plane[(y * width + left) as usize..(y * width + right) as usize];
    (top..bottom).flat_map(row).copied().collect()
}

fn run(session: &mut dyn Upscaler, input: &[f32], size: Size) -> Vec<f32> {
    let mut output = Vec::new();
    session.run(input, size, &mut output).unwrap();
    output
}

/// Compares so many random parts of a picture with the whole, to the bit if the model says so.
fn compare_parts(model: &dyn Model, count: usize, side: u32) {
    let info = model.info();
    let local = *info.local().unwrap_or_else(|| panic!("{} is not local: {:?}", info.name, info.locality));
    let size = Size {
        width: (side + side / 3).next_multiple_of(info.multiple.width),
        height: side.next_multiple_of(info.multiple.height),
    };
    let mut random = Random(1);
    let pixels = size.pixels() as usize;
    let input: Vec<f32> = (0..info.channels.count() * pixels).map(|_| random.below(256) as f32 / 255.0).collect();
    let mut session = model.open_session().unwrap();
    let whole = run(&mut *session, &input, size);
    let field = local.receptive_field;
    let scale = info.scale;
    let multiple = |alignment: u32, multiple: u32| (1..).map(|n| n * alignment).find(|n| n % multiple == 0).unwrap();
    for _ in 0..count {
        let column = {
            let grid = multiple(local.alignment.width, info.multiple.width);
            span(&mut random, size.width, [field.left, field.right], grid, local.least.width.max(info.min_size.width))
        };
        let row = {
            let grid = multiple(local.alignment.height, info.multiple.height);
            span(
                &mut random,
                size.height,
                [field.top, field.bottom],
                grid,
                local.least.height.max(info.min_size.height),
            )
        };
        let part = Size { width: column.read[1] - column.read[0], height: row.read[1] - row.read[0] };
        let values: Vec<f32> =
            input.chunks_exact(pixels).flat_map(|plane| cut(plane, size.width, column.read, row.read)).collect();
        let result = run(&mut *session, &values, part);
        let large = |range: [u32; 2]| range.map(|at| at * scale);
        let inside = |span: Span| large([span.keep[0] - span.read[0], span.keep[1] - span.read[0]]);
        let area = (scale * scale) as usize;
        let parts = result.chunks_exact(part.pixels() as usize * area);
        for (part_plane, plane) in parts.zip(whole.chunks_exact(pixels * area)) {
            let got = cut(part_plane, part.width * scale, inside(column), inside(row));
            let due = cut(plane, size.width * scale, large(column.keep), large(row.keep));
            let worst = got.iter().zip(&due).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let differs = got.iter().zip(&due).any(|(a, b)| a.to_bits() != b.to_bits());
            let (provider, precision) = (info.provider.name(), info.precision.name());
            assert!(
                if local.exact { !differs } else { worst <= 0.01 },
                "{} on {provider} in {precision}: columns {column:?}, rows {row:?} differ by {worst}",
                info.name
            );
        }
    }
}

/// Regions for each network, backend and number type.
const REGIONS: usize = 400;

fn parts_of_a_builtin(name: &str) {
    for model in loaded(&Source::Builtin(builtin::find(name).unwrap())) {
        assert!(model.info().local().is_some_and(|local| local.exact), "{name}");
        compare_parts(&*model, REGIONS, 90);
    }
}

macro_rules! parts_of_builtins {
    ($($test:ident $name:literal,)*) => { $(#[test] fn $test() { parts_of_a_builtin($name); })* };
}
parts_of_builtins! {
    parts_of_fast2x_are_exact "fast2x",
    parts_of_fast2x_compressed_are_exact "fast2x-compressed",
    parts_of_quality2x_are_exact "quality2x",
    parts_of_quality2x_compressed_are_exact "quality2x-compressed",
    parts_of_quality3x_are_exact "quality3x",
    parts_of_quality3x_compressed_are_exact "quality3x-compressed",
    parts_of_quality4x_are_exact "quality4x",
    parts_of_quality4x_compressed_are_exact "quality4x-compressed",
    parts_of_lanczos2x_are_exact "lanczos2x",
}

fn parts_of_a_file(name: &str, exact: bool) {
    let Some(path) = shared_data(&format!("models/{name}.onnx")) else { return };
    for model in loaded(&Source::File(path)) {
        let is_exact = model.info().local().is_some_and(|local| local.exact);
        // ONNX Runtime computes all operators exactly.
        assert_eq!(is_exact, exact || model.info().provider == Provider::Cpu, "{name}");
        compare_parts(&*model, REGIONS, 72);
    }
}

#[test]
fn parts_of_a_network_with_prelu_are_exact() {
    parts_of_a_file("animejanai/2x_AnimeJaNai_HD_V3_SuperUltraCompact-fp32", true);
}

#[test]
fn parts_of_a_network_with_attention_are_exact() {
    parts_of_a_file("nn-upscaler/2xNomosUni_span_multijpg_ldl", true);
}

#[test]
fn parts_of_a_network_with_softmax_are_not_said_to_be_exact() {
    parts_of_a_file("esr/eSR-TM_s2_K7_C16", false);
}

#[test]
fn all_sessions_and_threads_give_the_same_bits() {
    let size = Size { width: 64, height: 48 };
    let input: Vec<f32> = (0..size.pixels()).map(|n| (n * 7919 % 256) as f32 / 255.0).collect();
    for model in loaded(&Source::parse("fast2x")) {
        let first = run(&mut *model.open_session().unwrap(), &input, size);
        let results = std::thread::scope(|scope| {
            let session = |threads| {
                let (model, input) = (&model, &input);
                scope.spawn(move || run(&mut *model.open_session_with(threads).unwrap(), input, size))
            };
            [1, 1, 2].map(session).map(|thread| thread.join().unwrap())
        });
        results.iter().for_each(|result| assert!(*result == first, "{:?}", model.info().provider));
    }
}

#[test]
fn an_interrupted_session_stops_until_it_is_rearmed() {
    // Seconds of work, of which an interruption leaves the time of one operator.
    let size = Size { width: 1280, height: 720 };
    let input = vec![0.5; size.pixels() as usize];
    for model in loaded(&Source::parse("quality2x")) {
        let mut session = model.open_session().unwrap();
        let interrupter = session.interrupter();
        let begin = Arc::new(Barrier::new(2));
        let thread = std::thread::spawn({
            let (begin, input) = (Arc::clone(&begin), input.clone());
            move || {
                begin.wait();
                let result = session.run(&input, size, &mut Vec::new());
                (session, result)
            }
        });
        begin.wait();
        interrupter.interrupt();
        let (mut session, result) = thread.join().unwrap();
        assert!(matches!(result, Err(RunError::Interrupted)), "{result:?}");
        let small = Size { width: 16, height: 16 };
        let result = session.run(&[0.5; 256], small, &mut Vec::new());
        assert!(matches!(result, Err(RunError::Interrupted)), "{result:?}");
        interrupter.rearm();
        session.run(&[0.5; 256], small, &mut Vec::new()).unwrap();
    }
}

/// A network made by the test, in fp32.
fn made(graph: Builder) -> Vec<Arc<dyn Model>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.onnx");
    std::fs::write(&path, graph.build()).unwrap();
    let source = Source::File(path);
    ways().into_iter().filter(|(_, precision)| *precision == Precision::Fp32).map(|way| load(&source, way)).collect()
}

#[test]
fn values_that_are_no_numbers_come_out_as_they_are() {
    // 0/0 where the picture is black, infinity elsewhere.
    for model in made(Builder::new(1).floats("zero", &[], &[0.0]).node("Div", "x zero", "y", &[])) {
        let size = Size { width: 2, height: 1 };
        let output = run(&mut *model.open_session().unwrap(), &[0.0, 0.5], size);
        assert!(output[0].is_nan() && output[1] == f32::INFINITY, "{:?}: {output:?}", model.info().provider);
    }
}

#[test]
fn an_unexpected_output_size_is_an_error_and_the_session_survives() {
    // Pictures of more than 200 pixels are cut off.
    let cut = Builder::new(1).ints("starts", &[1], &[0]).ints("ends", &[1], &[200]).ints("axes", &[1], &[3]).node(
        "Slice",
        "x starts ends axes",
        "y",
        &[],
    );
    for model in made(cut) {
        let mut session = model.open_session().unwrap();
        let run = |session: &mut dyn Upscaler, width: u32| {
            session.run(&vec![0.5; width as usize * 4], Size { width, height: 4 }, &mut Vec::new())
        };
        run(&mut *session, 32).unwrap();
        let error = run(&mut *session, 300);
        let provider = model.info().provider;
        // OpenVINO knows the largest size from the graph, and refuses the tensor.
        let is_refused = |text: &str| text.contains("shape=(1.1.4.300)");
        let is_right = match &error {
            Err(RunError::WrongSize { expected: 1200, got: 800 }) => provider == Provider::Cpu,
            Err(RunError::Failed(text)) => provider == Provider::OpenVino && is_refused(text),
            _ => false,
        };
        assert!(is_right, "{provider:?}: {error:?}");
        run(&mut *session, 32).unwrap();
    }
}

#[test]
fn networks_in_bytes_and_halves_run() {
    for element in [2, 10] {
        // uint8 and float16.
        let cast = |to: i64| [int("to", to)];
        let graph = Builder::new(1)
            .element(element)
            .node("Cast", "x", "a", &cast(1))
            .floats("w", &[4, 1, 1, 1], &[1.0; 4])
            .node("Conv", "a w", "b", &[ints("pads", &[0; 4])])
            .node("DepthToSpace", "b", "c", &[int("blocksize", 2)])
            .node("Cast", "c", "y", &cast(element.into()));
        for model in made(graph) {
            let size = Size { width: 3, height: 2 };
            let input = [0.0, 51.0, 102.0, 153.0, 204.0, 255.0].map(|sample: f32| sample / 255.0);
            let output = run(&mut *model.open_session().unwrap(), &input, size);
            for (n, value) in output.iter().enumerate() {
                let (x, y) = (n % 6 / 2, n / 6 / 2);
                assert!((value - input[3 * y + x]).abs() < 0.001, "{:?}: {output:?}", model.info().provider);
            }
        }
    }
}

#[test]
fn a_global_network_is_not_said_to_be_local() {
    // The mean over the picture is subtracted.
    let axes = Builder::new(1).node("GlobalAveragePool", "x", "mean", &[]).node("Sub", "x mean", "y", &[]);
    for model in made(axes) {
        assert!(matches!(model.info().locality, Locality::Global { .. }));
        assert_eq!(model.info().channels, Channels::Luma);
    }
}
