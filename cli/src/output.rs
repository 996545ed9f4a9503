//! What OUT is. The result gets a temporary name in the same folder, and is renamed when it is complete.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::container::Container;
use crate::failure::{Failure, Result, failed, usage};
use crate::input::Input;
use crate::pattern::Pattern;

/// The longest file name most file systems take, in bytes.
const MAX_NAME: usize = 255;
/// How temporary names start and end; OUT's name and random letters are in between.
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

/// What is written.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Video(Container),
    Pictures(PictureFormat),
}

/// Where it is written.
#[derive(Clone, Debug)]
pub enum Place {
    /// Standard output.
    Pipe,
    File,
    /// A file for each picture.
    Numbered(Pattern),
}

/// The result.
#[derive(Clone, Debug)]
pub struct Output {
    /// As the user wrote it.
    pub path: PathBuf,
    pub kind: Kind,
    pub place: Place,
}

impl Output {
    /// Reads OUT by its extension; `input` tells whether one picture is enough. `format` is for standard output.
    pub fn parse(path: &Path, format: Option<&str>, input: &Input) -> Result<Self> {
        let output = |kind, place| Ok(Output { path: path.to_owned(), kind, place });
        if path == Path::new("-") {
            let extension = format.unwrap_or("mkv").to_ascii_lowercase();
            return match Container::from_extension(&extension) {
                Some(container @ (Container::Mp4 | Container::Matroska | Container::WebM)) => {
                    Ok(Output { path: "standard output".into(), kind: Kind::Video(container), place: Place::Pipe })
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
            // These can also be animations.
            "webp" if single || pattern.is_some() => Some(PictureFormat::WebP),
            "avif" if single || pattern.is_some() => Some(PictureFormat::Avif),
            _ => None,
        };
        match (picture, pattern, Container::from_extension(&extension)) {
            (Some(format), _, _) if single => output(Kind::Pictures(format), Place::File),
            (Some(format), Some(pattern), _) => output(Kind::Pictures(format), Place::Numbered(pattern)),
            (Some(_), None, _) => {
                let (name, stem) = (path.display(), path.with_extension(""));
                usage(format!("{name} names one picture: number them as in {}-%05d.{extension}", stem.display()))
            }
            (None, _, Some(container)) => output(Kind::Video(container), Place::File),
            (None, _, None) => {
                let what = if extension.is_empty() { "no extension".into() } else { format!("extension .{extension}") };
                usage(format!(
                    "{} has {what}: expected .mp4, .mkv, .webm or .mov for a video, .gif, .webp or .avif for an animation, \
                     .png or .jpg for pictures",
                    path.display()
                ))
            }
        }
    }

    /// The kind of file; `None` for pictures.
    pub fn container(&self) -> Option<Container> {
        match self.kind {
            Kind::Video(container) => Some(container),
            Kind::Pictures(_) => None,
        }
    }

    /// The final path of picture `number`.
    pub fn picture(&self, number: u64) -> PathBuf {
        match &self.place {
            Place::Numbered(pattern) => pattern.path(number),
            _ => self.path.clone(),
        }
    }

    /// Checks that the result can be written, before work starts, and creates the temporary file or folder.
    pub fn claim(&self, input: &Input, overwrite: bool) -> Result<Claim> {
        let existing = match &self.place {
            Place::Pipe => None,
            Place::File if self.path.is_dir() => return usage(format!("{} is a folder", self.path.display())),
            Place::File => self.path.symlink_metadata().is_ok().then(|| self.path.clone()),
            Place::Numbered(pattern) => pattern.files().unwrap_or_default().into_iter().map(|(_, path)| path).next(),
        };
        if existing.is_some() && self.replaces(input) {
            return usage(format!("IN and OUT are the same: {}", self.path.display()));
        }
        if let Some(path) = existing.filter(|_| !overwrite) {
            return failed(format!("{} exists: add -y to replace it", path.display()));
        }
        let part = match &self.place {
            Place::Pipe => Part::Pipe,
            Place::File => Part::file(&self.path)?,
            Place::Numbered(pattern) => Part::folder(pattern.folder())?,
        };
        Ok(Claim { output: self.clone(), part, overwrite })
    }

    /// Whether the result would overwrite the input.
    fn replaces(&self, input: &Input) -> bool {
        match input {
            Input::Media(media) => is_same(&self.path, &media.name),
            Input::Pictures(_) => input.files().iter().any(|(number, path)| is_same(&self.picture(*number), path)),
        }
    }
}

/// The temporary file or folder. Removed when dropped.
enum Part {
    Pipe,
    File(tempfile::NamedTempFile),
    Folder(tempfile::TempDir, #[expect(dead_code, reason = "held")] File),
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
        let file = builder(&prefix, 0o666).tempfile_in(folder).map_err(|error| write_failure(folder, error))?;
        // The lock tells other runs that this is not a leftover. Some file systems have no locks.
        file.as_file().lock().ok();
        Ok(Part::File(file))
    }

    /// A hidden folder in `folder`, or where `folder` will be made.
    fn folder(folder: &Path) -> Result<Self> {
        let place = folder.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
        let prefix = prefix(Path::new("pictures"));
        remove_stale(place, &prefix);
        let wrong = |error| write_failure(place, error);
        let made = builder(&prefix, 0o777).tempdir_in(place).map_err(wrong)?;
        let lock = File::open(made.path()).map_err(wrong)?;
        lock.lock().ok();
        Ok(Part::Folder(made, lock))
    }
}

fn prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!("{PREFIX}{name}.");
    // Leaves room for the random letters.
    if prefix.len() + SUFFIX.len() + 8 > MAX_NAME { format!("{PREFIX}gst-upscale.") } else { prefix }
}

/// `mode` is subject to the user's umask, as for any new file.
fn builder(prefix: &str, mode: u32) -> tempfile::Builder<'_, '_> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).suffix(SUFFIX).permissions(std::fs::Permissions::from_mode(mode));
    builder
}

