//! NVIDIA's CUDA driver, asked which GPU it calls by a number: it leaves out and reorders GPUs as `CUDA_VISIBLE_DEVICES` and
//! `CUDA_DEVICE_ORDER` say, and sorts the others by speed.

use std::ffi::{c_int, c_uint};
use std::fmt::Write as _;
use std::sync::LazyLock;

use libloading::Library;

#[cfg(windows)]
const LIBRARY: &str = "nvcuda.dll";
#[cfg(not(windows))]
const LIBRARY: &str = "libcuda.so.1";

/// `CUuuid` of cuda.h.
type Uuid = [u8; 16];

// The signatures are those of cuda.h; 0 is CUDA_SUCCESS.
type Init = unsafe extern "C" fn(flags: c_uint) -> c_int;
type DeviceGet = unsafe extern "C" fn(device: *mut c_int, ordinal: c_int) -> c_int;
type DeviceGetUuid = unsafe extern "C" fn(uuid: *mut Uuid, device: c_int) -> c_int;

struct Driver {
    device_get: DeviceGet,
    device_get_uuid: DeviceGetUuid,
    /// Keeps the functions loaded.
    _library: Library,
}

/// Loaded once; `None` if there is no driver, or if it does not start.
static DRIVER: LazyLock<Option<Driver>> = LazyLock::new(Driver::load);

impl Driver {
    fn load() -> Option<Self> {
        // SAFETY: the driver's library initialises itself as any library that applications link to.
        let library = unsafe { Library::new(LIBRARY) }.ok()?;
        // SAFETY: the types are those of cuda.h, and the functions are called only while the library is loaded.
        let (init, device_get, device_get_uuid) = unsafe {
            let init: Init = *library.get(b"cuInit\0").ok()?;
            let device_get: DeviceGet = *library.get(b"cuDeviceGet\0").ok()?;
            // Version 2 (CUDA 11.4) tells the parts of a partitioned GPU (MIG) apart.
            let uuid = library.get(b"cuDeviceGetUuid_v2\0").or_else(|_| library.get(b"cuDeviceGetUuid\0"));
            let device_get_uuid: DeviceGetUuid = *uuid.ok()?;
            (init, device_get, device_get_uuid)
        };
        // SAFETY: 0 is the only value that is allowed.
        (unsafe { init(0) } == 0).then_some(Driver { device_get, device_get_uuid, _library: library })
    }

    fn uuid(&self, index: u32) -> Option<Uuid> {
        let (mut device, mut uuid) = (0, [0; 16]);
        // SAFETY: the driver is initialised, and writes to the two places alone.
        let known = unsafe {
            (self.device_get)(&mut device, c_int::try_from(index).ok()?) == 0
                && (self.device_get_uuid)(&mut uuid, device) == 0
        };
        known.then_some(uuid)
    }
}

/// The UUID of the GPU that CUDA calls number `index`, as NVML writes it but without the prefix `GPU-` or `MIG-`.
pub fn uuid(index: u32) -> Option<String> {
    let uuid = DRIVER.as_ref()?.uuid(index)?;
    let mut text = String::with_capacity(36);
    for (position, byte) in uuid.iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    Some(text)
}
