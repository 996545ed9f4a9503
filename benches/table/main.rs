//! The table: how much of ONNX Runtime's throughput remains in the element, and in a whole run of the command.
//!
//! Run it with `script/bench`. For a luma and an RGB network at 640x360, in alternating rounds:
//!
//! - **raw**: ONNX Runtime alone, back to back: the same network, as many sessions and threads as the element uses,
//!   tensors and results in memory. Also a single session that uses all cores. The others are compared with the better
//!   of the two.
//! - **element**: 8-bit 4:2:0 frames from memory through `upscalefilter` into a `fakesink`.
//! - **gst-upscale**: the whole command, from file to file.
//!
//! Each runs in a separate process to measure its peak memory. The parent process only starts them, because Linux
//! counts a process's memory into the peak of its children.
//!
//! | module | contents |
//! |---|---|
//! | `child` | the processes: their command lines, running them, their memory |
//! | `prepare` | the frames and clips that all variants use |
//! | `measure` | frames in memory, the raw loop, the element, frames per second while all workers are busy |
//! | `command` | the whole command |
//! | `report` | the table |

mod child;
mod command;
#[path = "../measure/mod.rs"]
mod measure;
mod prepare;
mod report;

use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use anyhow::{Context, Result};
use clap::Parser;

use child::Child;
use gstupscale::types::Size;
use prepare::Prepared;
use report::Row;

const SIZE: Size = Size { width: 640, height: 360 };

/// Frames for the luma network per frame for the RGB network, which takes that much longer.
const LUMA_FOR_RGB: usize = 4;

#[derive(Parser)]
#[command(about = "Measures raw ONNX Runtime, the element and the command, side by side")]
struct Cli {
    /// Alternating rounds; the table shows medians
    #[arg(long, default_value_t = 5, value_parser = at_least_one)]
    rounds: usize,
    /// Frames per measurement of the luma network; the RGB network gets a quarter of them
    #[arg(long, default_value_t = 240, value_parser = at_least_one)]
    frames: usize,
    /// Unique frames in the memory measurement
    #[arg(long, default_value_t = 1000, value_parser = at_least_one)]
    memory_frames: usize,
    /// One round of few frames, to check that everything works; the figures are meaningless
    #[arg(long)]
    quick: bool,
    /// The luma network
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/data/plain_luma.onnx"))]
    luma: PathBuf,
    /// The RGB network
    #[arg(long, value_name = "FILE", default_value = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/data/models/animejanai/2x_AnimeJaNai_HD_V3_SuperUltraCompact-fp32.onnx"
    ))]
    rgb: PathBuf,
    /// A 640x360 clip
    #[arg(long, value_name = "FILE", default_value = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/data/clips/test-videos-co-uk/Sintel_360_10s_1MB.mp4"
    ))]
    clip: PathBuf,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    child: Option<Child>,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "expected a number of at least 1".to_owned())
}

fn main() -> Result<()> {
    let mut cli = Cli::parse();
    if let Some(child) = cli.child {
        return child.run();
    }
    if cli.quick {
        (cli.rounds, cli.frames, cli.memory_frames) = (1, 16, 40);
    }
    let cores = available_parallelism().map_or(1, Into::into);
    let rgb_frames = cli.frames.div_ceil(LUMA_FOR_RGB);
    eprintln!("preparing frames");
    let prepared = prepare::in_child(&cli.clip, [cli.frames, rgb_frames])?;
    print!("{}", report::machine(cores, &prepared));

    let [luma_clip, rgb_clip] = &prepared.clips;
    let luma = Network { name: "luma", path: &cli.luma, frames: cli.frames, clip: luma_clip };
    let rgb = Network { name: "RGB", path: &cli.rgb, frames: rgb_frames, clip: rgb_clip };
    print!("{}", report::HEAD);
    for network in [&luma, &rgb] {
        if !network.path.exists() {
            eprintln!("*** SKIPPED: {} not found ***", network.path.display());
            println!("{}", report::skipped(network.name, "not measured: the model was not found"));
            continue;
        }
        let rows = network.measure(&prepared, cores, cli.rounds)?;
        print!("{}", report::rows(network.name, &rows));
    }
    let memory = luma.variant_element("exact", &prepared, cli.memory_frames).run_apart()?;
    print!("{}", report::tail(&cli.luma, cli.memory_frames, memory.peak_bytes, cli.rounds, cli.quick));
    Ok(())
}

/// A network to measure.
struct Network<'a> {
    name: &'static str,
    path: &'a Path,
    frames: usize,
    clip: &'a prepare::Clip,
}

impl Network<'_> {
    fn variant_raw(&self, prepared: &Prepared, workers: usize, threads: usize) -> Child {
        let (model, frames) = (self.path.to_owned(), prepared.frames.clone());
        Child::Raw { model, frames, count: self.frames, workers, threads }
    }

    fn variant_element(&self, duplicates: &str, prepared: &Prepared, count: usize) -> Child {
        let (model, frames) = (self.path.to_owned(), prepared.frames.clone());
        Child::Element { model, frames, count, duplicates: duplicates.to_owned() }
    }

    /// Runs all variants in alternating rounds. Every other round runs in reverse order, so that a gradual change in
    /// the machine's speed affects all variants alike.
    fn measure(&self, prepared: &Prepared, cores: usize, rounds: usize) -> Result<Vec<Row>> {
        let raw = self.variant_raw(prepared, cores, 1);
        let mut variants = vec![
            (format!("raw, {cores} sessions of 1 thread"), true, Variant::Child(raw)),
            (format!("raw, 1 session of {cores} threads"), true, Variant::Child(self.variant_raw(prepared, 1, cores))),
        ];
        for duplicates in ["exact", "off"] {
            let child = self.variant_element(duplicates, prepared, self.frames);
            variants.push((format!("element, duplicates={duplicates}"), false, Variant::Child(child)));
        }
        variants.push(("gst-upscale, x264 veryfast".to_owned(), false, Variant::Command));
        let mut rows: Vec<Row> = variants.iter().map(|(label, raw, _)| Row::new(label, *raw)).collect();
        for round in 0..rounds {
            let mut order: Vec<usize> = (0..variants.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for index in order {
                let (label, _, variant) = &variants[index];
                eprintln!("{} {}, round {} of {rounds}", self.name, label, round + 1);
                let measured = match variant {
                    Variant::Child(child) => Some(child.run_apart()),
                    Variant::Command => command::run(self.path, self.clip).transpose(),
                };
                if let Some(measured) = measured {
                    rows[index].add(round, measured.with_context(|| label.clone())?);
                }
            }
        }
        Ok(rows)
    }
}

enum Variant {
    Child(Child),
    Command,
}
