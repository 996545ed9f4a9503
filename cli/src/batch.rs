//! Several files into a folder: one that fails does not stop the others.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::console::Console;
use crate::container::Container;
use crate::failure::{Context, DAMAGED, Failure, Result, failed, usage};
use crate::input::is_url;
use crate::segments;
use crate::upscale::{self, Options};

/// Extensions that count as videos or pictures in a folder, besides those that can be written.
const READ: &str =
    "3gp asf avi bmp divx dv flv jpeg jpg m2ts mjpeg mpeg mpg mts mxf ogm ogv png rm tif tiff ts vob webp wmv y4m";
/// Pictures stay pictures.
const PICTURES: [&str; 7] = ["bmp", "jpeg", "jpg", "png", "tif", "tiff", "webp"];

/// Runs one job, or one for each file.
pub fn run(options: Options, console: &Console) -> Result<ExitCode> {
    let args = options.upscale;
    let (inputs, output) = (args.inputs(), args.output());
    let ends_with_slash = output.as_os_str().as_encoded_bytes().ends_with(b"/");
    let into_folder = inputs.len() > 1 || inputs[0].is_dir() || output.is_dir() || ends_with_slash;
    if !into_folder {
        let is_damaged = run_one(options, &inputs[0], output, console)?;
        return Ok(if is_damaged { ExitCode::from(DAMAGED) } else { ExitCode::SUCCESS });
    }
    if args.plan.is_some() {
        return usage("--plan is for one file");
    }
    let names_file = Container::from_extension(&extension(output)).is_some() && !ends_with_slash;
    if !output.is_dir() && (output.exists() || names_file) {
        return usage(format!("several files need a folder as OUT: {} is not one", output.display()));
    }
    let files = list(inputs)?;
    std::fs::create_dir_all(output).context(format_args!("cannot make folder {}", output.display()))?;
    let jobs = names(&files, output, options.encoding.format.as_deref())?;
    let (mut bad, mut damaged) = (Vec::new(), 0);
    for (input, output) in &jobs {
        match run_one(options, input, output, console) {
            Ok(is_damaged) => damaged += usize::from(is_damaged),
            Err(interrupted @ Failure::Interrupted(_)) => return Err(interrupted),
            Err(failure) => {
                console.warn(&format!("{}: {failure}", input.display()));
                bad.push(failure);
            }
        }
    }
    let good = jobs.len() - bad.len();
    console.note(&format!("{good} of {} files upscaled, {damaged} of them damaged, {} failed", jobs.len(), bad.len()));
    Ok(match bad.first() {
        Some(failure) => ExitCode::from(failure.code()),
        None if damaged > 0 => ExitCode::from(DAMAGED),
        None => ExitCode::SUCCESS,
    })
}

/// Runs a job; returns whether IN is damaged.
fn run_one(options: Options, input: &Path, output: &Path, console: &Console) -> Result<bool> {
    match options.upscale.resume {
        Some(length) => segments::resume(options, length, input, output, console),
        None => upscale::run(options, input, output, console).map(|damage| damage.is_any()),
    }
}

/// Expands folders into the files in them, ordered by name.
fn list(inputs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for input in inputs {
        if !input.is_dir() {
            files.push(input.clone());
            continue;
        }
        let entries = std::fs::read_dir(input).context(format_args!("cannot read folder {}", input.display()))?;
        let mut found: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| is_media(path)).collect();
        if found.is_empty() {
            return failed(format!("there are no videos or pictures in {}", input.display()));
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

fn is_media(path: &Path) -> bool {
    let extension = extension(path);
    let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    path.is_file()
        && !is_hidden
        && (Container::from_extension(&extension).is_some() || READ.split_whitespace().any(|known| known == extension))
}

/// The output path of each file. Files that would share a name keep their extensions in it.
fn names(files: &[PathBuf], folder: &Path, format: Option<&str>) -> Result<Vec<(PathBuf, PathBuf)>> {
    let wanted = |file: &PathBuf| -> (OsString, String) {
        let extension = extension(file);
        let stem = file.file_stem().unwrap_or(file.as_os_str()).to_owned();
        let keeps = ["mp4", "m4v", "mov", "mkv", "webm", "gif", "png", "jpg", "jpeg", "webp", "avif"];
        let own = match extension.as_str() {
            own if keeps.contains(&own) => own,
            own if PICTURES.contains(&own) => "png",
            _ => "mkv",
        };
        (stem, format.unwrap_or(own).to_ascii_lowercase())
    };
    let mut taken = HashSet::new();
    let mut jobs = Vec::new();
    for file in files {
        if file.to_str().is_some_and(|text| text == "-" || is_url(text) && text.ends_with('/')) {
            return usage(format!("{} has no file name: upscale it separately, to a named OUT", file.display()));
        }
        let (stem, extension) = wanted(file);
        let shared = files.iter().filter(|other| wanted(other) == (stem.clone(), extension.clone())).count() > 1;
        let mut name = if shared { file.file_name().unwrap_or_default().to_owned() } else { stem };
        name.push(format!(".{extension}"));
        if !taken.insert(name.clone()) {
            return usage(format!("two files would become {}: upscale one of them separately", name.display()));
        }
        jobs.push((file.clone(), folder.join(name)));
    }
    Ok(jobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_and_do_not_collide() {
        let files = ["a/x.mp4", "a/y.avi", "b/z.mov", "b/z.wmv", "z.mkv"].map(PathBuf::from);
        let jobs = names(&files, Path::new("out"), None).unwrap();
        let outputs: Vec<&str> = jobs.iter().map(|(_, output)| output.to_str().unwrap()).collect();
        assert_eq!(outputs, ["out/x.mp4", "out/y.mkv", "out/z.mov", "out/z.wmv.mkv", "out/z.mkv.mkv"]);
        let twice = ["a/x.mp4", "b/x.mp4"].map(PathBuf::from);
        assert!(names(&twice, Path::new("out"), None).is_err());
        assert_eq!(names(&files[1..2], Path::new("out"), Some("webm")).unwrap()[0].1, Path::new("out/y.webm"));
    }
}
