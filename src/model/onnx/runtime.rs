//! Finds and loads ONNX Runtime's shared library, once for the whole process.
//!
//! Nothing is linked: one build of the plugin runs on whichever ONNX Runtime from 1.22 on it finds.

use std::env;
use std::ffi::{OsString, c_int};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libloading::Library;
use once_cell::sync::OnceCell;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::{AsPointer, LoadDynamicError};

use crate::model::{ModelError, log};

/// Names one library, and no other is then tried.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The names by which the system's loader knows the library, best first.
const NAMES: &[&str] = if cfg!(windows) {
    &["onnxruntime.dll"]
} else if cfg!(target_vendor = "apple") {
    &["libonnxruntime.dylib", "libonnxruntime.1.dylib"]
} else {
    &["libonnxruntime.so.1", "libonnxruntime.so"]
};

/// `OrtSessionOptionsAppendExecutionProvider_CPU` of cpu_provider_factory.h: options, whether to use the arena.
type AppendCpu = unsafe extern "C" fn(*mut ort::sys::OrtSessionOptions, c_int) -> ort::sys::OrtStatusPtr;

/// The library, loaded and started.
pub(super) struct Runtime {
    pub environment: Environment,
    /// Where it was loaded from, or only its name where the system's loader found it.
    pub path: PathBuf,
    append_cpu: Option<AppendCpu>,
    /// Keeps the address of `append_cpu` valid.
    _library: Library,
}

impl Runtime {
    /// Settings of a session, none of them made yet.
    pub(super) fn builder(&self) -> ort::Result<SessionBuilder> {
        Session::builder(&self.environment)
    }

    /// Makes sessions of `builder` run on the CPU, and on nothing else.
    ///
    /// `ort` gives each builder a policy by which ONNX Runtime chooses a provider where none is asked for. It may choose another
    /// than the CPU, and where it finds no device at all ONNX Runtime 1.22 aborts the process. A provider that is asked for
    /// overrides the policy; but of the CPU's there is no call in the table of functions that `ort` uses, only an exported one.
    pub(super) fn use_cpu(&self, builder: &mut SessionBuilder, arena: bool) -> ort::Result<()> {
        let Some(append_cpu) = self.append_cpu else { return Ok(()) };
        // SAFETY: the function has this signature since ONNX Runtime 1.0 and only adds to the options, which are alive and which
        // nobody else has.
        unsafe { ort::Error::result_from_status(append_cpu(builder.ptr_mut(), c_int::from(arena))) }
    }
}

/// ONNX Runtime allows one environment in a process. It is never dropped.
static RUNTIME: OnceCell<Runtime> = OnceCell::new();

/// Loads ONNX Runtime when called for the first time. A failure is not kept: the next call searches again.
///
/// Blocks while another thread loads it.
pub(super) fn runtime() -> Result<&'static Runtime, ModelError> {
    RUNTIME.get_or_try_init(start).map_err(ModelError::Runtime)
}

fn start() -> Result<Runtime, String> {
    match env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        Some(value) => load(Path::new(&value)).map_err(|reason| {
            format!(
                "{VARIABLE} is {}, but {reason}; point it at ONNX Runtime's shared library ({})",
                show(&value),
                NAMES[0]
            )
        }),
        None => search(),
    }
}

fn show(value: &OsString) -> String {
    Path::new(value).display().to_string()
}

/// Tries the files beside the plugin and the program, then the system's loader.
fn search() -> Result<Runtime, String> {
    let directories = directories();
    let mut failures = Vec::new();
    let files = directories.iter().flat_map(|directory| libraries_in(directory));
    for candidate in files.chain(NAMES.iter().map(PathBuf::from)) {
        match load(&candidate) {
            Ok(runtime) => return Ok(runtime),
            // That the system has no library of that name is the rule; what else went wrong is worth telling.
            Err(reason) if candidate.is_absolute() || reason.contains("too old") => failures.push(reason),
            Err(_) => {}
        }
    }
    Err(not_found(&directories, &failures))
}

fn not_found(directories: &[PathBuf], failures: &[String]) -> String {
    let mut places: Vec<String> = directories.iter().map(|directory| directory.display().to_string()).collect();
    places.push("the system's libraries".into());
    let failures: String = failures.iter().map(|failure| format!("; {failure}")).collect();
    format!(
        "no usable ONNX Runtime found: looked for {} in {}{failure}. Install ONNX Runtime 1.{} or later (your distribution's \
         package; `./script/setup` of this project; or `pip install onnxruntime` and set {VARIABLE} to the shared library in its \
         folder onnxruntime/capi)",
        NAMES.join(", "),
        places.join(", "),
        ort::MINOR_VERSION,
        failure = failures,
    )
}

/// Loads one library and starts ONNX Runtime. `path` without a directory is looked up by the system's loader.
fn load(path: &Path) -> Result<Runtime, String> {
    if path.components().count() > 1 {
        match fs::metadata(path) {
            Err(error) => return Err(format!("{} cannot be read ({error})", path.display())),
            Ok(metadata) if metadata.is_dir() => return Err(format!("{} is a directory", path.display())),
            Ok(_) => {}
        }
    }
    // `ort` takes a relative path for one beside the executable first, and panics where the executable is unknown.
    let path =
        if path.exists() { std::path::absolute(path).unwrap_or_else(|_| path.to_owned()) } else { path.to_owned() };
    if path.is_relative() && !env::current_exe().is_ok_and(|program| program.parent().is_some()) {
        return Err(format!("{} cannot be looked up: the program's own path is unknown", path.display()));
    }
    keep_to_itself();
    let environment = ort::init_from(&path)
        .map_err(|error| describe(&error))?
        .with_name("upscale")
        .with_telemetry(false)
        .with_logger(Arc::new(|level, _category: &str, _id: &str, _location: &str, message: &str| {
            log::emit(convert_level(level), message);
        }))
        .build()
        .map_err(|error| format!("{} does not start ({error})", path.display()))?;
    // The environment starts out at the most talkative level, and formatting what nobody reads costs time in each run.
    environment.set_log_level(LogLevel::Warning);
    // SAFETY: the library is loaded already; this only counts one more user of it.
    let library =
        unsafe { Library::new(&path) }.map_err(|error| format!("{} cannot be loaded ({error})", path.display()))?;
    // SAFETY: the symbol is a function of this type.
    let append_cpu = unsafe { library.get::<AppendCpu>(b"OrtSessionOptionsAppendExecutionProvider_CPU\0") };
    let append_cpu = append_cpu.ok().map(|symbol| *symbol);
    Ok(Runtime { environment, path, append_cpu, _library: library })
}

