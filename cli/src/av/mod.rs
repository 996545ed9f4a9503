//! FFmpeg's libraries, as far as the command needs them: what is allocated frees itself, and error codes are errors.
//!
//! The wrappers dereference to FFmpeg's own structs, whose plain fields are read and written directly.

mod codec;
mod demuxer;
mod frame;
mod graph;
mod muxer;
mod packet;

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;

pub use codec::{Decoder, Encoder, OpenError};
pub use demuxer::{Demuxer, Stream};
pub use frame::{Frame, PixelFormat};
pub use graph::{Graph, PictureInput};
pub use muxer::Muxer;
pub use packet::Packet;

/// What FFmpeg says is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(pub c_int);

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub const EOF: Error = Error(ffi::AVERROR_EOF);
    pub const INVALID_DATA: Error = Error(ffi::AVERROR_INVALIDDATA);
    pub const NO_MEMORY: Error = Error(ffi::AVERROR(ffi::ENOMEM));

    pub fn is_again(self) -> bool {
        self.0 == ffi::AVERROR(ffi::EAGAIN)
    }

    pub fn is_no_space(self) -> bool {
        self.0 == ffi::AVERROR(ffi::ENOSPC)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text: [c_char; 128] = [0; 128];
        // SAFETY: the buffer is as long as is said, and av_strerror ends it with a zero.
        let text = unsafe {
            ffi::av_strerror(self.0, text.as_mut_ptr(), text.len());
            CStr::from_ptr(text.as_ptr())
        };
        f.write_str(&text.to_string_lossy())
    }
}

/// A negative code is an error.
pub fn check(code: c_int) -> Result<c_int> {
    if code < 0 { Err(Error(code)) } else { Ok(code) }
}

/// `None` where a decoder, an encoder or a graph wants more input, or has ended.
fn output(code: c_int) -> Result<Option<()>> {
    match check(code) {
        Ok(_) => Ok(Some(())),
        Err(error) if error.is_again() || error == Error::EOF => Ok(None),
        Err(error) => Err(error),
    }
}

/// A text for FFmpeg. What follows a zero byte is cut off; no path and no option has one.
pub fn c_string(text: impl Into<Vec<u8>>) -> CString {
    let mut bytes = text.into();
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    CString::new(bytes).expect("it was cut at the first zero")
}

/// A text of FFmpeg's, empty where there is none.
///
/// # Safety
/// The pointer is null or leads to a text that ends with a zero.
pub unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

/// Keeps FFmpeg from writing to standard error: what matters comes back as an error.
pub fn silence() {
    // SAFETY: a plain setting.
    unsafe { ffi::av_log_set_level(ffi::AV_LOG_QUIET) };
}

/// Options by name, and what metadata is kept in.
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

    /// Hands the entries over.
    pub fn into_raw(mut self) -> *mut ffi::AVDictionary {
        std::mem::replace(&mut self.0, ptr::null_mut())
    }

    /// Names of entries that are left: options that nobody knew.
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

/// The entries of a dictionary, in its order.
///
/// # Safety
/// The pointer is null or leads to a dictionary that does not change during the call.
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

/// Seconds that `ticks` of a time base take.
pub fn seconds(ticks: i64, base: ffi::AVRational) -> f64 {
    ticks as f64 * f64::from(base.num) / f64::from(base.den.max(1))
}

/// From one time base to another, to the nearest tick.
pub fn rescale(ticks: i64, from: ffi::AVRational, to: ffi::AVRational) -> i64 {
    // SAFETY: plain arithmetic, which takes any value.
    unsafe { ffi::av_rescale_q(ticks, from, to) }
}
