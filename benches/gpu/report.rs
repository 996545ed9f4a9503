//! The tables, in Markdown.

use std::fmt::Write as _;

use anyhow::Result;
use gstupscale::types::Provider;
use gstupscale::types::Size;

use crate::Cli;
use crate::measure::machine;
use crate::pressure::Pressed;
use crate::speed::{Case, Rates, Speed, middle};

/// Minimum throughput of the element relative to raw ONNX Runtime with as many sessions.
const GOAL_SHARE: f64 = 0.9;
/// Minimum speed-up over the plain loop with four workers.
const GOAL_GAIN: f64 = 2.5;

/// Description of the machine.
pub fn machine(gpu: Option<&str>, cli: &Cli) -> Result<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(format!(
        "\n{}: {}; {}, {cores} cores, memory {}, load {:.1}, {}. Drawn frames, 4:2:0; rounds: {}. Frames per second.\n",
        machine::date()?,
        gpu.unwrap_or("no NVIDIA GPU"),
        machine::processor(),
        machine::memory(),
        machine::load().unwrap_or(f64::NAN),
        gst::version_string(),
        cli.rounds
    ))
}

pub fn speed_head(workers: &[usize]) -> String {
    let columns = |name: &str| workers.iter().map(|number| format!("{name}, {number} | ")).collect::<String>();
    let most = workers.last().copied().unwrap_or(1);
    let line = "---:|".repeat(2 * workers.len() + 4);
    format!(
        "\n| network | size | provider | one by one | {}{}element, auto | element of raw | element, {most}, of one by one |\n\
         |---|---|---|{line}\n",
        columns("raw"),
        columns("element")
    )
}

pub fn speed_row(speed: &Speed, workers: &[usize]) -> String {
    let begin = begin(&speed.network, speed.size, speed.provider);
    let rest = "| ".repeat(2 * workers.len() + 3);
    if let Some(reason) = &speed.absent {
        return format!("{begin} not measured: {reason} {rest}|\n");
    }
    let all = [&speed.one_by_one].into_iter().chain(&speed.raw).chain(&speed.element).chain([&speed.automatic]);
    let rates: String = all.map(|rates| format!("{} | ", cell(rates))).collect();
    // The goals apply to GPUs only.
    let gpu = !matches!(speed.provider, Provider::Cpu | Provider::OpenVino);
    let share = goal(speed.share(), gpu.then_some(GOAL_SHARE));
    let gain = goal(speed.gain(), (gpu && workers.last() == Some(&4)).then_some(GOAL_GAIN));
    format!("{begin} {rates}{share} | {gain} |\n")
}

fn begin(network: &str, size: Size, provider: Provider) -> String {
    format!("| {network} | {}x{} | {} |", size.width, size.height, provider.name())
}

fn cell(rates: &Rates) -> String {
    match middle(rates) {
        Some(rate) => format!("{rate:.2}"),
        None => "failed".to_owned(),
    }
}

fn goal(value: Option<f64>, goal: Option<f64>) -> String {
    match (value, goal) {
        (None, _) => "-".to_owned(),
        (Some(value), Some(goal)) if value < goal => format!("{value:.2} (**{goal}, missed**)"),
        (Some(value), _) => format!("{value:.2}"),
    }
}

/// Reasons of the failures, printed below the table.
pub fn notes(speeds: &[Speed]) -> String {
    let mut text = String::new();
    for speed in speeds {
        for failure in speed.failures() {
            let (Size { width, height }, provider) = (speed.size, speed.provider.name());
            writeln!(text, "\n{}, {width}x{height}, {provider}: {failure}", speed.network)
                .expect("writing to a string cannot fail");
        }
    }
    text
}

/// Whether the device's free memory stayed above the reserve.
pub fn memory(speeds: &[Speed]) -> String {
    let mut text = "\nThe device's free memory while the element ran, MiB; the run that came closest to its reserve.\n\n\
                    | network | size | provider | free before | minimum free | reserve | |\n|---|---|---|---:|---:|---:|---|\n"
        .to_owned();
    for speed in speeds {
        let begin = begin(&speed.network, speed.size, speed.provider);
        let line = match (&speed.absent, speed.memory) {
            (Some(reason), _) => format!("{begin} | | | not measured: {reason} |\n"),
            (None, None) => format!("{begin} | | | not measured: not reported |\n"),
            (None, Some(memory)) => {
                let verdict = if memory.least >= memory.reserve() { "kept" } else { "**not kept**" };
                let [before, least, reserve] = [memory.before, memory.least, memory.reserve()].map(|bytes| bytes >> 20);
                format!("{begin} {before} | {least} | {reserve} | {verdict} |\n")
            }
        };
        text.push_str(&line);
    }
    text
}

/// The first provider compared with the others, with the automatic number of workers.
pub fn providers(speeds: &[Speed], providers: &[Provider]) -> String {
    let [first, others @ ..] = providers else { return String::new() };
    let mut text = String::new();
    for other in others {
        let (first, other_name) = (first.name(), other.name());
        write!(
            text,
            "\n| network | size | {first} | {other_name} | {first} of {other_name} |\n|---|---|---:|---:|---:|\n"
        )
        .expect("writing to a string cannot fail");
        for speed in speeds.iter().filter(|speed| speed.provider == providers[0]) {
            let counterpart = |counterpart: &&Speed| {
                counterpart.provider == *other && counterpart.network == speed.network && counterpart.size == speed.size
            };
            let rate = |speed: Option<&Speed>| speed.and_then(|speed| middle(&speed.automatic));
            let (a, b) = (rate(Some(speed)), rate(speeds.iter().find(counterpart)));
            let show = |rate: Option<f64>| rate.map_or("not measured".to_owned(), |rate| format!("{rate:.2}"));
            let ratio = a.zip(b).map_or("-".to_owned(), |(a, b)| format!("{:.2}", a / b));
            let Size { width, height } = speed.size;
            writeln!(text, "| {} | {width}x{height} | {} | {} | {ratio} |", speed.network, show(a), show(b))
                .expect("writing to a string cannot fail");
        }
    }
    text
}

pub const PRESSURE_HEAD: &str = "\nThe element with four workers; after it has loaded its network another process takes the device's \
                                 memory, MiB.\n\n\
                                 | network | size | provider | taken | left | result |\n|---|---|---|---:|---:|---|\n";

pub fn pressure_row(case: &Case, pressed: &Result<Pressed>) -> String {
    let begin = begin(&case.network.name, case.size, case.provider);
    match pressed {
        Err(error) => format!("{begin} | | not measured: {error} |\n"),
        Ok(Pressed { taken, left, end }) => {
            let end = match end {
                Err(error) => format!("**lost**: {error}"),
                Ok(end) if end.steps_down == 0 => format!("no run failed, {:.2} frames/s", end.rate.per_second),
                Ok(end) => {
                    let tiles =
                        if end.tile == 0 { "whole frames".to_owned() } else { format!("tiles of {}", end.tile) };
                    format!(
                        "survived: {} steps down to {} workers and {tiles}, {:.2} frames/s",
                        end.steps_down, end.workers, end.rate.per_second
                    )
                }
            };
            format!("{begin} {taken} | {left} | {end} |\n")
        }
    }
}
