//! The element's properties: their values and defaults. `choices` has those whose values have names, `specs` what is told of all.

mod choices;
mod specs;

use std::ffi::OsString;
use std::path::PathBuf;

use glib::translate::ToGlibPtr;
use gst::prelude::*;

pub use self::choices::{Duplicates, ExecutionProvider, LateFrames, LatencyMode, Precision};
pub(super) use self::specs::param_specs;
use super::conversion::Conversion;
use crate::model::builtin;
use crate::reuse::{DEFAULT_MAX_AGE, DEFAULT_TOLERANCE, Mode};

const DEFAULT_CACHE_SIZE: u64 = 128 << 20;
/// More frames than this under way would be hours of latency, not throughput.
const MAX_IN_FLIGHT: u32 = 1024;
const MAX_WORKERS: u32 = 256;
const DEFAULT_TILE_OVERLAP: u32 = 16;
/// Larger than any frame.
const MAX_TILE_SIZE: u32 = 65_535;
const MAX_TILE_OVERLAP: u32 = 256;
const MAX_SIMILARITY_TOLERANCE: u32 = 255;

/// The values of the properties. Never changed by the stream.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub model: OsString,
    pub execution_provider: ExecutionProvider,
    /// A list of numbers; empty is the first device.
    pub device_id: String,
    pub precision: Precision,
    pub conversion: Conversion,
    /// 0 = automatic.
    pub workers: u32,
    /// 0 = automatic.
    pub max_in_flight: u32,
    /// Bytes; 0 = automatic.
    pub vram_limit: u64,
    /// Pixels; 0 = automatic.
    pub tile_size: u32,
    /// Pixels.
    pub tile_overlap: u32,
    pub fallback: bool,
    pub fit: bool,
    pub late_frames: LateFrames,
    pub latency_mode: LatencyMode,
    pub duplicates: Duplicates,
    /// Codes of 8 bits.
    pub similarity_tolerance: u32,
    /// Frames; 0 = of any age.
    pub similarity_max_age: u32,
    /// Bytes.
    pub cache_size: u64,
    pub show_updates: bool,
    pub plan_location: Option<PathBuf>,
    /// `None` = no progress messages.
    pub progress_interval: Option<gst::ClockTime>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            model: builtin::DEFAULT.into(),
            execution_provider: ExecutionProvider::default(),
            device_id: String::new(),
            precision: Precision::default(),
            conversion: Conversion::default(),
            workers: 0,
            max_in_flight: 0,
            vram_limit: 0,
            tile_size: 0,
            tile_overlap: DEFAULT_TILE_OVERLAP,
            fallback: false,
            fit: true,
            late_frames: LateFrames::default(),
            latency_mode: LatencyMode::default(),
            duplicates: Duplicates::default(),
            similarity_tolerance: DEFAULT_TOLERANCE,
            similarity_max_age: DEFAULT_MAX_AGE,
            cache_size: DEFAULT_CACHE_SIZE,
            show_updates: false,
            plan_location: None,
            progress_interval: None,
        }
    }
}

impl Settings {
    /// The devices to run on, as the execution provider counts them; the error's text is for people.
    pub fn devices(&self) -> Result<Vec<u32>, String> {
        let given = self.device_id.trim();
        if given.is_empty() {
            return Ok(vec![0]);
        }
        let numbers: Result<Vec<u32>, _> = given.split(',').map(|number| number.trim().parse()).collect();
        let numbers =
            numbers.map_err(|_| format!("device-id={given} is no number and no list of numbers such as 0 or 0,1"))?;
        if numbers.iter().enumerate().any(|(place, number)| numbers[..place].contains(number)) {
            return Err(format!(
                "device-id={given} names a device twice; several workers on one are what `workers` is for"
            ));
        }
        Ok(numbers)
    }

    /// What serves while the engine for these is built, where that takes long.
    pub fn stand_in(&self) -> Option<Settings> {
        (self.execution_provider == ExecutionProvider::Tensorrt)
            .then(|| Settings { execution_provider: ExecutionProvider::Cuda, ..self.clone() })
    }

    /// What the engine depends on.
    pub fn engine_key(&self) -> impl PartialEq + use<> {
        let model =
            (self.model.clone(), self.execution_provider, self.device_id.clone(), self.precision, self.conversion);
        let memory = (self.vram_limit, self.tile_size, self.tile_overlap, self.fallback);
        (model, memory, self.workers, self.max_in_flight)
    }

