//! What OUT is, and how it comes into being: under a temporary name beside its place, renamed when it is whole.

use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use crate::container::Container;
use crate::failure::{Failure, Result, failed, usage};
use crate::input::Input;
use crate::interrupt::Unfinished;
use crate::pattern::Pattern;

/// With less free space than this (bytes) no result worth having fits.
const MIN_FREE: u64 = 16 << 20;
/// The longest file name most file systems take, in bytes.
const MAX_NAME: usize = 255;

/// How a picture is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFormat {
    Png,
    Jpeg,
}

/// Where the result goes.
#[derive(Clone, Debug)]
pub enum Output {
    Video { path: PathBuf, container: Container },
    Pictures { path: PathBuf, pattern: Pattern, format: PictureFormat },
    Picture { path: PathBuf, format: PictureFormat },
}

impl Output {
    /// Reads OUT by its extension; `input` tells whether one picture is enough.
    pub fn parse(path: &Path, input: &Input) -> Result<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("").to_ascii_lowercase();
        if let Some(container) = Container::from_extension(&extension) {
            return Ok(Output::Video { path: path.to_owned(), container });
        }
        let format = match extension.as_str() {
            "png" => PictureFormat::Png,
            "jpg" | "jpeg" => PictureFormat::Jpeg,
            _ => {
                let what = if extension.is_empty() { "no extension".into() } else { format!("extension .{extension}") };
                return usage(format!(
                    "{} has {what}: expected .mp4, .mkv, .webm or .mov for a video, .png or .jpg for pictures",
                    path.display()
                ));
            }
        };
        let single = matches!(input, Input::Pictures(pictures) if !pictures.numbered);
        match Pattern::parse(path) {
            _ if single => Ok(Output::Picture { path: path.to_owned(), format }),
            Some(pattern) => Ok(Output::Pictures { path: path.to_owned(), pattern, format }),
            None => {
                let stem = path.with_extension("");
                usage(format!(
                    "{} names one picture: number them as in {}-%05d.{extension}",
                    path.display(),
                    stem.display()
                ))
            }
        }
    }

    /// As the user wrote it.
    pub fn path(&self) -> &Path {
        match self {
            Output::Video { path, .. } | Output::Pictures { path, .. } | Output::Picture { path, .. } => path,
        }
    }

    /// The folder the result is put into.
    pub fn folder(&self) -> &Path {
        match self {
            Output::Video { path, .. } | Output::Picture { path, .. } => parent(path),
            Output::Pictures { pattern, .. } => pattern.folder(),
        }
    }

    /// Makes sure that the result may and can be written, before any work is done, and opens its temporary place.
    pub fn claim(&self, input: &Input, overwrite: bool) -> Result<Claim> {
        self.check_not_input(input)?;
        let overwrite = self.check_existing(overwrite)?;
        let claim = match self {
            Output::Video { path, .. } | Output::Picture { path, .. } => {
                Claim { output: self.clone(), part: create_part_file(path)?, overwrite, made: MadeFolders::default() }
            }
            Output::Pictures { pattern, .. } => {
                let made = MadeFolders::create(pattern.folder())?;
                let path = pattern.folder().join(format!(".part-{}", std::process::id()));
                std::fs::create_dir(&path).map_err(|error| cannot_write(pattern.folder(), &error))?;
                Claim { output: self.clone(), part: Unfinished::new(path), overwrite, made }
            }
        };
        match free_space(self.folder()) {
            Some(free) if free < MIN_FREE => failed(format!(
                "{} is full ({} free): make room or choose another folder for OUT",
                self.folder().display(),
                indicatif::HumanBytes(free)
            )),
            _ => Ok(claim),
        }
    }

    /// Writing over what is being read would destroy it.
    fn check_not_input(&self, input: &Input) -> Result<()> {
        let same = match (self, input) {
            (Output::Video { path, .. } | Output::Picture { path, .. }, Input::File(source)) => same_file(path, source),
            (Output::Pictures { pattern, .. }, Input::Pictures(pictures)) => {
                pictures.files.iter().any(|(number, source)| same_file(&pattern.path(*number), source))
            }
            (Output::Video { path, .. } | Output::Picture { path, .. }, Input::Pictures(pictures)) => {
                pictures.files.iter().any(|(_, source)| same_file(path, source))
            }
            (Output::Pictures { .. }, Input::File(_)) => false,
        };
        if same { usage(format!("IN and OUT are the same: {}", self.path().display())) } else { Ok(()) }
    }

    /// Whether what is there may be replaced: by `-y`, or because the user says so.
    fn check_existing(&self, overwrite: bool) -> Result<bool> {
        let existing = match self {
            Output::Video { path, .. } | Output::Picture { path, .. } => {
                if path.is_dir() {
                    return usage(format!("{} is a folder", path.display()));
                }
                path.symlink_metadata().is_ok().then(|| path.clone())
            }
            Output::Pictures { pattern, .. } => {
                pattern.files().unwrap_or_default().first().map(|(_, path)| path.clone())
            }
        };
        match existing {
            Some(path) if !overwrite => confirm(&path),
            _ => Ok(overwrite),
        }
    }
}

