//! Fuzzing with hostile files, caps and buffers. These tests try the same few thousand inputs each time; `script/fuzz` runs for a given
//! time, with a new seed each time.
//!
//! Each target starts with the files in `tests/data/corpus/` and mutates them. An input with a new outcome joins the corpus; a long run
//! keeps such inputs in `.deps/fuzz/`. Each input is written to a file before it is tried, so that it survives a crash of the process.

#[path = "../common/mod.rs"]
mod common;

mod buffers;
mod caps;
mod graph;
mod random;
mod stage;
mod wire;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use random::Random;

/// Seconds per target, instead of a fixed number of inputs.
const SECONDS: &str = "UPSCALE_FUZZ_SECONDS";
/// A file with the only input to try.
const INPUT: &str = "UPSCALE_FUZZ_INPUT";
/// Longer inputs are truncated.
const MAX_LENGTH: usize = 64 << 10;

/// Code under test.
trait Target {
    const NAME: &str;
    /// Tries one input and panics if the result is wrong. Returns the outcome, which is the same for similar inputs.
    fn attempt(&mut self, input: &[u8]) -> String;
    /// Makes a new input from the corpus.
    fn mutate(random: &mut Random, from: &[Vec<u8>]) -> Vec<u8>;
}

/// When to stop.
enum Limit {
    Times(u64),
    Until(Instant),
}

fn fuzz<T: Target>(mut target: T, times: u64) {
    if let Some(file) = std::env::var_os(INPUT) {
        let outcome = target.attempt(&std::fs::read(&file).expect("the input can be read"));
        println!("{}: {outcome}", T::NAME);
        return;
    }
    let seconds = std::env::var(SECONDS).ok().map(|text| text.parse().expect("a number of seconds"));
    let (limit, mut random) = match seconds {
        Some(seconds) => (
            Limit::Until(Instant::now() + Duration::from_secs(seconds)),
            Random(std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is later than 1970").as_nanos() as u64),
        ),
        None => (Limit::Times(times), Random(1)),
    };
    let mut corpus = read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/corpus").join(T::NAME));
    assert!(!corpus.is_empty(), "the corpus is not empty");
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join(".deps/fuzz").join(T::NAME);
    if seconds.is_some() {
        corpus.extend(read_all(&found));
    }
    let (mut outcomes, mut tried, given, mut slowest) = (HashSet::new(), 0, corpus.len(), Duration::ZERO);
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}.input", T::NAME));
    for input in corpus.clone() {
        outcomes.insert(attempt(&mut target, &input, &scratch));
    }
    while match limit {
        Limit::Times(times) => tried < times,
        Limit::Until(end) => Instant::now() < end,
    } {
        let mut input = T::mutate(&mut random, &corpus);
        input.truncate(MAX_LENGTH);
        let start = Instant::now();
        let outcome = attempt(&mut target, &input, &scratch);
        slowest = slowest.max(start.elapsed());
        if outcomes.insert(outcome) {
            if seconds.is_some() {
                std::fs::create_dir_all(&found).expect("the folder can be made");
                std::fs::write(found.join(format!("{:016x}", hash(&input))), &input).expect("it can be written");
            }
            corpus.push(input);
        }
        tried += 1;
    }
    println!("{}: {tried} inputs from {given}, {} outcomes, the slowest took {slowest:?}", T::NAME, outcomes.len());
    std::fs::remove_file(scratch).expect("it was written");
}

fn attempt<T: Target>(target: &mut T, input: &[u8], scratch: &Path) -> String {
    std::fs::write(scratch, input).expect("the input can be kept");
    catch_unwind(AssertUnwindSafe(|| target.attempt(input))).unwrap_or_else(|panic| {
        let kept = scratch.with_extension(format!("{:016x}", hash(input)));
        std::fs::write(&kept, input).expect("the input can be kept");
        eprintln!("the input is in {}; {INPUT}=FILE tries it alone", kept.display());
        std::panic::resume_unwind(panic)
    })
}

fn hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// The contents of all files in a folder, sorted by name.
fn read_all(folder: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.expect("an entry").path()).collect(),
        Err(_) => Vec::new(),
    };
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("it can be read")).collect()
}

#[test]
fn graph() {
    fuzz(graph::Graphs, 2000);
}

#[test]
fn caps() {
    fuzz(caps::Caps::new(), 2000);
}

#[test]
fn buffers() {
    fuzz(buffers::Buffers, 2000);
}
