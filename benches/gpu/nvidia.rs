//! The NVIDIA GPU: its description, and allocation of its memory.

use std::ffi::{c_int, c_void};

use anyhow::{Result, ensure};
use libloading::Library;
use nvml_wrapper::Nvml;

/// Name and driver of the first GPU, for the heading of the tables.
pub fn description() -> Option<String> {
    let nvml = Nvml::init().ok()?;
    let device = nvml.device_by_index(0).ok()?;
    let memory = device.memory_info().ok()?.total >> 20;
    let (name, driver) = (device.name().ok()?, nvml.sys_driver_version().ok()?);
    Some(format!("{name} ({memory} MiB), driver {driver}"))
}

type Init = unsafe extern "C" fn(u32) -> c_int;
type DeviceGet = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
type PrimaryContext = unsafe extern "C" fn(*mut *mut c_void, c_int) -> c_int;
type SetCurrent = unsafe extern "C" fn(*mut c_void) -> c_int;
type MemGetInfo = unsafe extern "C" fn(*mut usize, *mut usize) -> c_int;
type MemAlloc = unsafe extern "C" fn(*mut u64, usize) -> c_int;

const MIB: usize = 1 << 20;
/// Large chunks first, because each takes a call.
const CHUNKS: [usize; 4] = [1024 * MIB, 128 * MIB, 16 * MIB, 2 * MIB];

/// Allocates memory of the first GPU until only `leave` MiB are free; it stays allocated until this process ends.
/// Returns the MiB taken and left.
///
/// Calls the driver directly, because ONNX Runtime's arena allocates more than requested. Not yet tested on a GPU.
pub fn take(leave: u64) -> Result<(u64, u64)> {
    let leave = usize::try_from(leave)? * MIB;
    // SAFETY: loading the driver's library has no preconditions.
    let library = unsafe { Library::new("libcuda.so.1") }?;
    // SAFETY: the signatures match cuda.h for the driver API since CUDA 7 (`_v2`: 64-bit sizes).
    let (init, device_get, retain, set_current, info, alloc) = unsafe {
        (
            library.get::<Init>(b"cuInit\0")?,
            library.get::<DeviceGet>(b"cuDeviceGet\0")?,
            library.get::<PrimaryContext>(b"cuDevicePrimaryCtxRetain\0")?,
            library.get::<SetCurrent>(b"cuCtxSetCurrent\0")?,
            library.get::<MemGetInfo>(b"cuMemGetInfo_v2\0")?,
            library.get::<MemAlloc>(b"cuMemAlloc_v2\0")?,
        )
    };
    let (mut device, mut context) = (0, std::ptr::null_mut());
    // SAFETY: the pointers refer to live variables of the right types, and the calls are in the order that the driver
    // requires.
    unsafe {
        ok("cuInit", init(0))?;
        ok("cuDeviceGet", device_get(&raw mut device, 0))?;
        ok("cuDevicePrimaryCtxRetain", retain(&raw mut context, device))?;
        ok("cuCtxSetCurrent", set_current(context))?;
    }
    let free = || -> Result<usize> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: as above; the context is current in this thread.
        ok("cuMemGetInfo", unsafe { info(&raw mut free, &raw mut total) })?;
        Ok(free)
    };
    let mut taken = 0;
    for chunk in CHUNKS {
        while free()? >= leave + chunk {
            let mut address = 0;
            // SAFETY: as above. The allocation is never accessed and never freed.
            if unsafe { alloc(&raw mut address, chunk) } != 0 {
                break;
            }
            taken += chunk;
        }
    }
    let left = free()?;
    // The memory belongs to the context, which is destroyed when the library is unloaded.
    std::mem::forget(library);
    Ok(((taken / MIB) as u64, (left / MIB) as u64))
}

fn ok(call: &str, status: c_int) -> Result<()> {
    ensure!(status == 0, "{call} failed with {status}");
    Ok(())
}
