//! Where pictures are converted to tensors: on the CPU, or on the network's device, which then receives integer
//! samples.

use crate::model::{Model, ModelError};
use crate::picture::device_tensors::PixelEncoding;
use crate::types::{Conversion, Provider};

use crate::upscalefilter::CAT;
use crate::upscalefilter::negotiation::config::StreamConfig;

/// The encoding in which devices receive the samples of pictures of `config`; `None` if the CPU converts. `models` are
/// those of the devices, of one provider. Opens a session to find out, which is slow: do not call it under a lock. The
/// error text is meant for users.
pub(in crate::upscalefilter) fn device_encoding<'a>(
    asked: Conversion,
    models: impl Iterator<Item = &'a dyn Model>,
    config: &StreamConfig,
) -> Result<Option<PixelEncoding>, String> {
    let encoding = config.converter.encoding();
    let mut models = models.filter(|model| asked.on_device(model.info().provider)).peekable();
    if models.peek().is_none() {
        return Ok(None);
    }
    match models.try_for_each(|model| check(model, config, &encoding)) {
        Ok(()) => {
            gst::info!(CAT, "{} is converted on the device", encoding.format.name());
            Ok(Some(encoding))
        }
        Err(error) if asked == Conversion::Device => Err(error.to_string()),
        Err(error) => {
            gst::info!(CAT, "{} is converted on the processor: {error}", encoding.format.name());
            Ok(None)
        }
    }
}

/// Fails if a model cannot convert, with the reason.
fn check(model: &dyn Model, config: &StreamConfig, encoding: &PixelEncoding) -> Result<(), ModelError> {
    let reason = if config.cuts.may_blend() {
        "parts of its frames have to be blended, which is done with floats"
    } else if model.info().provider == Provider::TensorRt {
        "TensorRT has no 16-bit integers, and builds for minutes for each kind of picture"
    } else {
        return model.check_converting(encoding);
    };
    Err(ModelError::Conversion { name: model.info().name.clone(), reason: reason.into() })
}
