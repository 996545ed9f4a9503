//! The manifest: which segments there are, and what they are made from.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gstupscale::model::{Source, builtin};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::settings::{self, Settings};
use super::{Part, hex};
use crate::args::{Deinterlace, Upscale};
use crate::codecs::Codec;
use crate::console::Console;
use crate::container::Container;
use crate::failure::{Context, Failure, Result, failed, usage};
use crate::input::Input;
use crate::output::{Output, parent, write_failure};
use crate::reader::{Reader, cut};
use crate::signals;
use crate::upscale::{Job, Options, Stage};

/// The version of the manifest and of the records.
pub const VERSION: u32 = 1;

/// The file that is upscaled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    pub path: PathBuf,
    pub bytes: u64,
    pub hash: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub version: u32,
    pub program: String,
    pub input: InputFile,
    /// The hash of the model's file.
    pub model: String,
    /// The extension of OUT and of the segments.
    pub format: String,
    /// The options, as on the command line.
    pub settings: Vec<String>,
    /// The video's time base.
    pub base: (i32, i32),
    pub segments: Vec<Part>,
    /// The hash of everything else.
    pub check: String,
}

impl Manifest {
    /// Checks the options, and finds out where IN can be cut. Nothing is decoded but the first frame.
    pub fn plan(
        options: Options,
        path: &Path,
        format: &str,
        seconds: f64,
        settings: Vec<String>,
        console: &Console,
    ) -> Result<Self> {
        check_options(&options)?;
        let input = Input::open(path, None)?;
        let file = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file);
        let (Input::Media(_), Some(file)) = (&input, file) else {
            return usage(format!("{}: segments are made of video files only", path.display()));
        };
        let output = Output::parse(Path::new(&format!("segment.{format}")), None, &input)?;
        let container = output.container().filter(|container| !container.is_animation());
        let container = container.context(format_args!(".{format} cannot be joined from segments"))?;
        let job = Job::prepare(options, &input, &output, Codec::choose(options.encoding, container)?, console)?;
        drop(job);
        let mut reader = Reader::open(&input, options.selection, &Arc::default())?;
        let base = reader.timing().base;
        let packets = reader.media().context("a video file")?.scan()?;
        let path = std::fs::canonicalize(path).context(format_args!("cannot open {}", path.display()))?;
        let mut manifest = Manifest {
            version: VERSION,
            program: concat!("gst-upscale ", env!("CARGO_PKG_VERSION")).to_owned(),
            input: InputFile { bytes: file.len(), hash: hash_file(&path)?, path },
            model: hash_model(options.upscale)?,
            format: format.to_owned(),
            settings,
            base: (base.num, base.den),
            segments: cut(&packets, base, seconds),
            check: String::new(),
        };
        manifest.check = manifest.hash()?;
        Ok(manifest)
    }

    /// The hash of everything but the field that holds it.
    fn hash(&self) -> Result<String> {
        hash_json(&Manifest { check: String::new(), ..self.clone() })
    }

    /// What the result depends on: the same for two runs whose segments can be joined.
    pub fn identity(&self) -> Result<String> {
        let mut own = Manifest { check: String::new(), ..self.clone() };
        own.settings = settings::of_the_result(&own.settings);
        own.input.path.clear();
        hash_json(&own)
    }

    pub fn load(path: &Path) -> Result<Self> {
        let name = path.display();
        let version = load_json::<serde_json::Value>(path)?["version"].as_u64();
        match version {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => return failed(format!("{name} has version {version}: this program reads {VERSION}")),
            None => return failed(format!("{name} is damaged: it has no version")),
        }
        let manifest: Manifest = load_json(path)?;
        if manifest.check != manifest.hash()? || manifest.segments.is_empty() {
            return failed(format!("{name} is damaged: its hash is another"));
        }
        Ok(manifest)
    }

    /// What differs in `other`, in words.
    pub fn difference(&self, other: &Manifest) -> &'static str {
        let own = settings::of_the_result(&self.settings);
        match () {
            () if self.input.hash != other.input.hash => "the input has changed",
            () if self.model != other.model => "the model is another one",
            () if own != settings::of_the_result(&other.settings) => "the settings are others",
            () if self.program != other.program => "the program has another version",
            () => "the segments are others",
        }
    }

    /// Checks that the model, and the size of the input, are those that were planned.
    pub fn check_quickly(&self, settings: &Settings) -> Result<()> {
        let path = settings.input()?;
        let file = std::fs::metadata(path).context(format_args!("cannot open {}", path.display()))?;
        if file.len() != self.input.bytes {
            return failed(format!("{} has changed since the segments were planned", path.display()));
        }
        if hash_model(settings.options(Stage::Whole)?.upscale)? != self.model {
            return failed("the model is not the one that the segments were planned for");
        }
        Ok(())
    }

    /// Also checks every byte of the input.
    pub fn check(&self, settings: &Settings) -> Result<()> {
        self.check_quickly(settings)?;
        let path = settings.input()?;
        if hash_file(path)? != self.input.hash {
            return failed(format!("{} has changed since the segments were planned", path.display()));
        }
        Ok(())
    }
}

fn check_options(options: &Options) -> Result<()> {
    let selection = options.selection;
    if selection.inverse_telecine || selection.deinterlace.is_some_and(|how| how != Deinterlace::Off) {
        return usage("segments cannot be deinterlaced: these filters need the neighbouring frames");
    }
    if options.upscale.preview || options.upscale.plan.is_some() {
        return usage("--preview and --plan are not for segments");
    }
    Ok(())
}

/// The extension of the result: as with a folder as OUT.
pub fn format_for(input: &Path, format: Option<&str>) -> String {
    let own = input.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let own = if Container::from_extension(&own).is_some() { own } else { "mkv".into() };
    format.map_or(own, str::to_ascii_lowercase)
}

fn hash_model(upscale: &Upscale) -> Result<String> {
    match Source::parse(upscale.model.as_deref().unwrap_or(Path::new(builtin::DEFAULT))) {
        Source::Builtin(builtin) => Ok(hex(xxh3_128(builtin.onnx))),
        Source::File(path) => hash_file(&path),
    }
}

/// XXH3-128 of a file: against damage and mix-ups, not against forgery.
pub fn hash_file(path: &Path) -> Result<String> {
    let what = format!("cannot read {}", path.display());
    let mut file = File::open(path).context(&what)?;
    let (mut hasher, mut bytes) = (Xxh3::default(), vec![0; 1 << 20]);
    loop {
        signals::check()?;
        match file.read(&mut bytes).context(&what)? {
            0 => return Ok(hex(hasher.digest128())),
            count => hasher.update(&bytes[..count]),
        }
    }
}

fn hash_json(value: &impl Serialize) -> Result<String> {
    Ok(hex(xxh3_128(&serde_json::to_vec(value).context("the manifest")?)))
}

pub fn load_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).context(format_args!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).context(format_args!("{} is damaged", path.display()))
}

/// Writes a file that appears under its name when it is complete and on the disk.
pub fn save_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let wrong = |error: std::io::Error| -> Failure { write_failure(path, error) };
    let folder = parent(path);
    let mut bytes = serde_json::to_vec_pretty(value).context("the manifest")?;
    bytes.push(b'\n');
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(wrong)?;
    file.write_all(&bytes).map_err(wrong)?;
    file.as_file().sync_all().map_err(wrong)?;
    file.persist(path).map_err(|error| wrong(error.error))?;
    // Not all file systems support it.
    File::open(folder).and_then(|folder| folder.sync_all()).ok();
    Ok(())
}
