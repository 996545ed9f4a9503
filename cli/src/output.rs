//! What OUT is. It is written under a temporary name in the same folder and renamed when it is complete.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use crate::container::Container;
use crate::failure::{Failure, Result, failed, usage};
use crate::input::Input;
use crate::pattern::Pattern;
use crate::signals::Unfinished;

/// With less free space than this (bytes) no result worth having fits.
const MIN_FREE: u64 = 1 << 20;
/// The longest file name most file systems take, in bytes.
const MAX_NAME: usize = 255;
/// How temporary names begin and end. What stands between is OUT's name, and letters that make it unique.
const PREFIX: &str = ".";
const SUFFIX: &str = ".gst-upscale-part";

/// How a picture is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFormat {
    Png,
    Jpeg,
    WebP,
    Avif,
}

/// Where the result goes.
#[derive(Clone, Debug)]
pub enum Output {
    Video {
        path: PathBuf,
        container: Container,
    },
    /// Standard output.
    Pipe {
        container: Container,
    },
    Pictures {
        path: PathBuf,
        pattern: Pattern,
        format: PictureFormat,
    },
    Picture {
        path: PathBuf,
        format: PictureFormat,
    },
}

impl Output {
    /// Reads OUT by its extension; `input` tells whether one picture is enough. `format` is for standard output.
    pub fn parse(path: &Path, format: Option<&str>, input: &Input) -> Result<Self> {
        if path == Path::new("-") {
            let extension = format.unwrap_or("mkv").to_ascii_lowercase();
            return match Container::from_extension(&extension) {
                Some(container @ (Container::Mp4 | Container::Matroska | Container::WebM)) => {
                    Ok(Output::Pipe { container })
                }
                _ => usage(format!("standard output takes --format mkv, webm or mp4, not {extension}")),
            };
        }
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("").to_ascii_lowercase();
        let single = matches!(input, Input::Pictures(pictures) if !pictures.numbered);
        let pattern = Pattern::parse(path);
        let picture = match extension.as_str() {
            "png" => Some(PictureFormat::Png),
            "jpg" | "jpeg" => Some(PictureFormat::Jpeg),
            // These hold pictures that move, too.
            "webp" if single || pattern.is_some() => Some(PictureFormat::WebP),
            "avif" if single || pattern.is_some() => Some(PictureFormat::Avif),
            _ => None,
        };
        match (picture, Container::from_extension(&extension)) {
            (Some(format), _) if single => Ok(Output::Picture { path: path.to_owned(), format }),
            (Some(format), _) => match pattern {
                Some(pattern) => Ok(Output::Pictures { path: path.to_owned(), pattern, format }),
                None => {
                    let (name, stem) = (path.display(), path.with_extension(""));
                    usage(format!("{name} names one picture: number them as in {}-%05d.{extension}", stem.display()))
                }
            },
            (None, Some(container)) => Ok(Output::Video { path: path.to_owned(), container }),
            (None, None) => {
                let what = if extension.is_empty() { "no extension".into() } else { format!("extension .{extension}") };
                usage(format!(
                    "{} has {what}: expected .mp4, .mkv, .webm or .mov for a video, .gif, .webp or .avif for an animation, \
                     .png or .jpg for pictures",
                    path.display()
                ))
            }
        }
    }

    /// As the user wrote it.
    pub fn path(&self) -> &Path {
        match self {
            Output::Video { path, .. } | Output::Pictures { path, .. } | Output::Picture { path, .. } => path,
            Output::Pipe { .. } => Path::new("standard output"),
        }
    }

    /// The kind of file; `None` for pictures.
    pub fn container(&self) -> Option<Container> {
        match self {
            Output::Video { container, .. } | Output::Pipe { container } => Some(*container),
            Output::Pictures { .. } | Output::Picture { .. } => None,
        }
    }

