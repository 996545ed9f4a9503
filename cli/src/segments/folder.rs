//! The folder of a manifest and its segments.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::manifest::{Manifest, VERSION, hash_file, load_json, save_json};
use super::settings::Settings;
use super::{hex, join};
use crate::console::Console;
use crate::failure::{Context, Failure, Result, failed};
use crate::output::write_failure;
use crate::upscale::{self, Stage};

const MANIFEST: &str = "manifest.json";

/// What is known about a finished segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    version: u32,
    /// The hash of the manifest's identity and the segment's number.
    key: String,
    frames: u64,
    bytes: u64,
    hash: String,
    /// Whether frames of the input were damaged.
    pub is_damaged: bool,
}

/// How far a segment is.
pub enum State {
    Done(Record),
    Missing,
    /// What is there cannot be used, and why.
    Bad(String),
}

pub struct Folder {
    pub path: PathBuf,
    pub manifest: Manifest,
    identity: String,
}

impl Folder {
    pub fn open(path: &Path) -> Result<Self> {
        Folder::new(path, Manifest::load(&path.join(MANIFEST))?)
    }

    fn new(path: &Path, manifest: Manifest) -> Result<Self> {
        Ok(Folder { path: path.to_owned(), identity: manifest.identity()?, manifest })
    }

