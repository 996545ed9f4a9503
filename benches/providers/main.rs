//! Measures the network alone on each available execution provider, compared with the default CPU provider: frames of
//! 640x360 per second, and how far the results are from the CPU provider's.
//!
//! Run it with `script/bench providers`. Each measurement runs in a separate process, because a process can load only
//! one ONNX Runtime. As many sessions as the element would open run back to back, each on its own thread. Providers
//! that cannot run are listed with the reason.

#[path = "../figures/mod.rs"]
mod figures;
#[path = "../measure/mod.rs"]
mod measure;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use gstupscale::model::{self, LoadOptions, ModelInfo, Source};
use gstupscale::types::Size;
use gstupscale::types::{Precision, Provider};

use figures::median;

const SIZE: Size = Size { width: 640, height: 360 };

/// Networks of the test data that take any size.
const SHARED: [&str; 6] = [
    "animejanai/2x_AnimeJaNai_HD_V3.1_Performance_SPANF3_b5f48_unshuffle_fp16",
    "animejanai/2x_AnimeJaNai_HD_V3_SuperUltraCompact-fp32",
    "esr/eSR-CNN_s4_C4_D7_S12",
    "esr/eSR-TM_s2_K7_C16",
    "nn-upscaler/2xNomosUni_span_multijpg_ldl",
    "qualityscaler/RealESR_Animex4_fp16",
];

#[derive(Parser)]
#[command(about = "Measures the network alone on each execution provider")]
struct Cli {
    /// Alternating rounds; the table shows medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Approximate duration of each measurement, in seconds
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// The networks; default: the built-in ones and those of the test data
    #[arg(long, value_name = "NAME|FILE", num_args = 1..)]
    models: Vec<PathBuf>,
    /// Folder in which script/setup installs ONNX Runtimes
    #[arg(long, value_name = "FOLDER", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/.deps"))]
    runtimes: PathBuf,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
    /// Runs this model on this provider in the current process, and writes one result to the file
    #[arg(long, hide = true, num_args = 3, value_names = ["MODEL", "VARIANT", "FILE"])]
    child: Option<Vec<String>>,
}

/// A provider of an ONNX Runtime build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Variant {
    Cpu,
    CpuInt8,
    OpenvinoFp32,
    OpenvinoBf16,
    OpenvinoInt8,
    /// What the element takes by default
    Auto,
    Cuda,
    Webgpu,
}

impl Variant {
    /// The folder of the ONNX Runtime build, the provider, and the precision.
    fn settings(self) -> (&'static str, Provider, Precision) {
        match self {
            Variant::Cpu => ("onnxruntime", Provider::Cpu, Precision::Fp32),
            Variant::CpuInt8 => ("onnxruntime", Provider::Cpu, Precision::Int8),
            Variant::OpenvinoFp32 => ("onnxruntime", Provider::OpenVino, Precision::Fp32),
            Variant::OpenvinoBf16 => ("onnxruntime", Provider::OpenVino, Precision::Bf16),
            Variant::OpenvinoInt8 => ("onnxruntime", Provider::OpenVino, Precision::Int8),
            Variant::Auto => ("onnxruntime", Provider::Auto, Precision::Auto),
            Variant::Cuda => ("onnxruntime-gpu", Provider::Cuda, Precision::Auto),
            Variant::Webgpu => ("onnxruntime", Provider::WebGpu, Precision::Auto),
        }
    }
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    if let Some([model, variant, file]) = cli.child.as_deref() {
        let variant = Variant::from_str(variant, true).map_err(anyhow::Error::msg)?;
        return child(Path::new(model), variant, Path::new(file), cli.seconds);
    }
    let mut models = cli.models.clone();
    if models.is_empty() {
        let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/models");
        models.extend(["fast2x", "quality2x", "quality3x", "quality4x", "lanczos2x"].map(PathBuf::from));
        models.extend(SHARED.map(|name| shared.join(name).with_extension("onnx")));
    }
    println!("\nFrames of 640x360 per second, medians of {} alternating rounds.\n", cli.rounds);
    println!("| network | provider | frames/s | times as fast as cpu | PSNR to cpu |\n|---|---|---:|---:|---:|");
    for model in &models {
        if !model.exists() && model.components().count() > 1 {
            eprintln!("*** SKIPPED: {} not found ***", model.display());
            continue;
        }
        measure(model, &cli)?;
    }
    Ok(())
}

