//! Thin wrappers around FFmpeg's libraries that free what they allocate and turn error codes into errors.
//!
//! They dereference to FFmpeg's own structs, whose plain fields are read and written directly.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;

/// Defines an owning pointer to one of FFmpeg's structs: it dereferences to the struct, and frees it when dropped.
macro_rules! owned {
    ($(#[$doc:meta])* $name:ident, $raw:ident, $free:ident) => {
        $(#[$doc])*
        pub struct $name(std::ptr::NonNull<ffi::$raw>);

        // SAFETY: it is used by one thread at a time; what it shares is counted with atomics.
        unsafe impl Send for $name {}

        impl $name {
            /// Takes ownership of what FFmpeg has just allocated; null means out of memory.
            pub fn own(pointer: *mut ffi::$raw) -> $crate::av::Result<Self> {
                std::ptr::NonNull::new(pointer).map($name).ok_or($crate::av::Error::NO_MEMORY)
            }

            pub fn as_ptr(&self) -> *mut ffi::$raw {
                self.0.as_ptr()
            }
        }

        impl std::ops::Deref for $name {
            type Target = ffi::$raw;

            fn deref(&self) -> &ffi::$raw {
                // SAFETY: it lives as long as we do.
                unsafe { self.0.as_ref() }
            }
        }

        impl std::ops::DerefMut for $name {
            fn deref_mut(&mut self) -> &mut ffi::$raw {
                // SAFETY: it lives as long as we do, and nobody else has it.
                unsafe { self.0.as_mut() }
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                let mut pointer = self.0.as_ptr();
                // SAFETY: it is ours.
                unsafe { ffi::$free(&mut pointer) };
            }
        }
    };
}

mod codec;
mod demuxer;
mod frame;
mod graph;
mod muxer;
mod packet;

pub use codec::{Decoder, Device, Encoder, OpenError};
pub use demuxer::{Demuxer, Stream};
pub use ffi::AVRational as Rational;
pub use frame::{Frame, PixelFormat};
pub use graph::{Graph, PictureInput};
pub use muxer::Muxer;
pub use packet::Packet;

/// An error code of FFmpeg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(pub c_int);

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub const EOF: Error = Error(ffi::AVERROR_EOF);
    pub const INVALID_DATA: Error = Error(ffi::AVERROR_INVALIDDATA);
    pub const NO_MEMORY: Error = Error(ffi::AVERROR(ffi::ENOMEM));
    pub const NO_SPACE: Error = Error(ffi::AVERROR(ffi::ENOSPC));
    const AGAIN: Error = Error(ffi::AVERROR(ffi::EAGAIN));
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut buffer: [c_char; 128] = [0; 128];
        // SAFETY: the buffer is as long as is said, and av_strerror ends it with a zero.
        f.write_str(&unsafe {
            ffi::av_strerror(self.0, buffer.as_mut_ptr(), buffer.len());
            text(buffer.as_ptr())
        })
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        let kind = if error == Error::NO_SPACE { std::io::ErrorKind::StorageFull } else { std::io::ErrorKind::Other };
        std::io::Error::new(kind, error.to_string())
    }
}

/// Turns a negative code into an error.
pub fn check(code: c_int) -> Result<c_int> {
    if code < 0 { Err(Error(code)) } else { Ok(code) }
}

