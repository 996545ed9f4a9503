//! Writing frames as picture files.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gst::prelude::*;

use crate::args::Encoding;
use crate::elements;
use crate::failure::{Failure, Result, failed, usage};
use crate::input::Input;
use crate::output::{Claim, PictureFormat};
use crate::shared::Shared;

/// JPEG quality when nothing is said.
const DEFAULT_JPEG_QUALITY: u8 = 92;

/// The numbers in the names of the pictures that are written.
#[derive(Clone, Debug)]
pub enum Numbers {
    /// The frames of a video: from 1.
    Counted,
    /// Pictures keep the numbers they had.
    Given(Vec<u64>),
}

impl Numbers {
    pub fn of(input: &Input) -> Self {
        match input {
            Input::File(_) => Numbers::Counted,
            Input::Pictures(pictures) => Numbers::Given(pictures.files.iter().map(|(number, _)| *number).collect()),
        }
    }

    /// The number of frame `index` (from 0).
    pub fn get(&self, index: usize) -> Option<u64> {
        match self {
            Numbers::Counted => Some(index as u64 + 1),
            Numbers::Given(numbers) => numbers.get(index).copied(),
        }
    }
}

/// The quality pictures are stored with; PNG has none.
pub fn quality(encoding: &Encoding) -> u8 {
    encoding.quality.unwrap_or(DEFAULT_JPEG_QUALITY)
}

/// Makes the encoder of a picture format.
pub fn encoder(format: PictureFormat, encoding: &Encoding) -> Result<gst::Element> {
    if encoding.encoder.is_some() || encoding.preset.is_some() || encoding.encoder_options.is_some() {
        return usage("--encoder, --preset and --encoder-options are for videos: pictures are PNG or JPEG");
    }
    match format {
        PictureFormat::Png if encoding.quality.is_some() => usage("PNG is lossless: it takes no --quality"),
        PictureFormat::Png => {
            let encoder = elements::make("pngenc")?;
            encoder.set_property("snapshot", false);
            Ok(encoder)
        }
        PictureFormat::Jpeg => {
            let encoder = elements::make("jpegenc")?;
            encoder.set_property("quality", i32::from(quality(encoding)));
            encoder.set_property_from_str("idct-method", "islow");
            Ok(encoder)
        }
    }
}

/// Makes the sink that writes each encoded picture to a file of its own.
///
/// It does not keep OUT: a streaming thread that is just ending may hold the sink for a moment longer than the pipeline does.
pub fn sink(claim: &Arc<Claim>, numbers: Numbers, shared: &Arc<Shared>) -> gst_app::AppSink {
    let sink = gst_app::AppSink::builder().sync(false).build();
    let (shared, claim, next) = (shared.clone(), Arc::downgrade(claim), AtomicUsize::new(0));
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                // In NULL no sample comes any more, so that nobody finishes OUT while this writes.
                let claim = claim.upgrade().ok_or(gst::FlowError::Flushing)?;
                let index = next.fetch_add(1, Ordering::SeqCst);
                write(&sample, index, &numbers, &claim).map(|()| gst::FlowSuccess::Ok).map_err(|failure| {
                    shared.fail(sink, failure);
                    gst::FlowError::Error
                })
            })
            .build(),
    );
    sink
}

fn write(sample: &gst::Sample, index: usize, numbers: &Numbers, claim: &Claim) -> Result<()> {
    let map = sample.buffer().and_then(|buffer| buffer.map_readable().ok());
    let (Some(map), Some(number)) = (map, numbers.get(index)) else {
        return failed(format!("the encoder made a picture nobody asked for (number {})", index + 1));
    };
    let path = claim.part_of(number);
    std::fs::write(&path, &map).map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))
}
