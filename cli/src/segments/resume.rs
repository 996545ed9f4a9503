//! `--resume`: the segments are kept beside OUT until it is complete.

use std::path::{Path, PathBuf};

use super::folder::{self, Folder};
use super::join;
use super::manifest::{Manifest, format_for};
use super::settings::Settings;
use crate::console::Console;
use crate::failure::{Context, Failure, Result};
use crate::output::{parent, write_failure};
use crate::upscale::Options;

/// The lock of a run.
pub const LOCK: &str = "run.lock";

/// The folder for a result.
fn folder_of(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".segments");
    parent(output).join(name)
}

/// Upscales IN to OUT in segments; those that an earlier run has finished are used again. Returns whether IN is damaged.
pub fn run(options: Options, length: f64, input: &Path, output: &Path, console: &Console) -> Result<bool> {
    let (source, target, claim) = join::claim(input, output, options.upscale)?;
    let path = folder_of(output);
    let format = format_for(output, None);
    let given = options.upscale.settings.clone();
    let planned = Manifest::plan(options, input, &format, length, given, console)?;
    std::fs::create_dir_all(&path).map_err(|error| write_failure(&path, error))?;
    let lock = folder::lock(&path.join(LOCK), &path.display().to_string(), console)?;
    let (folder, why) = Folder::create_or_empty(&path, planned)?;
    if let Some(why) = why {
        console.warn(&format!("{}: starting anew, because {why}", path.display()));
    }
    let settings = Settings::parse(&folder.manifest, None, None, console.is_quiet())?;
    let parts = folder.manifest.segments.len();
    for number in 0..parts {
        let done = folder.run(number, &settings, console);
        if matches!(done, Err(Failure::Interrupted(_))) {
            console.note(&format!("{number} of {parts} segments are kept: --resume goes on from there"));
        }
        done?;
    }
    let is_damaged = join::join(&folder, &settings, &source, &target, claim, console)?;
    folder.clear()?;
    drop(lock);
    std::fs::remove_dir_all(&path).context(format_args!("cannot remove {}", path.display()))?;
    Ok(is_damaged)
}