    /// Makes sure that the result may and can be written, before any work is done, and opens its temporary place.
    pub fn claim(&self, input: &Input, overwrite: bool) -> Result<Claim> {
        self.check_not_input(input)?;
        let overwrite = self.check_existing(overwrite)?;
        let (part, folder) = match self {
            Output::Pipe { .. } => (Part::Pipe, None),
            Output::Video { path, .. } | Output::Picture { path, .. } => (Part::file(path)?, Some(parent(path))),
            Output::Pictures { pattern, .. } => (Part::folder(pattern)?, Some(pattern.folder())),
        };
        match folder.and_then(|folder| Some((folder, free_space(folder)?))) {
            Some((folder, free)) if free < MIN_FREE => failed(format!(
                "{} is full ({} free): make room or choose another folder for OUT",
                folder.display(),
                indicatif::HumanBytes(free)
            )),
            _ => Ok(Claim { output: self.clone(), part, overwrite }),
        }
    }

    /// Writing over what is being read would destroy it.
    fn check_not_input(&self, input: &Input) -> Result<()> {
        let same = match (self, input) {
            (Output::Video { path, .. } | Output::Picture { path, .. }, Input::Media(media)) => {
                same_file(path, &media.name)
            }
            (Output::Pictures { pattern, .. }, Input::Pictures(pictures)) => {
                pictures.files.iter().any(|(number, source)| same_file(&pattern.path(*number), source))
            }
            (Output::Video { path, .. } | Output::Picture { path, .. }, Input::Pictures(pictures)) => {
                pictures.files.iter().any(|(_, source)| same_file(path, source))
            }
            (Output::Pictures { .. }, Input::Media(_)) | (Output::Pipe { .. }, _) => false,
        };
        if same { usage(format!("IN and OUT are the same: {}", self.path().display())) } else { Ok(()) }
    }

    /// Whether what is there may be replaced: by `-y`, or because the user says so.
    fn check_existing(&self, overwrite: bool) -> Result<bool> {
        let existing = match self {
            Output::Pipe { .. } => None,
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

/// The temporary place of a result. Removed when dropped.
enum Part {
    Pipe,
    File { file: tempfile::NamedTempFile, _unfinished: Unfinished },
    Folder { folder: tempfile::TempDir, _lock: File, made: MadeFolders, _unfinished: Unfinished },
}

impl Part {
    /// A hidden file in the folder of `path`. Creating it also proves that the folder is writable.
    fn file(path: &Path) -> Result<Self> {
        let folder = parent(path);
        if !folder.is_dir() {
            return failed(format!("folder {} does not exist: make it first", folder.display()));
        }
        let prefix = prefix(path);
        remove_stale(folder, &prefix);
        let wrong = |error: std::io::Error| cannot_write(folder, &error);
        let file = builder(&prefix, 0o666).tempfile_in(folder).map_err(wrong)?;
        // Held as long as we live: by that others see that it is no leftover. Some file systems have no locks.
        file.as_file().lock().ok();
        let _unfinished = Unfinished::new(file.path());
        Ok(Part::File { file, _unfinished })
    }

    fn folder(pattern: &Pattern) -> Result<Self> {
        let made = MadeFolders::create(pattern.folder())?;
        let prefix = prefix(Path::new("pictures"));
        remove_stale(pattern.folder(), &prefix);
        let wrong = |error: std::io::Error| cannot_write(pattern.folder(), &error);
        let folder = builder(&prefix, 0o777).tempdir_in(pattern.folder()).map_err(wrong)?;
        let lock = File::open(folder.path()).map_err(wrong)?;
        lock.lock().ok();
        let _unfinished = Unfinished::new(folder.path());
        Ok(Part::Folder { folder, _lock: lock, made, _unfinished })
    }
}

fn prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!("{PREFIX}{name}.");
    // Room for the letters that make it unique.
    if prefix.len() + SUFFIX.len() + 8 > MAX_NAME { format!("{PREFIX}gst-upscale.") } else { prefix }
}

/// `mode` is what the user's mask takes from, as with any other new file.
fn builder(prefix: &str, mode: u32) -> tempfile::Builder<'_, '_> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).suffix(SUFFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    builder
}

/// Removes what runs left that were killed: nobody holds its lock.
fn remove_stale(folder: &Path, prefix: &str) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_part = name.to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(SUFFIX));
        let path = entry.path();
        if is_part && File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) }.ok();
        }
    }
}

