//! Numbered picture names: `in/%05d.png`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A path whose file name holds one number, written as C's `printf` does: `%d`, `%5d` padded with blanks, `%05d` padded
/// with zeros; `%%` is a percent sign. Folder names are taken as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    folder: PathBuf,
    prefix: String,
    width: usize,
    zeros: bool,
    suffix: String,
}

impl Pattern {
    /// Reads a path; `None` if its file name holds no number, or more than one.
    pub fn parse(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let mut before = String::new();
        let mut number = None;
        let mut rest = name;
        while let Some(at) = rest.find('%') {
            before.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                before.push('%');
                rest = after;
                continue;
            }
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (format, after) = rest.split_at(digits);
            let after = after.strip_prefix('d')?;
            if number.is_some() {
                return None;
            }
            let zeros = format.starts_with('0');
            let width = if format.is_empty() { 0 } else { format.parse().ok().filter(|&width| width <= 20)? };
            number = Some((std::mem::take(&mut before), width, zeros));
            rest = after;
        }
        before.push_str(rest);
        let (prefix, width, zeros) = number?;
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Some(Pattern { folder, prefix, width, zeros, suffix: before })
    }

    /// The folder the pictures are in.
    pub fn folder(&self) -> &Path {
        if self.folder.as_os_str().is_empty() { Path::new(".") } else { &self.folder }
    }

    /// The file name of picture `number`.
    pub fn name(&self, number: u64) -> String {
        let Pattern { prefix, width, suffix, .. } = self;
        if self.zeros {
            format!("{prefix}{number:0width$}{suffix}")
        } else {
            format!("{prefix}{number:width$}{suffix}")
        }
    }

    /// The path of picture `number`, relative if the pattern is.
    pub fn path(&self, number: u64) -> PathBuf {
        self.folder.join(self.name(number))
    }

    /// The number in a file name, if the pattern would write it so.
    pub fn number(&self, name: &str) -> Option<u64> {
        let digits = name.strip_prefix(self.prefix.as_str())?.strip_suffix(self.suffix.as_str())?;
        let number = digits.trim_start_matches(' ').parse().ok()?;
        (self.name(number) == name).then_some(number)
    }

    /// The pictures that are there, in order of their numbers.
    pub fn files(&self) -> std::io::Result<Vec<(u64, PathBuf)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(self.folder())? {
            let name: OsString = entry?.file_name();
            if let Some(number) = name.to_str().and_then(|name| self.number(name)) {
                files.push((number, self.path(number)));
            }
        }
        files.sort_unstable();
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(path: &str) -> Option<Pattern> {
        Pattern::parse(Path::new(path))
    }

    #[test]
    fn numbers_are_written_as_printf_does() {
        for (text, expected) in [
            ("out/%05d.png", "out/00042.png"),
            ("%d.jpg", "42.jpg"),
            ("a %4d b.png", "a   42 b.png"),
            ("50%% of %03d.png", "50% of 042.png"),
            ("100%d/x%02d.png", "100%d/x42.png"),
        ] {
            assert_eq!(pattern(text).unwrap().path(42), Path::new(expected), "{text}");
        }
    }

    #[test]
    fn names_without_one_number_are_no_pattern() {
        for text in ["a.png", "100%.png", "%s.png", "%d-%d.png", "%%d.png", "%99999999999999999999d.png", "%d/a.png"] {
            assert_eq!(pattern(text), None, "{text}");
        }
    }

    #[test]
    fn only_names_the_pattern_would_write_match() {
        let pattern = pattern("in/f%03d.png").unwrap();
        assert_eq!(pattern.number("f007.png"), Some(7));
        assert_eq!(pattern.number("f1234.png"), Some(1234));
        for name in ["f07.png", "f0007.png", "f007.jpg", "g007.png", "f+07.png", "f.png", "f-07.png"] {
            assert_eq!(pattern.number(name), None, "{name}");
        }
    }

    #[test]
    fn files_come_in_the_order_of_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["10.png", "9.png", "1.png", "01.png", "x.png"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let files = Pattern::parse(&folder.path().join("%d.png")).unwrap().files().unwrap();
        assert_eq!(files.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 9, 10]);
    }
}
