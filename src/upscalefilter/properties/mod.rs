//! The element's properties: `Settings` holds their values, `table` has one row per property, `choices` their
//! enumerations.

mod choices;
mod table;

use std::ffi::OsString;
use std::path::PathBuf;

pub use self::choices::{Duplicates, LateFrames, LatencyMode};
pub(super) use self::table::{Effect, PROPERTIES, Property};
use crate::model::{ModelInfo, builtin};
use crate::reuse::{DEFAULT_MAX_AGE, DEFAULT_TOLERANCE, Mode};
use crate::types::{Conversion, OPENVINO_NPU, Precision, Provider};

const DEFAULT_CACHE_SIZE: u64 = 128 << 20;
const DEFAULT_TILE_OVERLAP: u32 = 16;

/// The values of the properties. The stream never changes them.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub model: OsString,
    pub execution_provider: Provider,
    /// A comma-separated list of device numbers; empty means the first device.
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
    /// 8-bit code values.
    pub similarity_tolerance: u32,
    /// Frames; 0 = any age.
    pub similarity_max_age: u32,
    /// 8-bit code values; 0 = the network runs everywhere.
    pub detail_tolerance: u32,
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
            execution_provider: Provider::default(),
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
            detail_tolerance: 0,
            cache_size: DEFAULT_CACHE_SIZE,
            show_updates: false,
            plan_location: None,
            progress_interval: None,
        }
    }
}

/// The number of a device; OpenVINO's devices can also be named as OpenVINO does: `CPU`, `GPU`, `GPU.1`, `NPU`.
fn device_number(text: &str) -> Option<u32> {
    match text {
        "CPU" => Some(0),
        "GPU" => Some(1),
        "NPU" => Some(OPENVINO_NPU),
        _ => match text.strip_prefix("GPU.") {
            Some(gpu) => gpu.parse::<u32>().ok()?.checked_add(1),
            None => text.parse().ok(),
        },
    }
}

impl Settings {
    /// The devices to run on, numbered as the execution provider numbers them; the error text is meant for users.
    pub fn devices(&self) -> Result<Vec<u32>, String> {
        let given = self.device_id.trim();
        if given.is_empty() {
            return Ok(vec![0]);
        }
        let numbers: Option<Vec<u32>> = given.split(',').map(|device| device_number(device.trim())).collect();
        let numbers = numbers
            .ok_or_else(|| format!("device-id={given} is neither a number nor a list of numbers such as 0 or 0,1"))?;
        if numbers.iter().enumerate().any(|(place, number)| numbers[..place].contains(number)) {
            return Err(format!(
                "device-id={given} names a device twice; use `workers` for several workers on one device"
            ));
        }
        Ok(numbers)
    }

    /// The settings of the engine that runs while the one for these settings is built, if that takes long.
    pub fn stand_in(&self) -> Option<Settings> {
        (self.execution_provider == Provider::TensorRt)
            .then(|| Settings { execution_provider: Provider::Cuda, ..self.clone() })
    }

    /// Whether results may differ from those of `network` on whole frames by a bounded amount.
    pub fn needs_sensitivity(&self, network: &ModelInfo) -> bool {
        let parts_are_exact = network.locality.radius() == Some(0);
        self.detail_tolerance > 0 || self.duplicates == Duplicates::Similar && !parts_are_exact
    }

    /// How frames are compared with earlier ones; `None` if they are not.
    pub fn reuse(&self) -> Option<Mode> {
        match self.duplicates {
            Duplicates::Off => None,
            Duplicates::Exact => Some(Mode::Exact),
            Duplicates::Similar => {
                Some(Mode::Similar { tolerance: self.similarity_tolerance, max_age: self.similarity_max_age })
            }
        }
    }
}