/// Removes leftovers of killed runs: nobody holds their lock.
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

/// A temporary place for the result, removed unless [`Claim::finish`] is called.
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
            Part::File(file) => Some(file.path()),
            Part::Folder(folder, _) => Some(folder.path()),
        }
    }

    /// The temporary path of picture `number`.
    pub fn picture(&self, number: u64) -> PathBuf {
        let path = self.file().unwrap_or(Path::new("-"));
        match &self.output.place {
            Place::Numbered(pattern) => path.join(pattern.name(number)),
            _ => path.to_owned(),
        }
    }

    /// The final path of picture `number`.
    pub fn final_picture(&self, number: u64) -> PathBuf {
        self.output.picture(number)
    }

    /// Flushes the result to disk and gives it its final name. Returns its size in bytes, and possibly a remark.
    pub fn finish(self) -> Result<(u64, Option<String>)> {
        let path = &self.output.path;
        let wrong = |error: io::Error| write_failure(path, error);
        match (&self.output.place, self.part) {
            (Place::Numbered(pattern), Part::Folder(folder, _)) => {
                let before = pattern.files().unwrap_or_default();
                let (size, written) = move_pictures(folder.path(), pattern).map_err(wrong)?;
                let left = before.iter().filter(|(number, _)| written.binary_search(number).is_err()).count();
                let remark = format!("{left} older pictures in {} were left", pattern.folder().display());
                Ok((size, (left > 0).then_some(remark)))
            }
            (_, Part::File(file)) => {
                file.as_file().sync_all().map_err(wrong)?;
                let size = file.as_file().metadata().map_err(wrong)?.len();
                let persist = if self.overwrite { file.persist(path) } else { file.persist_noclobber(path) };
                persist.map_err(|failure| match failure.error.kind() {
                    ErrorKind::AlreadyExists => {
                        Failure::Failed(format!("{} was created while this ran: nothing was replaced", path.display()))
                    }
                    _ => wrong(failure.error),
                })?;
                // Flushes the rename; not all file systems support it.
                File::open(parent(path)).and_then(|folder| folder.sync_all()).ok();
                Ok((size, None))
            }
            _ => Ok((0, None)),
        }
    }
}

/// Moves the pictures out of the temporary folder, in order. Returns their size and their numbers.
fn move_pictures(part: &Path, pattern: &Pattern) -> io::Result<(u64, Vec<u64>)> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(part)? {
        numbers.extend(entry?.file_name().to_str().and_then(|name| pattern.number(name)));
    }
    numbers.sort_unstable();
    std::fs::create_dir_all(pattern.folder())?;
    let mut size = 0;
    for number in &numbers {
        let from = part.join(pattern.name(*number));
        let file = File::open(&from)?;
        file.sync_all()?;
        size += file.metadata()?.len();
        std::fs::rename(&from, pattern.path(*number))?;
    }
    Ok((size, numbers))
}

/// Describes a failed write.
pub fn write_failure(path: &Path, error: impl Into<io::Error>) -> Failure {
    let (path, error) = (path.display(), error.into());
    if error.kind() == ErrorKind::StorageFull {
        return Failure::Failed(format!("no space left for {path}: make room or choose another folder"));
    }
    Failure::Failed(format!("cannot write to {path}: {error}"))
}

/// The folder a file is in.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether two paths lead to the same file, also through links.
pub fn is_same(a: &Path, b: &Path) -> bool {
    same_file::is_same_file(a, b).unwrap_or(false)
}

#[cfg(test)]
mod tests;
