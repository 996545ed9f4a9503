//! The table, in Markdown.

use std::fmt::Write as _;
use std::path::Path;

use crate::child::Measured;
use crate::measure::machine;
use crate::measure::meter::Rate;
use crate::prepare::Prepared;

pub const HEAD: &str = "\
| network | what runs | frames/s, median | min .. max | of best raw | CPU, ms/frame | peak memory, MB |
|---|---|---:|---:|---:|---:|---:|
";

/// Minimum throughput of the element relative to the best raw figure.
const GOAL_RATIO: f64 = 0.95;
/// Maximum memory of a process with the element and the luma network.
const GOAL_BYTES: u64 = 600_000_000;
/// A higher load means that other programs use an otherwise idle machine.
const QUIET: f64 = 0.5;

/// One variant and its figures.
pub struct Row {
    label: String,
    raw: bool,
    /// With the round of each.
    rates: Vec<(usize, Rate)>,
    peak_bytes: u64,
}

impl Row {
    pub fn new(label: &str, raw: bool) -> Self {
        Row { label: label.to_owned(), raw, rates: Vec::new(), peak_bytes: 0 }
    }

    pub fn add(&mut self, round: usize, measured: Measured) {
        self.rates.push((round, measured.rate));
        self.peak_bytes = self.peak_bytes.max(measured.peak_bytes);
    }

    fn median(&self) -> Option<f64> {
        median(self.rates.iter().map(|(_, rate)| rate.per_second).collect())
    }

    fn cpu_ms(&self) -> Option<f64> {
        median(self.rates.iter().map(|(_, rate)| rate.cpu_ms).collect())
    }

    /// Median of the ratios to `best` in the same round.
    fn ratio(&self, best: &Row) -> Option<f64> {
        let of_round = |round| best.rates.iter().find(|(other, _)| *other == round).map(|(_, rate)| rate.per_second);
        median(self.rates.iter().filter_map(|(round, rate)| Some(rate.per_second / of_round(*round)?)).collect())
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

/// The lines of one network.
pub fn rows(network: &str, rows: &[Row]) -> String {
    let raw = rows.iter().filter(|row| row.raw);
    let best = raw.max_by(|a, b| a.median().unwrap_or(0.0).total_cmp(&b.median().unwrap_or(0.0)));
    let mut text = String::new();
    for row in rows {
        let Some((middle, cpu)) = row.median().zip(row.cpu_ms()) else {
            text += &skipped(network, &format!("{}: not built", row.label));
            text.push('\n');
            continue;
        };
        let rates = || row.rates.iter().map(|(_, rate)| rate.per_second);
        let (min, max) = (rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max));
        let ratio = best.and_then(|best| row.ratio(best)).unwrap_or(f64::NAN);
        writeln!(
            text,
            "| {network} | {} | {middle:.2} | {min:.2} .. {max:.2} | {ratio:.3} | {cpu:.1} | {} |",
            row.label,
            megabytes(row.peak_bytes)
        )
        .expect("writing to a string cannot fail");
    }
    text
}

/// A line for something that was not measured.
pub fn skipped(network: &str, why: &str) -> String {
    format!("| {network} | {why} | | | | | |")
}

/// Description of the machine.
pub fn machine(cores: usize, prepared: &Prepared) -> String {
    let mut text = format!(
        "\n{}: {}, {cores} cores, memory {}, {}, {}. Frames: {}, 640x360.\n\n",
        prepared.date,
        machine::processor(),
        machine::memory(),
        machine::runtime(),
        prepared.gstreamer,
        prepared.source
    );
    if let Some(load) = machine::load().filter(|load| *load > QUIET) {
        write!(text, "**The machine was not quiet at the start: load {load}.**\n\n")
            .expect("writing to a string cannot fail");
    }
    text
}

/// The text below the table.
pub fn tail(model: &Path, frames: usize, peak_bytes: u64, rounds: usize, quick: bool) -> String {
    let model = model.file_stem().unwrap_or_default().display();
    let verdict = if peak_bytes < GOAL_BYTES { "met" } else { "MISSED" };
    let warning = if quick { "**A quick run: the figures are meaningless.**\n\n" } else { "" };
    format!(
        "\n{warning}Peak memory with {frames} unique frames through the element, {model}: {} MB (goal: less than {}, \
         {verdict}).\n\nAlternating rounds: {rounds}. The ratio is the median of the ratios per round, to the raw figure with \
         the better median; the element's goal is {GOAL_RATIO}. Raw and element are measured while all workers are busy, \
         the command from start to end, including encoding on the same cores. Memory is the maximum over all rounds.\n",
        megabytes(peak_bytes),
        megabytes(GOAL_BYTES)
    )
}

fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}