    /// Makes the folder. It may exist if it is empty, or has the same manifest.
    pub fn create(path: &Path, manifest: Manifest) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| write_failure(path, error))?;
        let new = Folder::new(path, manifest)?;
        if !new.is_empty()? {
            let old = Folder::open(path)?;
            if old.identity != new.identity {
                let why = old.manifest.difference(&new.manifest);
                return failed(format!("{} holds segments of another run ({why})", path.display()));
            }
        }
        new.save()?;
        Ok(new)
    }

    /// The same, but a folder of another run is emptied; returns why.
    pub fn create_or_empty(path: &Path, manifest: Manifest) -> Result<(Self, Option<String>)> {
        let new = Folder::new(path, manifest)?;
        let why = match Folder::open(path) {
            Ok(old) if old.identity == new.identity => None,
            Ok(old) => Some(old.manifest.difference(&new.manifest).to_owned()),
            Err(_) if new.is_empty()? => None,
            Err(failure) if path.join(MANIFEST).exists() => Some(failure.to_string()),
            Err(_) => return failed(format!("{} is no folder of segments: remove it first", path.display())),
        };
        if why.is_some() {
            new.clear()?;
        }
        new.save()?;
        Ok((new, why))
    }

    fn save(&self) -> Result<()> {
        save_json(&self.path.join(MANIFEST), &self.manifest)
    }

    /// Whether it holds nothing but locks and temporary files.
    fn is_empty(&self) -> Result<bool> {
        let entries = std::fs::read_dir(&self.path).context(format_args!("cannot read {}", self.path.display()))?;
        let counts = |name: &std::ffi::OsStr| {
            !name.as_encoded_bytes().starts_with(b".") && !name.as_encoded_bytes().ends_with(b".lock")
        };
        Ok(!entries.flatten().any(|entry| counts(&entry.file_name())))
    }

    /// Removes the segments and the manifest; the manifest last, because it tells whose folder this is.
    pub fn clear(&self) -> Result<()> {
        let wrong = |error| write_failure(&self.path, error);
        for entry in std::fs::read_dir(&self.path).map_err(wrong)?.flatten() {
            let name = entry.file_name();
            let is_of_resume = Path::new(&name) == Path::new(super::resume::LOCK);
            if entry.path().is_file() && name != MANIFEST && !is_of_resume {
                std::fs::remove_file(entry.path()).map_err(wrong)?;
            }
        }
        std::fs::remove_file(self.path.join(MANIFEST)).or_else(ignore_missing).map_err(wrong)
    }

    /// The video file of a segment.
    pub fn video(&self, number: usize) -> PathBuf {
        self.path.join(format!("{number:05}.{}", self.manifest.format))
    }

    fn record(&self, number: usize) -> PathBuf {
        self.path.join(format!("{number:05}.json"))
    }

    fn lock_path(&self, number: usize) -> PathBuf {
        self.path.join(format!("{number:05}.lock"))
    }

    fn key(&self, number: usize) -> String {
        hex(xxh3_128(format!("{} {number}", self.identity).as_bytes()))
    }

    /// Checks a segment; `thoroughly` reads every byte of it.
    pub fn state(&self, number: usize, thoroughly: bool) -> State {
        let (video, record) = (self.video(number), self.record(number));
        if !record.exists() {
            return State::Missing;
        }
        let record: Record = match load_json(&record) {
            Ok(record) => record,
            Err(failure) => return State::Bad(failure.to_string()),
        };
        let name = video.display();
        let bad = |what: &str| State::Bad(format!("{name} {what}"));
        if record.version != VERSION || record.key != self.key(number) {
            return bad("belongs to another run or has another number");
        }
        if record.frames != self.manifest.segments[number].frames {
            return bad("has another number of frames than planned");
        }
        match video.metadata() {
            Err(_) => return bad("is missing"),
            Ok(file) if file.len() < record.bytes => return bad("is truncated"),
            Ok(file) if file.len() > record.bytes => return bad("is too long"),
            Ok(_) => {}
        }
        if !thoroughly {
            return State::Done(record);
        }
        match hash_file(&video) {
            Ok(hash) if hash == record.hash => State::Done(record),
            Ok(_) => bad("is damaged: its hash is another"),
            Err(failure) => State::Bad(failure.to_string()),
        }
    }

    /// Whether a process works on the segment.
    pub fn is_locked(&self, number: usize) -> bool {
        let file = File::open(self.lock_path(number));
        file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// Upscales a segment, unless it is done.
    pub fn run(&self, number: usize, settings: &Settings, console: &Console) -> Result<()> {
        let _lock = lock(&self.lock_path(number), &format!("segment {number}"), console)?;
        match self.state(number, true) {
            State::Done(_) => {
                console.note(&format!("segment {number} is done already"));
                return Ok(());
            }
            State::Missing => {}
            State::Bad(why) => console.warn(&format!("segment {number} is made again: {why}")),
        }
        let record = self.record(number);
        std::fs::remove_file(&record).or_else(ignore_missing).map_err(|error| write_failure(&record, error))?;
        let (part, video) = (&self.manifest.segments[number], self.video(number));
        let upscale = |seeks| {
            let options = settings.options(Stage::Segment { part, seeks })?;
            upscale::run(options, settings.input()?, &video, console).map_err(again)
        };
        let mut damage = upscale(true)?;
        if damage.frames > 0 && number > 0 {
            // Some encoders refresh pictures bit by bit: a decoder that starts at their key frames shows damaged frames at first.
            console.note(&format!("segment {number} is made again: reading starts at the beginning of the input"));
            damage = upscale(false)?;
        }
        let frames = join::Segment::inspect(self, number).map_err(again)?.times.len() as u64;
        let bytes = video.metadata().context(video.display())?.len();
        let (key, hash, is_damaged) =
            (self.key(number), hash_file(&video)?, damage.frames > 0 || damage.missing.is_some());
        save_json(&record, &Record { version: VERSION, key, frames, bytes, hash, is_damaged }).map_err(again)
    }
}

/// A failure on the way may be the machine's.
fn again(failure: Failure) -> Failure {
    match failure {
        Failure::Failed(text) => Failure::Again(text),
        other => other,
    }
}

fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// A lock that the system releases when its owner ends, in whatever way.
pub fn lock(path: &Path, what: &str, console: &Console) -> Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|error| write_failure(path, error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Failure::Again(format!("another process works on {what} ({} is locked)", path.display())));
        }
        // Object stores have none. The result is right even so: two processes would do the same work.
        Err(TryLockError::Error(error)) => console.note(&format!("{} cannot be locked: {error}", path.display())),
    }
    Ok(file)
}
