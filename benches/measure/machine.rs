//! Description of the machine.

use std::path::Path;

use anyhow::Result;

pub fn processor() -> String {
    field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into())
}

pub fn memory() -> String {
    field("/proc/meminfo", "MemTotal").unwrap_or_else(|| "?".into())
}

/// Mean number of runnable processes during the last minute.
pub fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

pub fn date() -> Result<String> {
    Ok(glib::DateTime::now_utc().and_then(|now| now.format("%Y-%m-%d %H:%M UTC"))?.to_string())
}

/// The file name of the ONNX Runtime in use, which contains its version.
pub fn runtime() -> String {
    let path = std::env::var_os("ORT_DYLIB_PATH");
    let file = path.as_ref().and_then(|path| Path::new(path).canonicalize().ok());
    let name = file.as_ref().and_then(|file| file.file_name());
    name.map_or_else(|| "ONNX Runtime of the system".into(), |name| name.display().to_string())
}

/// The value of the first line with this name in a file of `name : value` lines.
fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let (_, value) = text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}
