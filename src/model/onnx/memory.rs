//! The device memory that a session holds, as reported by ONNX Runtime.

use std::ffi::CStr;

use ort::AsPointer;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::Session;
use ort::sys::{OrtAllocator, OrtKeyValuePairs, OrtStatusPtr};

use crate::types::Provider;

/// The first C API version whose allocators report statistics.
const FIRST_WITH_STATS: u32 = 23;
/// Bytes that the arena has allocated on the device, in use or kept for the next run.
const HELD: &CStr = c"TotalAllocated";

type GetStats = unsafe extern "system" fn(*const OrtAllocator, *mut *mut OrtKeyValuePairs) -> OrtStatusPtr;

/// The first fields of `OrtAllocator` since version 23. `ort` declares them only if built for that version, but then it
/// refuses older libraries, which otherwise work.
#[repr(C)]
struct Version23 {
    version: u32,
    /// Alloc, Free, Info, Reserve.
    others: [*const (); 4],
    get_stats: Option<GetStats>,
}

/// Bytes that the session's arena has allocated on its device; `None` if it does not report them.
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
    // SAFETY: `raw` is a live allocator while `allocator` is borrowed. The version is the first field in all versions,
    // and since version 23 the struct begins like `Version23`. We own the returned pairs and release them below; the
    // value is a C string that lives as long as they do.
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
