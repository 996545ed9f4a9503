//! Finds and loads OpenVINO's C library, once for the whole process.
//!
//! Nothing is linked. The library finds its own plugins beside itself.

use std::env;
use std::path::{Path, PathBuf};

use libloading::Library;
use once_cell::sync::OnceCell;

use super::api::{Functions, Owned, RawCore};
use super::text;
use crate::model::{ModelError, library};

/// Names one library, and no other is then tried.
const VARIABLE: &str = "OPENVINO_DYLIB_PATH";

/// OpenVINO's name of the library.
const STEM: &str = "openvino_c";

/// The library, loaded and started.
pub(super) struct Runtime {
    pub functions: &'static Functions,
    pub core: Owned<RawCore>,
}

/// It is never dropped: OpenVINO's threads outlive what started them.
static RUNTIME: OnceCell<Runtime> = OnceCell::new();

/// Loads OpenVINO when called for the first time. A failure is not kept: the next call searches again.
///
/// Blocks while another thread loads it.
pub(super) fn runtime() -> Result<&'static Runtime, ModelError> {
    RUNTIME.get_or_try_init(start).map_err(ModelError::Runtime)
}

fn start() -> Result<Runtime, String> {
    let named = library::load_named(VARIABLE, "OpenVINO's C library (libopenvino_c.so)", load);
    named.unwrap_or_else(|| {
        library::load_first(&library::directories(), STEM, system_names(), load).map_err(|failures| {
            let failures: String = failures.iter().map(|failure| format!("; {failure}")).collect();
            format!(
                "OpenVINO was not found{failures}; `./script/setup` of this project fetches it, or `pip install openvino` \
                 and set {VARIABLE} to libopenvino_c.so in its folder openvino/libs"
            )
        })
    })
}

/// The names by which the system's loader may know it, newest first: the version is part of the name (`.2641` is 2026.4.1).
fn system_names() -> impl Iterator<Item = PathBuf> {
    let name = format!("{}{STEM}{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
    let versions = (24..=27)
        .rev()
        .flat_map(|year| (0..6).rev().flat_map(move |minor| (0..3).rev().map(move |patch| (year, minor, patch))));
    let versioned = versions.filter(|_| cfg!(target_os = "linux")).map({
        let name = name.clone();
        move |(year, minor, patch)| PathBuf::from(format!("{name}.{year}{minor}{patch}"))
    });
    versioned.chain([PathBuf::from(name)])
}

/// Loads one library and starts OpenVINO. `path` without a directory is looked up by the system's loader.
fn load(path: &Path) -> Result<Runtime, String> {
    library::check_file(path)?;
    let failed = |reason: String| format!("{} {reason}", path.display());
    // SAFETY: loading a library runs its initialisers; OpenVINO's have no requirements.
    let library = unsafe { Library::new(path) }.map_err(|error| failed(format!("cannot be loaded ({error})")))?;
    let functions =
        Functions::load(library).map_err(|reason| failed(format!("is not OpenVINO 2024 or later: {reason}")))?;
    // The library stays loaded for the process's life, as its threads do.
    let functions: &'static Functions = Box::leak(Box::new(functions));
    // SAFETY: the call writes the address of a new core.
    let core = functions.own(functions.ov_core_free, |core| unsafe { (functions.ov_core_create)(core) });
    let core = core.map_err(|message| failed(format!("does not start ({})", text::trim(&message))))?;
    Ok(Runtime { functions, core })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_path_is_named_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("libopenvino_c.so");
        std::fs::write(&file, "no library").unwrap();
        for (path, reason) in [
            (folder.path().join("none.so"), "cannot be read"),
            (file, "cannot be loaded"),
            (folder.path().into(), "is a directory"),
        ] {
            let error = load(&path).err().unwrap();
            assert!(error.contains(reason) && error.contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_newest_version_of_the_system_is_tried_first() {
        let names: Vec<_> = system_names().map(|name| name.display().to_string()).collect();
        let at = |name: &str| names.iter().position(|other| other == name).expect(name);
        assert!(at("libopenvino_c.so.2641") < at("libopenvino_c.so.2600"));
        assert!(at("libopenvino_c.so.2600") < at("libopenvino_c.so.2541"));
        assert_eq!(at("libopenvino_c.so"), names.len() - 1);
    }
}