/// `None` if a decoder, encoder or graph needs more input or has ended.
fn output<T>(code: c_int, value: T) -> Result<Option<T>> {
    match check(code) {
        Ok(_) => Ok(Some(value)),
        Err(Error::AGAIN | Error::EOF) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A copy for FFmpeg to own, with the zero padding that it requires.
pub fn allocated(bytes: &[u8]) -> Result<*mut u8> {
    // SAFETY: the memory is new and has room for the bytes.
    unsafe {
        let copy = ffi::av_mallocz(bytes.len() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize).cast::<u8>();
        if copy.is_null() {
            return Err(Error::NO_MEMORY);
        }
        ptr::copy_nonoverlapping(bytes.as_ptr(), copy, bytes.len());
        Ok(copy)
    }
}

/// A C string. Cut at the first zero byte, which no path and no option contains.
pub fn c_string(text: impl Into<Vec<u8>>) -> CString {
    let mut bytes = text.into();
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    CString::new(bytes).expect("it was cut at the first zero")
}

/// Reads a C string; null is empty.
///
/// # Safety
/// The pointer is null or points to a zero-terminated string.
pub unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

/// The name of a channel layout, such as "5.1(side)".
pub fn layout_name(layout: &ffi::AVChannelLayout) -> String {
    let mut name = [0; 128];
    // SAFETY: the buffer is as long as is said, and is ended with a zero.
    unsafe {
        ffi::av_channel_layout_describe(layout, name.as_mut_ptr(), name.len());
        text(name.as_ptr())
    }
}

/// The name of a sample format.
pub fn sample_format_name(format: c_int) -> String {
    // SAFETY: FFmpeg's own number for a format; the name is static, or null.
    unsafe { text(ffi::av_get_sample_fmt_name(std::mem::transmute::<c_int, ffi::AVSampleFormat>(format))) }
}

/// Silences FFmpeg's log: errors are returned and reported by the command.
pub fn silence() {
    // SAFETY: a plain setting.
    unsafe { ffi::av_log_set_level(ffi::AV_LOG_QUIET) };
}

/// Options or metadata by name.
pub struct Dictionary(*mut ffi::AVDictionary);

impl Dictionary {
    pub fn new() -> Self {
        Dictionary(ptr::null_mut())
    }

    pub fn set(&mut self, name: &str, value: &str) {
        let (name, value) = (c_string(name), c_string(value));
        // SAFETY: both are texts, which are copied; the dictionary is ours.
        unsafe { ffi::av_dict_set(&mut self.0, name.as_ptr(), value.as_ptr(), 0) };
    }

    pub fn as_mut_ptr(&mut self) -> *mut *mut ffi::AVDictionary {
        &mut self.0
    }

    /// Gives up ownership.
    pub fn into_raw(mut self) -> *mut ffi::AVDictionary {
        std::mem::replace(&mut self.0, ptr::null_mut())
    }

    /// The first entry left over: an option that nothing consumed.
    pub fn first_name(&self) -> Option<String> {
        // SAFETY: the dictionary is ours and outlives the borrow.
        unsafe { entries(self.0) }.first().map(|(name, _)| name.clone())
    }
}

impl Drop for Dictionary {
    fn drop(&mut self) {
        // SAFETY: it is ours, or null.
        unsafe { ffi::av_dict_free(&mut self.0) };
    }
}

/// The entries of a dictionary, in order.
///
/// # Safety
/// The pointer is null or points to a dictionary that does not change during the call.
pub unsafe fn entries(dictionary: *const ffi::AVDictionary) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut entry: *const ffi::AVDictionaryEntry = ptr::null();
    loop {
        // SAFETY: the caller's promise; the entry before is the dictionary's own.
        entry = unsafe { ffi::av_dict_get(dictionary, c"".as_ptr(), entry, ffi::AV_DICT_IGNORE_SUFFIX as c_int) };
        if entry.is_null() {
            return all;
        }
        // SAFETY: an entry has two texts.
        all.push(unsafe { (text((*entry).key), text((*entry).value)) });
    }
}

/// A fraction: a time base, a frame rate or a pixel aspect ratio.
pub const fn rational(num: i32, den: i32) -> Rational {
    Rational { num, den }
}

/// Ticks of a time base in seconds.
pub fn seconds(ticks: i64, base: Rational) -> f64 {
    ticks as f64 * value(base)
}

/// The fraction's value.
pub fn value(rational: Rational) -> f64 {
    f64::from(rational.num) / f64::from(rational.den.max(1))
}

/// Reduces a fraction to terms that fit, rounding if necessary.
pub fn reduced(num: i64, den: i64) -> Rational {
    let mut reduced = rational(1, 1);
    // SAFETY: plain arithmetic.
    unsafe { ffi::av_reduce(&mut reduced.num, &mut reduced.den, num, den, 1 << 16) };
    reduced
}

/// Converts between time bases, to the nearest tick.
pub fn rescale(ticks: i64, from: Rational, to: Rational) -> i64 {
    // SAFETY: plain arithmetic, which takes any value.
    unsafe { ffi::av_rescale_q(ticks, from, to) }
}
