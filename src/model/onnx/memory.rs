//! What a session holds of its device's memory, as ONNX Runtime counts it.

use std::ffi::CStr;

use ort::AsPointer;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::Session;
use ort::sys::{OrtAllocator, OrtKeyValuePairs, OrtStatusPtr};

use crate::types::Provider;

/// The first version of the C interface whose allocators tell what they hold.
const FIRST_WITH_STATS: u32 = 23;
/// What the arena has taken from the device, in use or kept for the next run; bytes.
const HELD: &CStr = c"TotalAllocated";

type GetStats = unsafe extern "system" fn(*const OrtAllocator, *mut *mut OrtKeyValuePairs) -> OrtStatusPtr;

/// The begin of `OrtAllocator` in version 23 and later. `ort` declares it only when it asks for that version, and then refuses
/// older libraries, which do all else that is needed.
#[repr(C)]
struct Version23 {
    version: u32,
    /// Alloc, Free, Info, Reserve.
    others: [*const (); 4],
    get_stats: Option<GetStats>,
}

/// Bytes that the session's arena has taken from its device; `None` where it does not tell.
pub(super) fn held(session: &Session, provider: Provider, device_id: u32) -> Option<u64> {
    let (device, kind) = match provider {
        Provider::Cpu => (AllocationDevice::CPU, AllocatorType::Arena),
        Provider::Cuda | Provider::TensorRt => (AllocationDevice::CUDA, AllocatorType::Device),
        _ => return None,
    };
    let info = MemoryInfo::new(device, i32::try_from(device_id).ok()?, kind, MemoryType::Default).ok()?;
    let allocator = Allocator::new(session, info).ok()?;
    stat(&allocator, HELD)
}

fn stat(allocator: &Allocator, key: &CStr) -> Option<u64> {
    let raw = allocator.ptr();
    let mut pairs = std::ptr::null_mut();
    // SAFETY: `raw` is a live allocator for as long as `allocator` is borrowed, and its version is the first field of all versions;
    // from version 23 on it begins as `Version23` does. The pairs are ours once they are given, and are released below; the value
    // is a C string that lives as long as they do.
    unsafe {
        if (*raw).version < FIRST_WITH_STATS {
            return None;
        }
        let get_stats = (*raw.cast::<Version23>()).get_stats?;
        ort::Error::result_from_status(get_stats(raw, &raw mut pairs)).ok()?;
        let api = ort::api();
        let value = (api.GetKeyValue)(pairs, key.as_ptr());
        let value =
            if value.is_null() { None } else { CStr::from_ptr(value).to_str().ok().and_then(|text| text.parse().ok()) };
        (api.ReleaseKeyValuePairs)(pairs);
        value
    }
}
