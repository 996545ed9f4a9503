//! The part of OpenVINO's C interface that is used (openvino/c/*.h), and owners for its objects.
//!
//! Declared here rather than taken from Intel's crate `openvino`: that one copies all tensors, has no run that another
//! thread can cancel, and builds with two dozen crates more.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use libloading::Library;

/// `ov_status_e`; 0 is success.
pub(super) type Status = c_int;

/// Objects of the library, which are only ever pointed to.
macro_rules! opaque {
    ($($name:ident)*) => { $(pub(super) enum $name {})* };
}
opaque! { RawCore RawModel RawPort RawCompiled RawRequest RawTensor }

/// `ov_shape_t`
#[repr(C)]
pub(super) struct Shape {
    pub rank: i64,
    pub dims: *mut i64,
}

/// `ov_dimension_t`
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Dimension {
    pub min: i64,
    pub max: i64,
}

/// `ov_partial_shape_t`
#[repr(C)]
pub(super) struct PartialShape {
    pub rank: Dimension,
    pub dims: *mut Dimension,
}

/// `ov_element_type_e`
pub(super) const F16: c_int = 3;
pub(super) const F32: c_int = 4;
pub(super) const U8: c_int = 16;

/// The functions, by their names in the library.
macro_rules! functions {
    ($($name:ident($($argument:ty),* $(; $rest:tt)?) $(-> $result:ty)?;)*) => {
        pub(super) struct Functions {
            $(pub $name: unsafe extern "C" fn($($argument),* $(, $rest)?) $(-> $result)?,)*
            /// Keeps their addresses valid.
            _library: Library,
        }

        impl Functions {
            pub fn load(library: Library) -> Result<Self, String> {
                // SAFETY: the symbols are functions of these types in all versions of the interface since 2024.0.
                unsafe {
                    Ok(Functions {
                        $($name: *library
                            .get(concat!(stringify!($name), "\0").as_bytes())
                            .map_err(|_| concat!("it has no function ", stringify!($name)).to_owned())?,)*
                        _library: library,
                    })
                }
            }
        }
    };
}

functions! {
    ov_get_last_err_msg() -> *const c_char;
    ov_core_create(*mut *mut RawCore) -> Status;
    ov_core_free(*mut RawCore);
    ov_core_read_model_from_memory_buffer(
        *const RawCore, *const c_char, usize, *const RawTensor, *mut *mut RawModel
    ) -> Status;
    ov_core_compile_model(
        *const RawCore, *const RawModel, *const c_char, usize, *mut *mut RawCompiled; ...
    ) -> Status;
    ov_model_free(*mut RawModel);
    ov_model_inputs_size(*const RawModel, *mut usize) -> Status;
    ov_model_outputs_size(*const RawModel, *mut usize) -> Status;
    ov_model_const_input_by_index(*const RawModel, usize, *mut *mut RawPort) -> Status;
    ov_model_const_output_by_index(*const RawModel, usize, *mut *mut RawPort) -> Status;
    ov_port_get_element_type(*const RawPort, *mut c_int) -> Status;
    ov_port_get_partial_shape(*const RawPort, *mut PartialShape) -> Status;
    ov_partial_shape_free(*mut PartialShape);
    ov_output_const_port_free(*mut RawPort);
    ov_compiled_model_create_infer_request(*const RawCompiled, *mut *mut RawRequest) -> Status;
    ov_compiled_model_free(*mut RawCompiled);
    ov_infer_request_set_input_tensor_by_index(*mut RawRequest, usize, *const RawTensor) -> Status;
    ov_infer_request_set_output_tensor_by_index(*mut RawRequest, usize, *const RawTensor) -> Status;
    ov_infer_request_get_output_tensor_by_index(*const RawRequest, usize, *mut *mut RawTensor) -> Status;
    ov_infer_request_start_async(*mut RawRequest) -> Status;
    ov_infer_request_wait(*mut RawRequest) -> Status;
    ov_infer_request_cancel(*mut RawRequest) -> Status;
    ov_infer_request_free(*mut RawRequest);
    ov_tensor_create_from_host_ptr(c_int, Shape, *mut c_void, *mut *mut RawTensor) -> Status;
    ov_tensor_get_shape(*const RawTensor, *mut Shape) -> Status;
    ov_tensor_free(*mut RawTensor);
    ov_shape_free(*mut Shape) -> Status;
}

impl Functions {
    /// An error's text, of the call just made on this thread.
    pub fn check(&self, status: Status) -> Result<(), String> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: the text is a C string that stays until the next failing call, or null.
        let text = unsafe {
            let text = (self.ov_get_last_err_msg)();
            if text.is_null() { None } else { Some(CStr::from_ptr(text).to_string_lossy().into_owned()) }
        };
        Err(text.filter(|text| !text.is_empty()).unwrap_or_else(|| format!("OpenVINO reports status {status}")))
    }

    /// Owns what `make` writes, until it is dropped.
    pub fn own<T>(
        &'static self,
        free: unsafe extern "C" fn(*mut T),
        make: impl FnOnce(*mut *mut T) -> Status,
    ) -> Result<Owned<T>, String> {
        let mut pointer = ptr::null_mut();
        self.check(make(&raw mut pointer))?;
        Ok(Owned { pointer, free })
    }

    /// A tensor in memory of the caller, which must outlive each use of it.
    pub fn tensor(&'static self, element: c_int, shape: &[i64], data: *mut c_void) -> Result<Owned<RawTensor>, String> {
        let mut dims = shape.to_vec();
        self.own(self.ov_tensor_free, |tensor| {
            let shape = Shape { rank: dims.len() as i64, dims: dims.as_mut_ptr() };
            // SAFETY: the shape lives during the call, which copies it; the data is only kept as an address.
            unsafe { (self.ov_tensor_create_from_host_ptr)(element, shape, data, tensor) }
        })
    }

    /// A tensor's shape.
    pub fn shape(&self, tensor: &Owned<RawTensor>) -> Result<Vec<i64>, String> {
        let mut shape = Shape { rank: 0, dims: ptr::null_mut() };
        // SAFETY: the tensor lives; the shape is written, read as long as it says, and freed once.
        unsafe {
            self.check((self.ov_tensor_get_shape)(tensor.pointer(), &raw mut shape))?;
            let rank = usize::try_from(shape.rank).unwrap_or(0);
            let dims =
                if shape.dims.is_null() { Vec::new() } else { std::slice::from_raw_parts(shape.dims, rank).to_vec() };
            self.check((self.ov_shape_free)(&raw mut shape))?;
            Ok(dims)
        }
    }
}

/// An object of the library that is freed when dropped.
pub(super) struct Owned<T> {
    pointer: *mut T,
    free: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    pub fn pointer(&self) -> *mut T {
        self.pointer
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: it came from the library, is not used any more, and the library is never unloaded.
        unsafe { (self.free)(self.pointer) };
    }
}

// SAFETY: the library's objects are not bound to a thread.
unsafe impl<T> Send for Owned<T> {}
// SAFETY: a shared object is only passed to calls that the library allows on several threads: compiling with a core,
// creating requests of a compiled model, cancelling a request.
unsafe impl<T> Sync for Owned<T> {}