/// Microsoft's builds of ONNX Runtime from 1.29 on tell Microsoft of each process, and write an identifier into the user's cache folder for
/// that, while they start: before it could be switched off by a call. Only this variable keeps them from it (`ORT_DISABLE_TELEMETRY` in
/// `telemetry_environment.h`). Whoever has set it, to whatever, has decided.
///
/// The thread that they have for it would also hang the exit of a forked child.
fn keep_to_itself() {
    const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";
    if env::var_os(VARIABLE).is_none() {
        // SAFETY: this is once in the life of a process. The C library guards changes against each other, and Rust against its own reads;
        // against other threads' `getenv` nothing does (before glibc 2.41), as for every library that sets a variable. There is no other way.
        unsafe { env::set_var(VARIABLE, "1") };
    }
}

fn describe(error: &LoadDynamicError) -> String {
    match error {
        LoadDynamicError::Dlopen { error, path } => format!("{} cannot be loaded ({error})", path.display()),
        LoadDynamicError::MissingApi { path } => format!("{} is another library, not ONNX Runtime", path.display()),
        LoadDynamicError::InvalidVersionString => "the library does not report its version".into(),
        LoadDynamicError::BadVersion { version_str, path } => {
            format!(
                "{} is ONNX Runtime {version_str}, which is too old: 1.{} is needed",
                path.display(),
                ort::MINOR_VERSION
            )
        }
    }
}

fn convert_level(level: LogLevel) -> log::Level {
    match level {
        LogLevel::Verbose => log::Level::Verbose,
        LogLevel::Info => log::Level::Info,
        LogLevel::Warning => log::Level::Warning,
        LogLevel::Error => log::Level::Error,
        LogLevel::Fatal => log::Level::Fatal,
    }
}

/// Where an installation may have put the library: beside the plugin, in the folder above it (`lib` for plugins in
/// `lib/gstreamer-1.0`), beside the program and in the program's `../lib`.
fn directories() -> Vec<PathBuf> {
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

/// The file this code was loaded from: the plugin, or the program it is linked into.
#[cfg(unix)]
fn own_library() -> Option<PathBuf> {
    use std::ffi::{CStr, OsStr};
    use std::os::unix::ffi::OsStrExt;

    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    let address = own_library as *const () as *const libc::c_void;
    // SAFETY: `dladdr` takes any address and writes a whole `Dl_info`, or returns 0 and leaves the zeroes.
    let info = unsafe { (libc::dladdr(address, info.as_mut_ptr()) != 0).then(|| info.assume_init())? };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: `dli_fname` is a C string that lives as long as the library is loaded, and this code is in it.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    fs::canonicalize(OsStr::from_bytes(name.to_bytes())).ok()
}

#[cfg(not(unix))]
fn own_library() -> Option<PathBuf> {
    None
}

/// The files in `directory` that are called like the library, with or without a version; the plainest name first.
fn libraries_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_library_name))
        .collect();
    files.sort();
    files
}

/// `libonnxruntime.so`, `libonnxruntime.so.1.22.0`, `libonnxruntime.1.dylib`, ...; not the libraries of its providers.
fn is_library_name(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(env::consts::DLL_PREFIX).and_then(|rest| rest.strip_prefix("onnxruntime."))
    else {
        return false;
    };
    let extension = env::consts::DLL_EXTENSION;
    rest.split('.').all(|part| part == extension || part.bytes().all(|byte| byte.is_ascii_digit()))
        && rest.split('.').any(|part| part == extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn knows_the_library_by_its_name() {
        for name in ["libonnxruntime.so", "libonnxruntime.so.1", "libonnxruntime.so.1.22.0"] {
            assert!(is_library_name(name), "{name}");
        }
        for name in [
            "libonnxruntime_providers_cuda.so",
            "onnxruntime.so",
            "libonnxruntime.a",
            "libonnxruntime.so.txt",
            "libonnxruntime.1",
        ] {
            assert!(!is_library_name(name), "{name}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn looks_beside_itself() {
        let own = own_library().unwrap();
        assert!(directories().contains(&own.parent().unwrap().to_owned()));
    }

    #[test]
    fn a_wrong_path_is_named_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join(NAMES[0]);
        fs::write(&text, "no library").unwrap();
        for (path, reason) in [
            (folder.path().join("none.so"), "cannot be read"),
            (text, "cannot be loaded"),
            (folder.path().into(), "is a directory"),
        ] {
            let error = load(&path).err().unwrap();
            assert!(error.contains(reason) && error.contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn the_message_says_where_it_looked_and_what_to_do() {
        let text = not_found(&[PathBuf::from("/a/place")], &["/a/place/x is too old".into()]);
        for part in ["/a/place", "too old", VARIABLE, "pip install onnxruntime", "./script/setup", NAMES[0]] {
            assert!(text.contains(part), "{text}");
        }
    }
}
