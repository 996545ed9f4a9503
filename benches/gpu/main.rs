//! Measures the element on a GPU: compared with raw ONNX Runtime with as many sessions, and with a plain loop that
//! processes one frame after the other; how much of the device's memory it takes; and what happens when another process
//! takes that memory.
//!
//! Run it with `script/bench gpu`. With `--provider cpu` it runs without a GPU, which tests the benchmark but says
//! nothing about GPUs. Each measurement runs in a separate process. What cannot be measured is listed with the reason.
//!
//! | module | contents |
//! |---|---|
//! | `job` | the measuring processes: their jobs, their results, the device's memory |
//! | `speed` | one network at one size on one provider |
//! | `pressure` | the element while another process takes the device's memory |
//! | `nvidia` | the GPU's name and driver; allocating its memory |
//! | `networks` | the networks, and the location of ONNX Runtime |
//! | `report` | the tables |

#[path = "../figures/mod.rs"]
mod figures;
mod job;
#[path = "../measure/mod.rs"]
mod measure;
mod networks;
mod nvidia;
mod pressure;
mod report;
mod speed;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use gstupscale::types::Provider;
use gstupscale::types::Size;

use measure::frames::drawn;
use networks::Network;
use speed::Speed;

/// Number of different frames, which are repeated.
const FRAMES: usize = 6;

#[derive(Parser)]
#[command(name = "upscale-bench", about = "Measures the element on a GPU")]
struct Cli {
    /// Execution providers: cpu, openvino, cuda, webgpu [default: cuda,webgpu, if there is an NVIDIA GPU]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = networks::provider)]
    provider: Vec<Provider>,
    /// Sizes of the frames
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1280x720,1920x1080", value_parser = size)]
    sizes: Vec<Size>,
    /// Built-in names, ONNX files, or names as in the table [default: three third-party networks, fast2x, quality2x]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    models: Vec<String>,
    /// Workers of the element, and sessions of raw ONNX Runtime
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1,2,4", value_parser = at_least_one)]
    workers: Vec<usize>,
    /// Maximum number of frames per measurement
    #[arg(long, default_value_t = 240, value_parser = at_least_one)]
    frames: usize,
    /// Approximate duration of each measurement, in seconds
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Alternating rounds; the tables show medians
    #[arg(long, default_value_t = 3, value_parser = at_least_one)]
    rounds: usize,
    /// MiB of the device's memory that the second process leaves free
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    leave: u64,
    /// One round at 640x360 with the built-in networks, speed only
    #[arg(long)]
    quick: bool,
    /// Folder in which script/setup installs ONNX Runtimes
    #[arg(long, value_name = "FOLDER", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/.deps"))]
    runtimes: PathBuf,
    /// Folder with third-party networks
    #[arg(long, value_name = "FOLDER", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/models"))]
    shared_models: PathBuf,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
    /// Runs this job (JSON) in the current process
    #[arg(long, hide = true)]
    job: Option<String>,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "expected a number of at least 1".to_owned())
}

fn size(text: &str) -> Result<Size, String> {
    let read = || {
        let (width, height) = text.split_once('x')?;
        Some(Size { width: width.parse().ok()?, height: height.parse().ok()? })
    };
    read().filter(|size| size.width > 0 && size.height > 0).ok_or_else(|| "expected WIDTHxHEIGHT".to_owned())
}

fn main() -> Result<()> {
    let mut cli = Cli::parse();
    if let Some(job) = &cli.job {
        return job::run(job);
    }
    let gpu = nvidia::description();
    // Without --provider, only GPUs are measured; nothing else replaces a missing one.
    let absent = (cli.provider.is_empty() && gpu.is_none()).then_some("no NVIDIA GPU here");
    if cli.provider.is_empty() {
        cli.provider = vec![Provider::Cuda, Provider::WebGpu];
    }
    if cli.quick {
        (cli.rounds, cli.seconds, cli.workers) = (1, cli.seconds.min(2.0), vec![2]);
        cli.sizes = vec![Size { width: 640, height: 360 }];
        if cli.models.is_empty() {
            cli.models = ["fast2x", "quality2x"].map(str::to_owned).to_vec();
        }
    }
    print!("{}", report::machine(gpu.as_deref(), &cli)?);
    let networks = networks::find(&cli.models, &cli.shared_models);
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    print!("{}", report::speed_head(&cli.workers));
    let mut speeds = Vec::new();
    for &size in &cli.sizes {
        let frames = folder.path().join(format!("{}x{}", size.width, size.height));
        if absent.is_none() {
            std::fs::write(&frames, (0..FRAMES).flat_map(|index| drawn(index, size)).collect::<Vec<_>>())?;
        }
        for network in &networks {
            for &provider in &cli.provider {
                let case = speed::Case { network, size, provider, frames: &frames };
                let speed = match absent {
                    Some(reason) => Speed::absent(&case, reason.to_owned()),
                    None => speed::measure(&case, &cli),
                };
                print!("{}", report::speed_row(&speed, &cli.workers));
                speeds.push(speed);
            }
        }
    }
    print!("{}", report::notes(&speeds));
    if !cli.quick {
        print!("{}", report::memory(&speeds));
        print!("{}", report::providers(&speeds, &cli.provider));
        under_pressure(&cli, &networks, folder.path(), absent)?;
    }
    Ok(())
}

/// The last table: the element while another process takes the device's memory.
fn under_pressure(cli: &Cli, networks: &[Network], folder: &std::path::Path, absent: Option<&str>) -> Result<()> {
    print!("{}", report::PRESSURE_HEAD);
    for &size in &cli.sizes {
        let frames = folder.join(format!("{}x{}", size.width, size.height));
        for network in networks {
            // WebGPU uses the same device's memory, so one provider is enough.
            let Some(&provider) = cli.provider.first() else { continue };
            let case = speed::Case { network, size, provider, frames: &frames };
            let outcome = match absent {
                Some(reason) => Err(anyhow::anyhow!("{reason}")),
                None => pressure::measure(&case, cli),
            };
            print!("{}", report::pressure_row(&case, &outcome));
        }
    }
    Ok(())
}
