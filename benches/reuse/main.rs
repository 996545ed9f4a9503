//! Measures what reuse saves: runs the element on real clips with `duplicates=off` and with another mode, in
//! alternating rounds, and compares the output of that mode with that of `off`.
//!
//! Run it with `script/bench reuse`. The clips are decoded beforehand; the measurement covers `appsrc ! upscalefilter !
//! fakesink` from the first frame to the end of the stream.
//!
//! | module | contents |
//! |---|---|
//! | `clip` | a clip's frames in memory |
//! | `figures` | medians |
//! | `run` | runs a clip through the element |

mod clip;
#[path = "../figures/mod.rs"]
mod figures;
mod run;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Parser;

use clip::Clip;
use figures::median;
use run::{Output, run};

#[derive(Parser)]
#[command(about = "Measures what reuse saves on real clips")]
struct Cli {
    /// Alternating rounds; the table shows medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The network
    #[arg(long, default_value = "fast2x")]
    model: String,
    /// Maximum number of frames per clip; 0 for all
    #[arg(long, default_value_t = 0)]
    frames: usize,
    /// Only clips whose names contain this
    #[arg(long, default_value = "")]
    only: String,
    /// Only modes that contain this
    #[arg(long, default_value = "")]
    mode: String,
    /// Folder of the clips
    #[arg(long, value_name = "FOLDER", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/clips"))]
    clips: PathBuf,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// A clip, the mode to measure (`duplicates`, and `detail-tolerance` behind a plus sign), the required speed-up, and the required minimum PSNR in dB of the worst frame against
/// the output of `off` (`None`: identical).
struct Case {
    clip: &'static str,
    mode: &'static str,
    speed: Option<f64>,
    psnr: Option<f64>,
}

const fn case(clip: &'static str, mode: &'static str, speed: Option<f64>, psnr: Option<f64>) -> Case {
    Case { clip, mode, speed, psnr }
}

const CASES: [Case; 16] = [
    case("vhs/neofetch.mp4", "exact", Some(8.0), None),
    case("vhs/neofetch.webm", "exact", Some(8.0), None),
    case("derived/sintel360_on_twos_h264.mp4", "exact", Some(1.25), None),
    case("derived/sintel240_on_twos_lossless_vp9.webm", "exact", Some(1.9), None),
    case("fly-pie/video1.webm", "similar", Some(3.0), Some(45.0)),
    case("intel/bottle-detection.mp4", "similar", Some(3.0), Some(42.0)),
    case("derived/kodim05_slow_fade_lossless_vp9.webm", "similar", None, Some(45.0)),
    case("test-videos-co-uk/Big_Buck_Bunny_360_10s_1MB.mp4", "exact", Some(0.98), None),
    case("test-videos-co-uk/Sintel_720_10s_1MB.mp4", "off+2", Some(2.6), Some(58.0)),
    case("test-videos-co-uk/Sintel_360_10s_1MB.mp4", "off+2", Some(1.6), Some(58.0)),
    case("intel/bottle-detection.mp4", "off+2", Some(2.5), Some(58.0)),
    case("intel/bottle-detection.mp4", "similar+2", Some(4.0), Some(42.0)),
    case("fly-pie/video1.webm", "off+2", None, Some(58.0)),
    case("fly-pie/video1.webm", "similar+2", Some(3.5), Some(45.0)),
    case("androidx/sample_with_increasing_timestamps_360p.mp4", "off+2", None, Some(58.0)),
    case("test-videos-co-uk/Big_Buck_Bunny_1080_10s_1MB.mp4", "off+2", Some(0.97), Some(58.0)),
];

fn main() -> Result<()> {
    let cli = Cli::parse();
    gst::init()?;
    gstupscale::plugin_register_static()?;
    println!("\nModel {}, medians of {} alternating rounds.\n", cli.model, cli.rounds);
    println!("| clip | frames | mode | off, frames/s | mode, frames/s | times as fast | goal | area reused | output |");
    println!("|---|---:|---|---:|---:|---:|---:|---:|---|");
    for case in CASES.iter().filter(|case| case.clip.contains(&cli.only) && case.mode.contains(&cli.mode)) {
        let path = cli.clips.join(case.clip);
        if !path.exists() {
            eprintln!("*** SKIPPED: {} not found ***", path.display());
            continue;
        }
        println!("{}", measure(case, &path, &cli)?);
    }
    Ok(())
}

fn measure(case: &Case, path: &Path, cli: &Cli) -> Result<String> {
    let clip = Clip::decode(path, if cli.frames == 0 { usize::MAX } else { cli.frames })?;
    let (mut off, mut on, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut reused = 0.0;
    for round in 0..cli.rounds {
        eprintln!("{} {}, round {} of {}", case.clip, case.mode, round + 1, cli.rounds);
        let one = |mode: &str| run(&clip, &cli.model, mode, &mut |_| Ok(()));
        // Every other round runs in reverse order, so that a gradual change in the machine's speed affects both modes.
        let (without, with) = if round % 2 == 0 {
            let without = one("off")?;
            (without, one(case.mode)?)
        } else {
            let with = one(case.mode)?;
            (one("off")?, with)
        };
        reused = with.reused;
        let rate = |seconds: f64| clip.frames() as f64 / seconds;
        off.push(rate(without.seconds));
        on.push(rate(with.seconds));
        ratios.push(without.seconds / with.seconds);
    }
    let (ratio, output) = (median(ratios), compare(&clip, case, &cli.model)?);
    let goal = case.speed.map_or("-".into(), |goal| format!("{goal} {}", verdict(ratio >= goal)));
    Ok(format!(
        "| {} | {} | {} | {:.2} | {:.2} | {ratio:.2} | {goal} | {reused:.1} % | {output} |",
        case.clip,
        clip.frames(),
        case.mode,
        median(off),
        median(on),
    ))
}

/// Compares the mode's output with that of `off`.
fn compare(clip: &Clip, case: &Case, model: &str) -> Result<String> {
    let mut whole = Vec::new();
    run(clip, model, "off", &mut |output: &Output| {
        whole.push(output.visible()?);
        Ok(())
    })?;
    let (mut at, mut worst, mut luma) = (0, f64::INFINITY, 0.0f64);
    let mut identical = true;
    run(clip, model, case.mode, &mut |output: &Output| {
        let visible = output.visible()?;
        identical &= visible == whole[at];
        worst = worst.min(psnr(&visible, &whole[at]));
        luma = luma.max((output.mean_luma()? - clip.mean_luma(at)).abs());
        at += 1;
        Ok(())
    })?;
    let near = match (identical, case.psnr) {
        (true, _) => "identical".to_owned(),
        (false, None) => format!("**differs**, worst frame {worst:.1} dB"),
        (false, Some(goal)) => format!("worst frame {worst:.1} dB ({goal} {})", verdict(worst >= goal)),
    };
    Ok(format!("{near}; mean luma within {luma:.2} of the source's"))
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

/// Over all samples of all planes.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let error: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    if error == 0 { f64::INFINITY } else { 10.0 * (255.0 * 255.0 * a.len() as f64 / error as f64).log10() }
}
