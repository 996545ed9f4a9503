//! Output in another size than the network's, because downstream asks for it: GStreamer's resizer does the rest.

use std::thread::available_parallelism;

use gst::prelude::*;
use parking_lot::Mutex;

use crate::types::Rect;

use crate::upscalefilter::errors::FrameError;
use crate::upscalefilter::negotiation::allocation;

/// Resizing becomes memory-bound: more threads than this do not make it faster.
const MAX_THREADS: u32 = 4;

/// Quality of resizing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upscalefilter) enum Quality {
    /// Lanczos on several threads, so that the network's output is not blurred.
    Fine,
    /// Bilinear on the calling thread: when frames would be late, the CPU is busy.
    Fast,
}

/// Resizes the network's pictures to the size that downstream asks for, or input frames that would be late.
#[derive(Debug)]
pub(in crate::upscalefilter) struct Fit {
    quality: Quality,
    from: gst_video::VideoInfo,
    pub caps: gst::Caps,
    pub info: gst_video::VideoInfo,
    /// Position of the picture in the output; bars surround it.
    pub picture: Rect,
    /// Video info of the picture without bars.
    pub picture_info: gst_video::VideoInfo,
    /// Created on first use.
    resizer: Mutex<Option<gst_video::VideoConverter>>,
    pool: gst::BufferPool,
}

impl Fit {
    pub fn new(from: &gst_video::VideoInfo, caps: &gst::Caps, quality: Quality) -> Result<Self, String> {
        let info = gst_video::VideoInfo::from_caps(caps).map_err(|_| format!("Unusable caps {caps}"))?;
        let pool = allocation::own_pool(caps, &info).map_err(|error| error.to_string())?;
        let picture = picture_in(from, &info);
        let picture_info = gst_video::VideoInfo::builder(info.format(), picture.width, picture.height)
            .build()
            .map_err(|error| error.to_string())?;
        let (from, caps) = (from.clone(), caps.clone());
        Ok(Fit { quality, from, caps, info, picture, picture_info, resizer: Mutex::default(), pool })
    }

    /// Resizes a picture. If its aspect ratio must be kept but differs from the output's, bars are added around it.
    pub fn apply(&self, picture: &gst::BufferRef) -> Result<gst::Buffer, FrameError> {
        let source = gst_video::VideoFrameRef::from_buffer_ref_readable(picture, &self.from)
            .map_err(|error| FrameError::Output(error.to_string()))?;
        self.apply_to(&source)
    }

    /// Like [`apply`](Self::apply), for a mapped frame.
    pub fn apply_to(&self, source: &gst_video::VideoFrameRef<&gst::BufferRef>) -> Result<gst::Buffer, FrameError> {
        let output = |error: glib::BoolError| FrameError::Output(error.to_string());
        let mut buffer = self.pool.acquire_buffer(None).map_err(|error| FrameError::Output(error.to_string()))?;
        let mut target =
            gst_video::VideoFrameRef::from_buffer_ref_writable(buffer.make_mut(), &self.info).map_err(output)?;
        let mut resizer = self.resizer.lock();
        let resizer = match &mut *resizer {
            Some(resizer) => resizer,
            none => none.insert(self.resizer().map_err(output)?),
        };
        resizer.frame_ref(source, &mut target);
        drop(target);
        Ok(buffer)
    }

    fn resizer(&self) -> Result<gst_video::VideoConverter, glib::BoolError> {
        let Rect { x, y, width, height } = self.picture;
        let mut config = gst_video::VideoConverterConfig::new();
        config.set_dest_x(x as i32);
        config.set_dest_y(y as i32);
        config.set_dest_width(Some(width as i32));
        config.set_dest_height(Some(height as i32));
        config.set_fill_border(true);
        config.set_border_argb(0xff00_0000);
        let (method, threads) = match self.quality {
            Quality::Fine => (gst_video::VideoResamplerMethod::Lanczos, cores().min(MAX_THREADS)),
            Quality::Fast => (gst_video::VideoResamplerMethod::Linear, 1),
        };
        config.set_resampler_method(method);
        config.set_chroma_resampler_method(method);
        config.set_threads(threads);
        gst_video::VideoConverter::new(&self.from, &self.info, Some(config))
    }
}

impl Drop for Fit {
    fn drop(&mut self) {
        allocation::set_inactive(&self.pool);
    }
}

fn cores() -> u32 {
    available_parallelism().map_or(1, |cores| cores.get() as u32)
}

/// Position of the picture in the output such that it keeps its aspect ratio.
fn picture_in(from: &gst_video::VideoInfo, to: &gst_video::VideoInfo) -> Rect {
    let shape = |info: &gst_video::VideoInfo| {
        let par = info.par();
        (
            u128::from(info.width()) * u128::from(par.numer().unsigned_abs()),
            u128::from(info.height()) * u128::from(par.denom().unsigned_abs()),
        )
    };
    let ((fw, fh), (tw, th)) = (shape(from), shape(to));
    let (width, height) = (u128::from(to.width()), u128::from(to.height()));
    // Rounded to the nearest pixel: less than a pixel of bar becomes none.
    let part = |of: u128, numer: u128, denom: u128| ((2 * of * numer + denom) / (2 * denom).max(1)).clamp(1, of.max(1));
    let (inner_width, inner_height) = if fw * th >= fh * tw {
        (width, part(height, fh * tw, fw * th))
    } else {
        (part(width, fw * th, fh * tw), height)
    };
    // Chroma starts on even pixels.
    let (x, y) = ((width - inner_width) / 4 * 2, (height - inner_height) / 4 * 2);
    Rect { x: x as u32, y: y as u32, width: inner_width as u32, height: inner_height as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(from: &str, to: &str, expected: (u32, u32, u32, u32)) {
        gst::init().unwrap();
        let info = |text: &str| {
            let caps: gst::Caps = format!("video/x-raw,format=I420,framerate=25/1,{text}").parse().unwrap();
            gst_video::VideoInfo::from_caps(&caps).unwrap()
        };
        let Rect { x, y, width, height } = picture_in(&info(from), &info(to));
        assert_eq!((x, y, width, height), expected, "{from} in {to}");
    }

    #[test]
    fn the_picture_keeps_its_aspect_ratio() {
        check("width=640,height=360", "width=1920,height=1080", (0, 0, 1920, 1080));
        check("width=640,height=480", "width=1920,height=1080", (240, 0, 1440, 1080));
        check("width=640,height=480", "width=1920,height=1080,pixel-aspect-ratio=3/4", (0, 0, 1920, 1080));
        check("width=720,height=576,pixel-aspect-ratio=16/15", "width=1000,height=1000", (0, 124, 1000, 750));
        // Rounding does not add bars.
        check("width=854,height=480", "width=1280,height=719", (0, 0, 1279, 719));
        check("width=854,height=480", "width=1280,height=720", (0, 0, 1280, 719));
    }
}
