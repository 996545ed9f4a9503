//! Finds and loads the shared library of ONNX Runtime, once per process.
//!
//! The library is not linked: one build of the plugin works with any ONNX Runtime since 1.22.

use std::env;
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libloading::Library;
use once_cell::sync::OnceCell;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::{AsPointer, LoadDynamicError};

use crate::model::{ModelError, library, log};

/// Environment variable with the path of the library; if set, no other is tried.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// File names for the system's loader, best first.
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
    /// The path it was loaded from, or only the file name if the system's loader found it.
    pub path: PathBuf,
    append_cpu: Option<AppendCpu>,
    /// Keeps the address of `append_cpu` valid.
    _library: Library,
}

impl Runtime {
    /// A session builder with default settings.
    pub(super) fn builder(&self) -> ort::Result<SessionBuilder> {
        Session::builder(&self.environment)
    }

    /// Makes sessions of `builder` run on the CPU only.
    ///
    /// `ort` gives each builder a policy by which ONNX Runtime selects a provider if none is requested. It may select
    /// another one than the CPU, and ONNX Runtime 1.22 aborts the process if it finds no device. An explicit provider
    /// overrides the policy, but the API table that `ort` uses has no function for the CPU provider, so this calls the
    /// exported one.
    pub(super) fn use_cpu(&self, builder: &mut SessionBuilder, arena: bool) -> ort::Result<()> {
        let Some(append_cpu) = self.append_cpu else { return Ok(()) };
        // SAFETY: the function has had this signature since ONNX Runtime 1.0. It only modifies the options, which are
        // alive and borrowed exclusively.
        unsafe { ort::Error::result_from_status(append_cpu(builder.ptr_mut(), c_int::from(arena))) }
    }
}

/// ONNX Runtime allows one environment per process. It is never dropped.
static RUNTIME: OnceCell<Runtime> = OnceCell::new();

/// Returns ONNX Runtime, loading it on the first call. After a failure the next call searches again.
///
/// Blocks while another thread loads it.
pub(super) fn runtime() -> Result<&'static Runtime, ModelError> {
    RUNTIME.get_or_try_init(start).map_err(ModelError::Runtime)
}

fn start() -> Result<Runtime, String> {
    let advice = format!("ONNX Runtime's shared library ({})", NAMES[0]);
    library::load_named(VARIABLE, &advice, load).unwrap_or_else(|| {
        let directories = library::directories();
        library::load_first(&directories, "onnxruntime", NAMES.iter().map(PathBuf::from), load)
            .map_err(|failures| not_found(&directories, &failures))
    })
}

fn not_found(directories: &[PathBuf], failures: &[String]) -> String {
    let mut places: Vec<String> = directories.iter().map(|directory| directory.display().to_string()).collect();
    places.push("the system's libraries".into());
    let failures: String = failures.iter().map(|failure| format!("; {failure}")).collect();
    format!(
        "no usable ONNX Runtime found: looked for {} in {}{failure}. Install ONNX Runtime 1.{} or later (your \
         distribution's package; `./script/setup` of this project; or `pip install onnxruntime` and set {VARIABLE} to \
         the shared library in its folder onnxruntime/capi)",
        NAMES.join(", "),
        places.join(", "),
        ort::MINOR_VERSION,
        failure = failures,
    )
}

/// Loads one library and initialises ONNX Runtime. The system's loader resolves a `path` without a directory.
fn load(path: &Path) -> Result<Runtime, String> {
    library::check_file(path)?;
    // `ort` first resolves a relative path against the executable's folder, and panics if that is unknown.
    let path =
        if path.exists() { std::path::absolute(path).unwrap_or_else(|_| path.to_owned()) } else { path.to_owned() };
    if path.is_relative() && !env::current_exe().is_ok_and(|program| program.parent().is_some()) {
        return Err(format!("{} cannot be looked up: the program's own path is unknown", path.display()));
    }
    disable_telemetry();
    let environment = ort::init_from(&path)
        .map_err(|error| describe(&error))?
        .with_name("upscale")
        .with_telemetry(false)
        .with_logger(Arc::new(|level, _category: &str, _id: &str, _location: &str, message: &str| {
            log::emit(convert_level(level), message);
        }))
        .build()
        .map_err(|error| format!("{} does not start ({error})", path.display()))?;
    // The default level is the most verbose one, and formatting unused messages costs time in each run.
    environment.set_log_level(LogLevel::Warning);
    // SAFETY: the library is already loaded; this only increments its reference count.
    let library =
        unsafe { Library::new(&path) }.map_err(|error| format!("{} cannot be loaded ({error})", path.display()))?;
    // SAFETY: the symbol is a function of this type (cpu_provider_factory.h).
    let append_cpu = unsafe { library.get::<AppendCpu>(b"OrtSessionOptionsAppendExecutionProvider_CPU\0") };
    let append_cpu = append_cpu.ok().map(|symbol| *symbol);
    Ok(Runtime { environment, path, append_cpu, _library: library })
}

/// Disables telemetry unless the user has set the variable to any value.
///
/// Since 1.29, Microsoft's builds of ONNX Runtime report each process to Microsoft at start-up and write an identifier
/// to the user's cache folder, before an API call could prevent it. Only this variable does (`ORT_DISABLE_TELEMETRY` in
/// `telemetry_environment.h`). The telemetry thread would also block a forked child from exiting.
fn disable_telemetry() {
    const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";
    if env::var_os(VARIABLE).is_none() {
        // SAFETY: happens once per process. The C library serialises changes, and Rust guards its own reads. Before
        // glibc 2.41 nothing guards against `getenv` in other threads, as in every library that sets a variable; there
        // is no alternative.
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

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
    fn the_message_lists_the_places_and_what_to_do() {
        let text = not_found(&[PathBuf::from("/a/place")], &["/a/place/x is too old".into()]);
        for part in ["/a/place", "too old", VARIABLE, "pip install onnxruntime", "./script/setup", NAMES[0]] {
            assert!(text.contains(part), "{text}");
        }
    }
}
