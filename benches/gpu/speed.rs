//! One network at one size on one provider: speed and memory.

use std::path::{Path, PathBuf};

use anyhow::Result;
use gstupscale::types::Provider;
use gstupscale::types::Size;

use crate::Cli;
use crate::figures::median;
use crate::job::{Job, Watched, What};
use crate::networks::{self, Network};

/// Frames used to estimate how many frames to measure.
const PROBE: usize = 4;
/// Minimum number of frames of a measurement.
const FEWEST: usize = 8;

pub struct Case<'a> {
    pub network: &'a Network,
    pub size: Size,
    pub provider: Provider,
    /// The file with the frames.
    pub frames: &'a Path,
}

impl Case<'_> {
    pub fn job(&self, what: What, count: usize) -> Job {
        let (model, provider) = (self.network.model.clone(), self.provider.name().to_owned());
        let size = (self.size.width, self.size.height);
        Job { what, model, provider, size, frames: self.frames.to_owned(), count }
    }

    /// The ONNX Runtime for the case, or the reason why it cannot be measured.
    pub fn runtime(&self, cli: &Cli) -> Result<PathBuf, String> {
        if self.network.missing {
            return Err("the model was not found".to_owned());
        }
        networks::runtime(&cli.runtimes, self.provider)
    }
}

/// One measured quantity over all rounds: frames per second, or the error.
pub type Rates = Result<Vec<f64>, String>;

pub struct Speed {
    pub network: String,
    pub size: Size,
    pub provider: Provider,
    /// Why nothing was measured.
    pub absent: Option<String>,
    pub one_by_one: Rates,
    /// By the requested numbers of workers.
    pub raw: Vec<Rates>,
    pub element: Vec<Rates>,
    /// With the automatic number of workers.
    pub automatic: Rates,
    /// For the run of the element that came closest to its reserve.
    pub memory: Option<Watched>,
}

impl Speed {
    pub fn absent(case: &Case, reason: String) -> Self {
        let none = || Ok(Vec::new());
        Speed {
            network: case.network.name.clone(),
            size: case.size,
            provider: case.provider,
            absent: Some(reason),
            one_by_one: none(),
            raw: Vec::new(),
            element: Vec::new(),
            automatic: none(),
            memory: None,
        }
    }

    /// The minimum of the element's throughput relative to raw ONNX Runtime with as many sessions.
    pub fn share(&self) -> Option<f64> {
        let pairs = self.raw.iter().zip(&self.element);
        pairs.filter_map(|(raw, element)| Some(middle(element)? / middle(raw)?)).min_by(f64::total_cmp)
    }

    /// The speed-up of the element over the plain loop, with the most workers.
    pub fn gain(&self) -> Option<f64> {
        Some(middle(self.element.last()?)? / middle(&self.one_by_one)?)
    }

    /// The errors, for the notes.
    pub fn failures(&self) -> Vec<&str> {
        let all = [&self.one_by_one, &self.automatic].into_iter().chain(&self.raw).chain(&self.element);
        let mut failures: Vec<&str> = all.filter_map(|rates| rates.as_ref().err().map(String::as_str)).collect();
        failures.dedup();
        failures
    }

    fn rates(&mut self, what: What, workers: &[usize]) -> &mut Rates {
        let index = |number| workers.iter().position(|other| *other == number).unwrap_or(0);
        match what {
            What::Raw(number) => &mut self.raw[index(number)],
            What::Element(0) => &mut self.automatic,
            What::Element(number) => &mut self.element[index(number)],
            _ => &mut self.one_by_one,
        }
    }
}

pub fn middle(rates: &Rates) -> Option<f64> {
    rates.as_ref().ok().filter(|rates| !rates.is_empty()).map(|rates| median(rates.clone()))
}

/// Runs everything in alternating rounds. Every other round runs in reverse order, so that a gradual change in the
/// machine's speed affects all cases alike.
pub fn measure(case: &Case, cli: &Cli) -> Speed {
    let mut speed = Speed::absent(case, String::new());
    let runtime = match case.runtime(cli) {
        Ok(runtime) => runtime,
        Err(reason) => return Speed::absent(case, reason),
    };
    let count = match case.job(What::OneByOne, PROBE).run_apart(&runtime) {
        Ok((outcome, _)) => (outcome.rate.per_second * cli.seconds) as usize,
        Err(error) => return Speed::absent(case, error.to_string()),
    };
    let count = count.clamp(FEWEST, cli.frames.max(FEWEST));
    speed.absent = None;
    speed.raw = vec![Ok(Vec::new()); cli.workers.len()];
    speed.element.clone_from(&speed.raw);
    let counts = || cli.workers.iter().copied();
    let mut order: Vec<What> = vec![What::OneByOne];
    order.extend(counts().map(What::Raw));
    order.extend(counts().chain([0]).map(What::Element));
    for round in 0..cli.rounds {
        for &what in &order {
            let rates = speed.rates(what, &cli.workers);
            let Ok(known) = rates else { continue };
            eprintln!("{} {} {what:?}, round {} of {}", case.network.name, case.provider.name(), round + 1, cli.rounds);
            match case.job(what, count).run_apart(&runtime) {
                Ok((outcome, watched)) => {
                    known.push(outcome.rate.per_second);
                    if let What::Element(_) = what {
                        speed.memory = nearer(speed.memory, watched);
                    }
                }
                Err(error) => *rates = Err(error.to_string()),
            }
        }
        order.reverse();
    }
    speed
}

/// The one with less memory left above its reserve.
fn nearer(a: Option<Watched>, b: Option<Watched>) -> Option<Watched> {
    let above = |watched: &Watched| i128::from(watched.least) - i128::from(watched.reserve());
    [a, b].into_iter().flatten().min_by_key(above)
}