/// A place for the result that is removed again unless [`Claim::finish`] is reached.
pub struct Claim {
    output: Output,
    part: Unfinished,
    overwrite: bool,
    made: MadeFolders,
}

impl Claim {
    /// The temporary file; for numbered pictures the temporary folder.
    pub fn part(&self) -> &Path {
        self.part.path()
    }

    /// Where picture `number` is to be written now.
    pub fn part_of(&self, number: u64) -> PathBuf {
        match &self.output {
            Output::Pictures { pattern, .. } => self.part().join(pattern.name(number)),
            Output::Video { .. } | Output::Picture { .. } => self.part().to_owned(),
        }
    }

    /// Gives the result its final name. Returns its size in bytes, and a remark if there is one to make.
    pub fn finish(self) -> Result<(u64, Option<String>)> {
        match &self.output {
            Output::Video { path, .. } | Output::Picture { path, .. } => {
                if !self.overwrite && path.symlink_metadata().is_ok() {
                    return failed(format!("{} appeared meanwhile: nothing was replaced", path.display()));
                }
                let size = self.part().metadata().map(|metadata| metadata.len()).unwrap_or(0);
                std::fs::rename(self.part(), path).map_err(|error| cannot_write(path, &error))?;
                self.part.keep();
                Ok((size, None))
            }
            Output::Pictures { pattern, .. } => {
                let before: Vec<u64> = pattern.files().unwrap_or_default().iter().map(|(number, _)| *number).collect();
                let (size, written) = move_pictures(self.part(), pattern)?;
                let left = before.iter().filter(|number| written.binary_search(number).is_err()).count();
                let remark =
                    (left > 0).then(|| format!("{left} older pictures in {} were left", pattern.folder().display()));
                self.made.keep();
                Ok((size, remark))
            }
        }
    }
}

/// Moves the pictures out of the temporary folder, in order. Returns their size and their numbers.
fn move_pictures(part: &Path, pattern: &Pattern) -> Result<(u64, Vec<u64>)> {
    let error = |error: std::io::Error| cannot_write(pattern.folder(), &error);
    let mut names: Vec<(u64, String)> = Vec::new();
    for entry in std::fs::read_dir(part).map_err(error)? {
        let name = entry.map_err(error)?.file_name();
        if let Some((name, number)) = name.to_str().and_then(|name| Some((name, pattern.number(name)?))) {
            names.push((number, name.to_owned()));
        }
    }
    names.sort_unstable();
    let mut size = 0;
    for (number, name) in &names {
        let from = part.join(name);
        size += from.metadata().map(|metadata| metadata.len()).unwrap_or(0);
        std::fs::rename(&from, pattern.path(*number)).map_err(error)?;
    }
    Ok((size, names.into_iter().map(|(number, _)| number).collect()))
}

/// Folders that this run made: removed again if nothing was put into them.
#[derive(Debug, Default)]
struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    fn create(folder: &Path) -> Result<Self> {
        let missing: Vec<PathBuf> = folder
            .ancestors()
            .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
            .map(Path::to_path_buf)
            .collect();
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::Failed(format!("cannot make folder {}: {error}", folder.display())))?;
        Ok(MadeFolders(missing))
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        for folder in &self.0 {
            // A folder that somebody else put something into stays, and that is as it should be.
            std::fs::remove_dir(folder).ok();
        }
    }
}

/// Creates the temporary file beside `path`, hidden. That it can be created shows that the folder can be written.
fn create_part_file(path: &Path) -> Result<Unfinished> {
    let folder = parent(path);
    if !folder.is_dir() {
        return failed(format!("folder {} does not exist: make it first", folder.display()));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let pid = std::process::id();
    let mut part = format!(".{name}.part-{pid}");
    if part.len() > MAX_NAME {
        part = format!(".gst-upscale.part-{pid}");
    }
    let part = folder.join(part);
    match OpenOptions::new().write(true).create(true).truncate(true).open(&part) {
        Ok(_) => Ok(Unfinished::new(part)),
        Err(error) => Err(cannot_write(folder, &error)),
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot write to {}: {error}", path.display()))
}

/// The folder a file is in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether two paths lead to the same file, through links too.
pub fn same_file(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if let (Ok(a), Ok(b)) = (a.metadata(), b.metadata()) {
            return (a.dev(), a.ino()) == (b.dev(), b.ino());
        }
    }
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Asks whether `path` is to be replaced; where nobody can be asked the answer is no.
fn confirm(path: &Path) -> Result<bool> {
    let refusal = || failed(format!("{} exists: add -y to replace it", path.display()));
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return refusal();
    }
    eprint!("{} exists. Replace it? [y/N] ", path.display());
    std::io::stderr().flush().ok();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).ok();
    crate::interrupt::check()?;
    if matches!(answer.trim(), "y" | "Y" | "yes" | "Yes") { Ok(true) } else { refusal() }
}

