//! Searches the folders of the plugin and the program for inference libraries.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Loads the library that the environment's `variable` names; `None` if it names none. The error ends with `advice`.
pub(super) fn load_named<T>(
    variable: &str,
    advice: &str,
    load: impl FnOnce(&Path) -> Result<T, String>,
) -> Option<Result<T, String>> {
    let path = PathBuf::from(env::var_os(variable).filter(|value| !value.is_empty())?);
    Some(load(&path).map_err(|reason| format!("{variable} is {}, but {reason}; point it at {advice}", path.display())))
}

/// Loads the first library that can be: the files called `stem` in `directories`, then `system_names`. The error holds the
/// failures worth reporting: that the system has no library of a name is usual.
pub(super) fn load_first<T>(
    directories: &[PathBuf],
    stem: &str,
    system_names: impl Iterator<Item = PathBuf>,
    load: impl Fn(&Path) -> Result<T, String>,
) -> Result<T, Vec<String>> {
    let mut failures = Vec::new();
    let files = directories.iter().flat_map(|directory| libraries_in(directory, stem));
    for candidate in files.chain(system_names) {
        match load(&candidate) {
            Ok(library) => return Ok(library),
            Err(reason) if candidate.is_absolute() || reason.contains("too old") => failures.push(reason),
            Err(_) => {}
        }
    }
    Err(failures)
}

/// Folders that may contain the library: that of the plugin, its parent (`lib` for plugins in `lib/gstreamer-1.0`),
/// that of the program, and `../lib` from there.
pub(super) fn directories() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    let plugin = own_library().and_then(|path| path.parent().map(Path::to_owned));
    let program = env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned));
    for base in [plugin, program].into_iter().flatten() {
        let above = base.parent().map(Path::to_owned);
        let lib = above.as_ref().map(|above| above.join("lib"));
        for directory in [Some(base), above, lib].into_iter().flatten() {
            if !directories.contains(&directory) {
                directories.push(directory);
            }
        }
    }
    directories
}

/// The file that contains this code: the plugin, or the program it is linked into.
#[cfg(unix)]
fn own_library() -> Option<PathBuf> {
    use std::ffi::{CStr, OsStr};
    use std::os::unix::ffi::OsStrExt;

    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    let address = own_library as *const () as *const libc::c_void;
    // SAFETY: `dladdr` accepts any address; it fills in the `Dl_info`, or returns 0 and leaves it zeroed.
    let info = unsafe { (libc::dladdr(address, info.as_mut_ptr()) != 0).then(|| info.assume_init())? };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: `dli_fname` is a C string that lives while the library is loaded, and this code is part of it.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    fs::canonicalize(OsStr::from_bytes(name.to_bytes())).ok()
}

#[cfg(not(unix))]
fn own_library() -> Option<PathBuf> {
    None
}

/// The files in `directory` that have the name of library `stem`, with or without a version, shortest name first.
fn libraries_in(directory: &Path, stem: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let is_named = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| is_library_name(name, stem))
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_named).collect();
    files.sort();
    files
}

/// `libNAME.so`, `libNAME.so.1.22.0`, `libNAME.1.dylib`, ...; not `libNAME_other.so`.
fn is_library_name(name: &str, stem: &str) -> bool {
    let rest = name.strip_prefix(env::consts::DLL_PREFIX).and_then(|rest| rest.strip_prefix(stem)?.strip_prefix('.'));
    let Some(rest) = rest else { return false };
    let extension = env::consts::DLL_EXTENSION;
    rest.split('.').all(|part| part == extension || part.bytes().all(|byte| byte.is_ascii_digit()))
        && rest.split('.').any(|part| part == extension)
}

/// Rejects a path that is not a readable file. A name without a folder is left to the system's loader.
pub(super) fn check_file(path: &Path) -> Result<(), String> {
    if path.components().count() > 1 {
        match fs::metadata(path) {
            Err(error) => return Err(format!("{} cannot be read ({error})", path.display())),
            Ok(metadata) if metadata.is_dir() => return Err(format!("{} is a directory", path.display())),
            Ok(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_library_is_recognised_by_its_name() {
        for name in ["libonnxruntime.so", "libonnxruntime.so.1", "libonnxruntime.so.1.22.0"] {
            assert!(is_library_name(name, "onnxruntime"), "{name}");
        }
        for name in [
            "libonnxruntime_providers_cuda.so",
            "onnxruntime.so",
            "libonnxruntime.a",
            "libonnxruntime.so.txt",
            "libonnxruntime.1",
        ] {
            assert!(!is_library_name(name, "onnxruntime"), "{name}");
        }
        assert!(is_library_name("libopenvino_c.so.2641", "openvino_c"));
        assert!(!is_library_name("libopenvino.so.2641", "openvino_c"));
    }

    #[test]
    #[cfg(unix)]
    fn the_plugins_own_folder_is_searched() {
        let own = own_library().unwrap();
        assert!(directories().contains(&own.parent().unwrap().to_owned()));
    }
}