fn measure(model: &Path, cli: &Cli) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let name = model.file_stem().unwrap_or_default().display().to_string();
    let mut rates = vec![Vec::new(); Variant::value_variants().len()];
    let mut refusals = vec![None; rates.len()];
    for round in 0..cli.rounds {
        for (index, variant) in Variant::value_variants().iter().enumerate() {
            if refusals[index].is_some() {
                continue;
            }
            eprintln!("{name} {variant:?}, round {} of {}", round + 1, cli.rounds);
            match apart(model, *variant, &folder.path().join(index.to_string()), cli) {
                Ok(rate) => rates[index].push(rate),
                Err(error) => refusals[index] = Some(error.to_string()),
            }
        }
    }
    let cpu = values(&folder.path().join("0"))?;
    let base = median(rates[0].clone());
    for (index, variant) in Variant::value_variants().iter().enumerate() {
        if let Some(reason) = &refusals[index] {
            println!("| {name} | {variant:?} | not measured: {reason} | | |");
            continue;
        }
        let rate = median(rates[index].clone());
        let psnr = psnr(&cpu, &values(&folder.path().join(index.to_string()))?);
        println!("| {name} | {variant:?} | {rate:.2} | {:.2} | {psnr:.1} |", rate / base);
    }
    Ok(())
}

/// Runs one measurement in a separate process. Returns frames per second.
fn apart(model: &Path, variant: Variant, file: &Path, cli: &Cli) -> Result<f64> {
    let library = cli.runtimes.join(variant.settings().0).join("libonnxruntime.so.1");
    if !library.exists() {
        bail!("{} not found", library.strip_prefix(&cli.runtimes).unwrap_or(&library).display());
    }
    let name = variant.to_possible_value().context("every variant has a name")?.get_name().to_owned();
    let mut child = Command::new(std::env::current_exe()?);
    child.arg("--seconds").arg(cli.seconds.to_string()).arg("--child");
    child.args([model.as_os_str(), name.as_ref(), file.as_os_str()]).env("ORT_DYLIB_PATH", library);
    Ok(measure::process::answer(&mut child)?.trim().parse()?)
}

fn child(model: &Path, variant: Variant, file: &Path, seconds: f64) -> Result<()> {
    let (_, provider, precision) = variant.settings();
    let options = LoadOptions { provider, precision, intra_threads: 1, ..LoadOptions::default() };
    let model = model::load(&Source::parse(model), options)?;
    let ModelInfo { provider, precision, .. } = model.info();
    eprintln!("it runs on {} in {}", provider.name(), precision.name());
    let channels = model.info().channels.count();
    let input: Vec<f32> = (0..channels).flat_map(|_| picture()).collect();
    let mut first = Vec::new();
    model.open_session()?.run(&input, SIZE, &mut first)?;
    std::fs::write(file, first.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())?;
    let cores = available_parallelism().map_or(1, usize::from);
    let start = std::sync::Barrier::new(cores);
    let frames = std::thread::scope(|scope| -> Result<f64> {
        let session = || -> Result<f64> {
            let mut session = model.open_session()?;
            let mut output = Vec::new();
            session.run(&input, SIZE, &mut output)?;
            start.wait();
            let (start, mut frames) = (Instant::now(), 0);
            while frames < 3 || start.elapsed().as_secs_f64() < seconds {
                session.run(&input, SIZE, &mut output)?;
                frames += 1;
            }
            Ok(f64::from(frames) / start.elapsed().as_secs_f64())
        };
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(session)).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a session panicked"))?).sum()
    })?;
    println!("{frames}");
    Ok(())
}

/// A picture with smooth areas, edges and some grain: networks with PReLU run faster on blank ones.
fn picture() -> impl Iterator<Item = f32> {
    (0..SIZE.width * SIZE.height).map(|n| {
        let (x, y) = (n % SIZE.width, n / SIZE.width);
        let wave = (x as f32 / 19.0).sin() * (y as f32 / 23.0).cos();
        let edge = if (x / 40 + y / 30) % 2 == 0 { 0.15 } else { -0.15 };
        (0.5 + 0.2 * wave + edge + (n * 7919 % 31) as f32 / 1500.0).clamp(0.0, 1.0)
    })
}

fn values(file: &Path) -> Result<Vec<f32>> {
    let bytes = std::fs::read(file)?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// PSNR of values from 0 to 1.
fn psnr(a: &[f32], b: &[f32]) -> f64 {
    let error: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    if error == 0.0 { f64::INFINITY } else { -10.0 * (error / a.len() as f64).log10() }
}
