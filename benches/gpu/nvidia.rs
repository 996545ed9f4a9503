//! NVIDIA's GPU: what it is, and its memory for the taking.

use std::ffi::{c_int, c_void};

use anyhow::{Result, ensure};
use libloading::Library;
use nvml_wrapper::Nvml;

/// The first GPU's name and driver, for the head of the tables.
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
/// Large pieces first: each is one call.
const PIECES: [usize; 4] = [1024 * MIB, 128 * MIB, 16 * MIB, 2 * MIB];

/// Allocates on the first GPU until only `leave` MiB are free; they are held until this process ends. Gives MiB taken and left.
///
/// Through the driver's own library and not through ONNX Runtime, whose arena takes what it likes. Not tried on a GPU yet.
pub fn take(leave: u64) -> Result<(u64, u64)> {
    let leave = usize::try_from(leave)? * MIB;
    // SAFETY: the driver's library may be loaded by anybody.
    let library = unsafe { Library::new("libcuda.so.1") }?;
    // SAFETY: these are the signatures of cuda.h for the driver interface since CUDA 7 (`_v2`: sizes of 64 bits).
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
    // SAFETY: the pointers are of live variables of the types that are due, and the calls come in the order that the driver asks for.
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
    for piece in PIECES {
        while free()? >= leave + piece {
            let mut address = 0;
            // SAFETY: as above. What it gives is never touched, and never freed.
            if unsafe { alloc(&raw mut address, piece) } != 0 {
                break;
            }
            taken += piece;
        }
    }
    let left = free()?;
    // The memory is the context's, and that goes with the library.
    std::mem::forget(library);
    Ok(((taken / MIB) as u64, (left / MIB) as u64))
}

fn ok(call: &str, status: c_int) -> Result<()> {
    ensure!(status == 0, "{call} failed with {status}");
    Ok(())
}