/// Bytes that may still be written to the file system `folder` is on; `None` where that cannot be found out.
pub fn free_space(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let stat = nix::sys::statvfs::statvfs(folder).ok()?;
        Some((stat.blocks_available() as u64).saturating_mul(stat.fragment_size() as u64))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &Path) -> Input {
        std::fs::write(path, b"video").unwrap();
        Input::File(path.to_owned())
    }

    #[test]
    fn out_is_read_by_its_extension() {
        let input = Input::File("in.mp4".into());
        let parse = |path: &str| Output::parse(Path::new(path), &input);
        assert!(matches!(parse("a.MP4"), Ok(Output::Video { container: Container::Mp4, .. })));
        assert!(matches!(parse("out/%05d.jpeg"), Ok(Output::Pictures { format: PictureFormat::Jpeg, .. })));
        for path in ["a", "a.avi", "a.png", "a%s.png"] {
            assert!(matches!(parse(path), Err(Failure::Usage(_))), "{path}");
        }
    }

    #[test]
    fn nothing_is_left_unless_the_run_finishes() {
        let folder = tempfile::tempdir().unwrap();
        let input = file(&folder.path().join("in.mp4"));
        for out in ["out.mp4", "a/b/%03d.png"] {
            let output = Output::parse(&folder.path().join(out), &input).unwrap();
            let claim = output.claim(&input, false).unwrap();
            assert!(claim.part().exists());
            std::fs::write(claim.part_of(1), b"x").unwrap();
            drop(claim);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{out}");
        }
    }

    #[test]
    fn a_finished_run_has_its_final_name() {
        let folder = tempfile::tempdir().unwrap();
        let input = file(&folder.path().join("in.mp4"));
        for (out, expected) in [("out.mp4", "out.mp4"), ("o/%03d.png", "o/001.png")] {
            let output = Output::parse(&folder.path().join(out), &input).unwrap();
            let claim = output.claim(&input, false).unwrap();
            std::fs::write(claim.part_of(1), b"abc").unwrap();
            assert_eq!(claim.finish().unwrap(), (3, None));
            assert_eq!(std::fs::read(folder.path().join(expected)).unwrap(), b"abc");
        }
    }

    #[test]
    fn what_exists_is_not_replaced_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let input = file(&folder.path().join("in.mp4"));
        std::fs::write(folder.path().join("out.mp4"), b"old").unwrap();
        let output = Output::parse(&folder.path().join("out.mp4"), &input).unwrap();
        if !std::io::stdin().is_terminal() {
            let refused = output.claim(&input, false).err().unwrap();
            assert!(refused.to_string().contains("add -y"));
        }
        let claim = output.claim(&input, true).unwrap();
        std::fs::write(claim.part(), b"new").unwrap();
        assert_eq!(std::fs::read(folder.path().join("out.mp4")).unwrap(), b"old");
        claim.finish().unwrap();
        assert_eq!(std::fs::read(folder.path().join("out.mp4")).unwrap(), b"new");
    }

    #[test]
    fn in_and_out_may_not_be_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let input = file(&folder.path().join("in.mp4"));
        let link = folder.path().join("link.mp4");
        std::os::unix::fs::symlink(folder.path().join("in.mp4"), &link).unwrap();
        for path in [folder.path().join("in.mp4"), folder.path().join(".").join("in.mp4"), link] {
            let output = Output::parse(&path, &input).unwrap();
            assert!(matches!(output.claim(&input, true), Err(Failure::Usage(_))), "{}", path.display());
        }
    }

    #[test]
    fn a_name_of_full_length_has_a_temporary_name_too() {
        let folder = tempfile::tempdir().unwrap();
        let input = file(&folder.path().join("in.mp4"));
        let output = Output::parse(&folder.path().join(format!("{}.mp4", "x".repeat(251))), &input).unwrap();
        output.claim(&input, false).unwrap().finish().unwrap();
    }
}