/// A place for the result that is removed again unless [`Claim::finish`] is reached.
pub struct Claim {
    output: Output,
    part: Part,
    overwrite: bool,
}

impl Claim {
    /// The temporary path of the file; `None` is standard output.
    pub fn file(&self) -> Option<&Path> {
        match &self.part {
            Part::Pipe => None,
            Part::File { file, .. } => Some(file.path()),
            Part::Folder { folder, .. } => Some(folder.path()),
        }
    }

    /// The temporary path of picture `number`.
    pub fn picture(&self, number: u64) -> PathBuf {
        let path = self.file().unwrap_or(Path::new("-"));
        match &self.output {
            Output::Pictures { pattern, .. } => path.join(pattern.name(number)),
            _ => path.to_owned(),
        }
    }

    /// What picture `number` will be called.
    pub fn final_picture(&self, number: u64) -> PathBuf {
        match &self.output {
            Output::Pictures { pattern, .. } => pattern.path(number),
            output => output.path().to_owned(),
        }
    }

    /// Gives the result its final name, once it is safe on the disk. Returns its size in bytes, and a remark if there is one to make.
    pub fn finish(self) -> Result<(u64, Option<String>)> {
        match (&self.output, self.part) {
            (Output::Pictures { pattern, .. }, Part::Folder { folder, made, .. }) => {
                let before: Vec<u64> = pattern.files().unwrap_or_default().iter().map(|(number, _)| *number).collect();
                let (size, written) = move_pictures(folder.path(), pattern)?;
                let left = before.iter().filter(|number| written.binary_search(number).is_err()).count();
                let remark =
                    (left > 0).then(|| format!("{left} older pictures in {} were left", pattern.folder().display()));
                made.keep();
                Ok((size, remark))
            }
            (output, Part::File { file, .. }) => {
                let path = output.path();
                let error = |error: &std::io::Error| cannot_write(path, error);
                file.as_file().sync_all().map_err(|e| error(&e))?;
                let size = file.as_file().metadata().map_or(0, |metadata| metadata.len());
                if self.overwrite {
                    file.persist(path).map_err(|failure| error(&failure.error))?;
                } else {
                    file.persist_noclobber(path).map_err(|failure| match failure.error.kind() {
                        std::io::ErrorKind::AlreadyExists => Failure::Failed(format!(
                            "{} was created while this ran: nothing was replaced",
                            path.display()
                        )),
                        _ => error(&failure.error),
                    })?;
                }
                // The name is part of the folder; some file systems cannot be asked for it.
                File::open(parent(path)).and_then(|folder| folder.sync_all()).ok();
                Ok((size, None))
            }
            _ => Ok((0, None)),
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
        let file = File::open(&from).map_err(error)?;
        file.sync_all().map_err(error)?;
        size += file.metadata().map_or(0, |metadata| metadata.len());
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

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return Failure::Failed(format!("no space left for {}: make room or choose another folder", path.display()));
    }
    Failure::Failed(format!("cannot write to {}: {error}", path.display()))
}

/// The folder a file is in.
pub fn parent(path: &Path) -> &Path {
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

/// Asks whether to replace `path`. Without a terminal the answer is no.
fn confirm(path: &Path) -> Result<bool> {
    let refusal = || failed(format!("{} exists: add -y to replace it", path.display()));
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return refusal();
    }
    let mut stderr = std::io::stderr();
    write!(stderr, "{} exists. Replace it? [y/N] ", path.display()).ok();
    stderr.flush().ok();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).ok();
    crate::signals::check()?;
    if matches!(answer.trim(), "y" | "Y" | "yes" | "Yes") { Ok(true) } else { refusal() }
}

/// Bytes that may still be written to the file system `folder` is on; `None` if unknown.
fn free_space(folder: &Path) -> Option<u64> {
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
mod tests;
