//! The element's errors, and the GStreamer messages they become.

use gst::prelude::*;

use crate::model::{ModelError, RunError};
use crate::schedule::permits::Refusal;

use crate::upscalefilter::text::mebibytes;

/// Why interlaced video is refused, and what to do.
pub(in crate::upscalefilter) const INTERLACED: &str =
    "Interlaced video cannot be upscaled as it is: put `deinterlace` before upscalefilter";

/// Why one frame could not be upscaled.
#[derive(Clone, Debug, thiserror::Error)]
pub(in crate::upscalefilter) enum FrameError {
    #[error("the input buffer cannot be read: {0}")]
    Input(String),
    #[error("it is interlaced. {INTERLACED}")]
    Interlaced,
    #[error("no output buffer is available: {0}")]
    Output(String),
    #[error("the model failed: {0}")]
    Run(String),
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// Refused before the run.
    #[error("{0}")]
    TooLarge(String),
    /// A run took more memory than estimated; the frame is tried again with smaller runs.
    #[error("a run took more memory than estimated")]
    Refit,
    /// A flush or a stop cancelled the run; nobody waits for the frame any more.
    #[error("interrupted")]
    Interrupted,
    #[error("internal error in a worker, please report it: {0}")]
    Panicked(String),
}

impl From<RunError> for FrameError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Interrupted => FrameError::Interrupted,
            RunError::OutOfMemory(text) => FrameError::OutOfMemory(text),
            error @ (RunError::WrongSize { .. } | RunError::Failed(_)) => FrameError::Run(error.to_string()),
        }
    }
}

impl From<Refusal> for FrameError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Cancelled => FrameError::Interrupted,
            Refusal::TooLarge { limit } => {
                FrameError::TooLarge(format!("a run needs more memory than the limit of {}", mebibytes(limit)))
            }
        }
    }
}

impl FrameError {
    /// Whether fewer or smaller runs, a new session or another device may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, FrameError::Run(_) | FrameError::OutOfMemory(_) | FrameError::TooLarge(_))
    }

    /// Posts this error, with the frame's index and PTS.
    pub fn post(&self, element: &crate::upscalefilter::UpscaleFilter, index: u64, pts: Option<gst::ClockTime>) {
        let frame = format!("Frame {index} (PTS {}): {self}", pts.display());
        match self {
            FrameError::Input(_) => gst::element_error!(element, gst::ResourceError::Read, ("{frame}")),
            FrameError::Interlaced => gst::element_error!(element, gst::StreamError::WrongType, ("{frame}")),
            FrameError::Output(_) => gst::element_error!(element, gst::ResourceError::NoSpaceLeft, ("{frame}")),
            FrameError::OutOfMemory(_) | FrameError::TooLarge(_) => gst::element_error!(
                element,
                gst::ResourceError::NoSpaceLeft,
                ("{frame}. Free some memory, use a smaller model, or let the CPU take over with fallback=true")
            ),
            FrameError::Run(_) | FrameError::Refit | FrameError::Interrupted | FrameError::Panicked(_) => {
                gst::element_error!(element, gst::LibraryError::Failed, ("{frame}"))
            }
        }
    }
}

/// Why an engine cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(in crate::upscalefilter) enum OpenError {
    #[error("{0}")]
    Settings(String),
    #[error("{0}")]
    Model(#[from] ModelError),
    /// A library failed to build its engine for the stream's frames.
    #[error("the model cannot be made ready for these frames: {0}")]
    Build(#[from] RunError),
    #[error("cannot start a worker thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// The message for an engine that cannot be opened.
pub(in crate::upscalefilter) fn open_error(error: &OpenError) -> gst::ErrorMessage {
    match error {
        OpenError::Model(error) => model_error(error),
        OpenError::Settings(_) => gst::error_msg!(gst::ResourceError::Settings, ("{error}")),
        OpenError::Build(_) => gst::error_msg!(gst::LibraryError::Init, ("{error}")),
        OpenError::Thread(_) => gst::error_msg!(gst::CoreError::Thread, ("{error}")),
    }
}

fn model_error(error: &ModelError) -> gst::ErrorMessage {
    match error {
        ModelError::Runtime(_) => gst::error_msg!(gst::LibraryError::Init, ("{error}")),
        ModelError::NotFound(_) => gst::error_msg!(gst::ResourceError::NotFound, ("{error}")),
        ModelError::Read { .. } => gst::error_msg!(gst::ResourceError::OpenRead, ("{error}")),
        ModelError::Invalid { .. } => gst::error_msg!(gst::ResourceError::Failed, ("{error}")),
        ModelError::Unsuitable { .. } | ModelError::Conversion { .. } | ModelError::Precision { .. } => {
            gst::error_msg!(gst::ResourceError::Settings, ("{error}"))
        }
        ModelError::Provider { .. } => gst::error_msg!(gst::ResourceError::NotFound, ("{error}")),
    }
}