    /// How frames are compared with those before; `None` where they are not.
    pub fn reuse(&self) -> Option<Mode> {
        match self.duplicates {
            Duplicates::Off => None,
            Duplicates::Exact => Some(Mode::Exact),
            Duplicates::Similar => {
                Some(Mode::Similar { tolerance: self.similarity_tolerance, max_age: self.similarity_max_age })
            }
        }
    }

    pub fn set(&mut self, name: &str, value: &glib::Value) {
        const TYPE: &str = "GObject has checked the type against the property's";
        match name {
            "model" => self.model = text(value).unwrap_or_else(|| builtin::DEFAULT.into()),
            "execution-provider" => self.execution_provider = value.get().expect(TYPE),
            "device-id" => self.device_id = value.get::<Option<String>>().expect(TYPE).unwrap_or_default(),
            "precision" => self.precision = value.get().expect(TYPE),
            "conversion" => self.conversion = value.get().expect(TYPE),
            "workers" => self.workers = value.get().expect(TYPE),
            "max-in-flight" => self.max_in_flight = value.get().expect(TYPE),
            "vram-limit" => self.vram_limit = value.get().expect(TYPE),
            "tile-size" => self.tile_size = value.get().expect(TYPE),
            "tile-overlap" => self.tile_overlap = value.get().expect(TYPE),
            "fallback" => self.fallback = value.get().expect(TYPE),
            "fit" => self.fit = value.get().expect(TYPE),
            "late-frames" => self.late_frames = value.get().expect(TYPE),
            "latency-mode" => self.latency_mode = value.get().expect(TYPE),
            "duplicates" => self.duplicates = value.get().expect(TYPE),
            "similarity-tolerance" => self.similarity_tolerance = value.get().expect(TYPE),
            "similarity-max-age" => self.similarity_max_age = value.get().expect(TYPE),
            "cache-size" => self.cache_size = value.get().expect(TYPE),
            "show-updates" => self.show_updates = value.get().expect(TYPE),
            "plan-location" => self.plan_location = text(value).map(PathBuf::from),
            "progress-interval" => {
                self.progress_interval =
                    Some(value.get::<u64>().expect(TYPE)).filter(|ns| *ns > 0).map(gst::ClockTime::from_nseconds);
            }
            _ => unreachable!("GObject has checked the name: {name}"),
        }
    }

    pub fn get(&self, name: &str) -> glib::Value {
        match name {
            "model" => self.model.to_string_lossy().into_owned().to_value(),
            "execution-provider" => self.execution_provider.to_value(),
            "device-id" => if self.device_id.is_empty() { "0" } else { &self.device_id }.to_value(),
            "precision" => self.precision.to_value(),
            "conversion" => self.conversion.to_value(),
            "workers" => self.workers.to_value(),
            "max-in-flight" => self.max_in_flight.to_value(),
            "vram-limit" => self.vram_limit.to_value(),
            "tile-size" => self.tile_size.to_value(),
            "tile-overlap" => self.tile_overlap.to_value(),
            "fallback" => self.fallback.to_value(),
            "fit" => self.fit.to_value(),
            "late-frames" => self.late_frames.to_value(),
            "latency-mode" => self.latency_mode.to_value(),
            "duplicates" => self.duplicates.to_value(),
            "similarity-tolerance" => self.similarity_tolerance.to_value(),
            "similarity-max-age" => self.similarity_max_age.to_value(),
            "cache-size" => self.cache_size.to_value(),
            "show-updates" => self.show_updates.to_value(),
            "plan-location" => self.plan_location.as_ref().map(|path| path.to_string_lossy().into_owned()).to_value(),
            "progress-interval" => self.progress_interval.map_or(0, gst::ClockTime::nseconds).to_value(),
            _ => unreachable!("GObject has checked the name: {name}"),
        }
    }
}

/// A string property's value, if it is not empty. File names need not be UTF-8, and glib's own conversion panics on those.
fn text(value: &glib::Value) -> Option<OsString> {
    // SAFETY: the value holds a string or null, as GObject has checked, and is borrowed until the bytes are copied.
    let text = unsafe { glib::gobject_ffi::g_value_get_string(value.to_glib_none().0) };
    if text.is_null() {
        return None;
    }
    // SAFETY: it is not null, and ends with a nought byte.
    let bytes = unsafe { std::ffi::CStr::from_ptr(text) }.to_bytes();
    (!bytes.is_empty()).then(|| os_string(bytes))
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}
