//! The stream configuration: everything derived from the sink pad's caps, shared by all frames with these caps.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use gst::prelude::*;
use gst_video::VideoFrameExt;
use parking_lot::Mutex;

use crate::model::ModelInfo;
use crate::picture::convert::Converter;
use crate::picture::device_tensors::PixelEncoding;
use crate::picture::feather::Feather;
use crate::picture::format::{ChromaSite, Colour, Matrix, PictureError, PictureMut, PictureRef, PixelFormat, Range};
use crate::picture::paint;
use crate::picture::region::{self, Blend, Limits, Region};
use crate::reuse::Rules;
use crate::types::{Rect, Size};

use crate::upscalefilter::errors::{FrameError, INTERLACED};
use crate::upscalefilter::negotiation::allocation;
use crate::upscalefilter::negotiation::caps;
use crate::upscalefilter::negotiation::fit::{Fit, Quality};

/// Halo of a tile, in input pixels, if the network's receptive field is unknown: it must hide the padding at the tile's
/// edge. This is the radius of a plain network with 16 3x3 layers.
const HALO_OF_UNKNOWN_RADIUS: u32 = 16;

/// Maximum total scale of running the network twice.
const MAX_ENLARGED: u32 = 4;

/// The negotiated formats, and how to convert a frame from one to the other.
#[derive(Debug)]
pub(in crate::upscalefilter) struct StreamConfig {
    pub in_caps: gst::Caps,
    pub in_info: gst_video::VideoInfo,
    pub out_caps: gst::Caps,
    pub out_info: gst_video::VideoInfo,
    pub format: PixelFormat,
    pub converter: Converter,
    /// The encoding in which sessions receive samples to convert on their device; `None` if the CPU converts.
    pub encoding: Option<PixelEncoding>,
    /// How frames are cut into regions.
    pub cuts: Cuts,
    /// Constraints on recomputing regions of a frame; `None` if only whole frames can be upscaled.
    pub rules: Option<Rules>,
    /// A cache of the regions of a frame by tile size, with few entries.
    regions: Mutex<BTreeMap<Option<u32>, Arc<[Region]>>>,
    /// A second pass of the network on its own result, if one is not enough.
    pub second: Option<Box<StreamConfig>>,
    /// From the network's output to the size that downstream wants, if they differ.
    pub fit: Option<Fit>,
    /// Resizes the input to the output size without the network; created on first use.
    resizer: OnceLock<Result<Fit, String>>,
    /// Our own pool, unbounded. Exists from the start, because workers start before downstream has seen the caps.
    own_pool: gst::BufferPool,
    /// Downstream's pool, once it has offered a usable one.
    downstream_pool: Mutex<Option<gst::BufferPool>>,
}

impl StreamConfig {
    /// Derives the configuration from `in_caps`; the error text is meant for users.
    ///
    /// `overlap` is the number of pixels over which regions are blended, where that is necessary. The network's output
    /// is resized to the caps that `choose` returns, given the network's output caps and the input's video info.
    pub fn new(
        in_caps: &gst::CapsRef,
        model: &ModelInfo,
        overlap: u32,
        choose: impl FnOnce(&gst::Caps, &gst_video::VideoInfo) -> gst::Caps,
    ) -> Result<Self, String> {
        let mut config = Self::network(in_caps, model, overlap)?;
        let shown_caps = choose(&config.out_caps, &config.in_info);
        if shown_caps == config.out_caps {
            return Ok(config);
        }
        let shown = gst_video::VideoInfo::from_caps(&shown_caps).map_err(|_| format!("Unusable caps {shown_caps}"))?;
        // A second pass pays off up to four times the size.
        let larger = shown.width() > config.out_info.width() || shown.height() > config.out_info.height();
        if larger && model.scale > 1 && model.scale * model.scale <= MAX_ENLARGED {
            config.second = Some(Box::new(Self::network(&config.out_caps, model, overlap)?));
            config.rules = None;
        }
        let result = config.second.as_deref().unwrap_or(&config);
        if result.out_caps != shown_caps {
            config.fit = Some(Fit::new(&result.out_info, &shown_caps, Quality::Fine)?);
        }
        Ok(config)
    }

    /// The configuration of a single pass, without resizing.
    fn network(in_caps: &gst::CapsRef, model: &ModelInfo, overlap: u32) -> Result<Self, String> {
        let in_info = gst_video::VideoInfo::from_caps(in_caps).map_err(|_| format!("Unusable caps {in_caps}"))?;
        if caps::is_interlaced(in_caps) {
            return Err(INTERLACED.into());
        }
        let name = in_info.format().to_str();
        let format = PixelFormat::from_name(name).ok_or_else(|| format!("Format {name} is not supported"))?;
        let too_large =
            || format!("{}x{} is too large to be enlarged by {}", in_info.width(), in_info.height(), model.scale);
        let out_caps = caps::output(in_caps, &in_info, model.scale).ok_or_else(too_large)?;
        let out_info = gst_video::VideoInfo::from_caps(&out_caps).map_err(|_| too_large())?;
        let size = size(&in_info);
        let converter = Converter::new(format, colour(&in_info), size, model.channels, model.scale);
        let least = model.local().map_or(Size { width: 1, height: 1 }, |local| local.least);
        let cuts = Cuts { frame: size, limits: limits(model, converter.halo(), overlap), least };
        let rules = Rules::of(model, &converter, size);
        let own_pool = allocation::own_pool(&out_caps, &out_info).map_err(|error| error.to_string())?;
        Ok(StreamConfig {
            in_caps: in_caps.to_owned(),
            converter,
            cuts,
            rules,
            regions: Mutex::default(),
            second: None,
            fit: None,
            resizer: OnceLock::new(),
            in_info,
            out_caps,
            out_info,
            format,
            own_pool,
            downstream_pool: Mutex::new(None),
            encoding: None,
        })
    }

    /// Sets how the device converts, for both passes.
    pub fn set_encoding(&mut self, encoding: Option<PixelEncoding>) {
        if let Some(second) = &mut self.second {
            second.encoding = encoding;
        }
        self.encoding = encoding;
    }

    /// The last pass of the network.
    fn last_pass(&self) -> &Self {
        self.second.as_deref().unwrap_or(self)
    }

    /// The caps of the buffers that are pushed.
    pub fn shown_caps(&self) -> &gst::Caps {
        self.fit.as_ref().map_or(&self.last_pass().out_caps, |fit| &fit.caps)
    }

    pub fn shown_info(&self) -> &gst_video::VideoInfo {
        self.fit.as_ref().map_or(&self.last_pass().out_info, |fit| &fit.info)
    }

    /// The position of the picture in the pushed frame: all of it, unless there are bars around it.
    pub fn shown_picture(&self) -> Rect {
        let Size { width, height } = size(self.shown_info());
        self.fit.as_ref().map_or(Rect { x: 0, y: 0, width, height }, |fit| fit.picture)
    }

    /// The video info of the picture without bars.
    pub fn shown_picture_info(&self) -> &gst_video::VideoInfo {
        self.fit.as_ref().map_or(self.shown_info(), |fit| &fit.picture_info)
    }

    /// How frames are cut in the pass with the largest tensors.
    pub fn largest_cuts(&self) -> Cuts {
        self.last_pass().cuts
    }

    /// The whole frame, in input pixels.
    pub fn whole(&self) -> Rect {
        let Size { width, height } = self.cuts.frame();
        Rect { x: 0, y: 0, width, height }
    }

    /// Pixels that the network processes for a whole frame, in all passes.
    pub fn pixels(&self) -> u64 {
        self.cuts.frame().pixels() + self.second.as_ref().map_or(0, |second| second.cuts.frame().pixels())
    }

    /// Takes output buffers from `pool` from now on; `None` returns to our own pool.
    pub fn use_pool(&self, pool: Option<gst::BufferPool>) {
        let previous = std::mem::replace(&mut *self.downstream_pool.lock(), pool);
        if let Some(previous) = previous {
            allocation::set_inactive(&previous);
        }
    }

    /// Acquires an output buffer. Call it without holding a lock.
    pub fn acquire(&self) -> Result<gst::Buffer, FrameError> {
        let downstream = self.downstream_pool.lock().clone();
        // Downstream may stop its pool at any time; then use ours.
        match downstream.map(|pool| pool.acquire_buffer(None)) {
            Some(Ok(buffer)) => Ok(buffer),
            Some(Err(_)) | None => {
                self.own_pool.acquire_buffer(None).map_err(|error| FrameError::Output(error.to_string()))
            }
        }
    }

    /// Where a rectangle of the input is in the network's output.
    pub fn in_output(&self, rect: Rect) -> Rect {
        let scale = self.converter.scale();
        let [x, y, width, height] = [rect.x, rect.y, rect.width, rect.height].map(|length| length * scale);
        Rect { x, y, width, height }
    }

    /// The event that announces the output's format.
    pub fn caps_event(&self, seqnum: Option<gst::Seqnum>) -> gst::Event {
        gst::event::Caps::builder(self.shown_caps()).seqnum_if_some(seqnum).build()
    }

    /// The regions of a frame, with tensors of at most `tile` width and height; without a tile, whole frames.
    pub fn regions(&self, tile: Option<u32>) -> Arc<[Region]> {
        Arc::clone(self.regions.lock().entry(tile).or_insert_with(|| self.cuts.regions(tile).into()))
    }

    /// The regions that recompute rectangles of a frame within `limits`, with tensors of at most `tile` width and
    /// height.
    pub fn regions_of(&self, rects: &[Rect], limits: Limits, tile: Option<u32>) -> Arc<[Region]> {
        rects
            .iter()
            .flat_map(|rect| region::around(*rect, self.cuts.frame, Limits { tile: tile.map(square), ..limits }))
            .collect()
    }

    /// Constraints on recomputing regions with the network's whole receptive field.
    pub fn limits(&self) -> Limits {
        self.rules.map_or(self.cuts.limits, |rules| rules.limits)
    }

    /// Copies everything outside `rects` from `previous`, the output of another frame, to `fresh`. With two passes
    /// there are no rectangles.
    pub fn complete(
        &self,
        previous: &gst::Buffer,
        rects: &[Rect],
        mut fresh: gst::Buffer,
    ) -> Result<gst::Buffer, FrameError> {
        let pass = self.last_pass();
        let from = gst_video::VideoFrameRef::from_buffer_ref_readable(previous, &pass.out_info)
            .map_err(|error| FrameError::Output(error.to_string()))?;
        let from = picture(pass.format, &from).map_err(|error| FrameError::Output(error.to_string()))?;
        pass.write(&mut fresh, |to| pass.converter.copy_unchanged(&from, rects, to))?;
        Ok(fresh)
    }

    /// Resizes the frame without the network.
    pub fn resize(&self, input: &gst_video::VideoFrameRef<&gst::BufferRef>) -> Result<gst::Buffer, FrameError> {
        let resizer = self.resizer.get_or_init(|| Fit::new(&self.in_info, self.shown_caps(), Quality::Fast));
        let resizer = resizer.as_ref().map_err(|error| FrameError::Output(error.clone()))?;
        resizer.apply_to(input)
    }

    /// A copy of the pushed buffer with an outline around each of `rects` (input pixels).
    pub fn outline(&self, rects: &[Rect], shown: &gst::Buffer) -> Result<gst::Buffer, FrameError> {
        let mut copy = shown.copy_deep().map_err(|error| FrameError::Output(error.to_string()))?;
        let (from, to) = (self.cuts.frame(), self.shown_picture());
        let scaled = |at: u32, from: u32, to: u32| (u64::from(at) * u64::from(to) / u64::from(from)) as u32;
        let span = |begin: u32, length: u32, from: u32, to: u32| {
            let first = scaled(begin, from, to);
            (first, scaled(begin + length, from, to) - first)
        };
        Self::write_as(self.format, self.shown_info(), &mut copy, |picture| {
            for rect in rects {
                let (x, width) = span(rect.x, rect.width, from.width, to.width);
                let (y, height) = span(rect.y, rect.height, from.height, to.height);
                paint::outline(picture, Rect { x: to.x + x, y: to.y + y, width, height });
            }
        })?;
        Ok(copy)
    }

    /// Calls `write` with a writable picture of a buffer for the network's output.
    pub fn write<R>(
        &self,
        buffer: &mut gst::Buffer,
        write: impl FnOnce(&mut PictureMut) -> R,
    ) -> Result<R, FrameError> {
        Self::write_as(self.format, &self.out_info, buffer, write)
    }

    fn write_as<R>(
        format: PixelFormat,
        info: &gst_video::VideoInfo,
        buffer: &mut gst::Buffer,
        write: impl FnOnce(&mut PictureMut) -> R,
    ) -> Result<R, FrameError> {
        let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer.make_mut(), info)
            .map_err(|error| FrameError::Output(error.to_string()))?;
        let mut picture = picture_mut(format, &mut frame).map_err(|error| FrameError::Output(error.to_string()))?;
        Ok(write(&mut picture))
    }

    /// The blending of one frame's regions, if any.
    pub fn feather(&self, regions: &[Region]) -> Option<Feather> {
        let blended = regions.iter().any(|region| region.blend != Blend::default());
        blended.then(|| Feather::new(self.cuts.frame, self.converter.scale(), self.converter.channels()))
    }

    /// Bytes kept in memory for one frame's result.
    pub fn kept_bytes(&self) -> u64 {
        (self.last_pass().out_info.size() + self.fit.as_ref().map_or(0, |fit| fit.info.size())) as u64
    }

    /// Duration of a frame by the caps' framerate; if that is variable, by `max-framerate`, otherwise a nominal 40 ms:
    /// with a reported latency of zero, every frame of a live stream would be late.
    pub fn frame_duration(&self) -> gst::ClockTime {
        let fixed = Some(self.in_info.fps());
        let most = self.in_caps.structure(0).and_then(|caps| caps.get::<gst::Fraction>("max-framerate").ok());
        let duration = [fixed, most].into_iter().flatten().find_map(|fps| {
            let (numer, denom) = (u64::try_from(fps.numer()).ok()?, u64::try_from(fps.denom()).ok()?);
            // `mul_div_ceil` panics on a division by zero.
            if numer == 0 { None } else { gst::ClockTime::SECOND.mul_div_ceil(denom, numer) }
        });
        duration.unwrap_or(gst::ClockTime::from_mseconds(40))
    }
}

/// How frames of one size are cut into regions.
#[derive(Clone, Copy, Debug)]
pub(in crate::upscalefilter) struct Cuts {
    frame: Size,
    /// Constraints on regions from the network and the conversion.
    limits: Limits,
    /// The minimum size at which a tile produces the same result as the whole frame.
    least: Size,
}

impl Cuts {
    /// The frame's size.
    pub fn frame(&self) -> Size {
        self.frame
    }

    fn regions(&self, tile: Option<u32>) -> Vec<Region> {
        let least = self.least;
        let tile = tile.map(|tile| Size { width: tile.max(least.width), height: tile.max(least.height) });
        region::cover(self.frame, Limits { tile, ..self.limits })
    }

    /// Whether regions may be blended.
    pub fn may_blend(&self) -> bool {
        !self.limits.local || self.regions(None).iter().any(|region| region.blend != Blend::default())
    }

    /// Pixels of the largest tensor.
    pub fn largest(&self, tile: Option<u32>) -> u64 {
        self.regions(tile).iter().map(|region| region.tensor.pixels()).max().unwrap_or(0)
    }

    /// The smallest side of a tile that leaves room for output inside the halo, in both directions.
    pub fn min_tile(&self) -> u32 {
        let least = self.limits.min_tile();
        least.width.max(least.height).max(self.least.width).max(self.least.height)
    }
}

impl Drop for StreamConfig {
    fn drop(&mut self) {
        self.use_pool(None);
        allocation::set_inactive(&self.own_pool);
    }
}

fn size(info: &gst_video::VideoInfo) -> Size {
    Size { width: info.width(), height: info.height() }
}

fn square(side: u32) -> Size {
    Size { width: side, height: side }
}

/// Constraints on regions; whole frames, until a tile size is set. `halo` is what conversion needs in addition to the
/// network.
fn limits(model: &ModelInfo, halo: u32, overlap: u32) -> Limits {
    let local = model.local();
    Limits {
        fixed: model.fixed_size,
        multiple: model.multiple,
        align: local.map_or(model.multiple, |local| local.alignment),
        min: model.min_size,
        halo: local.map_or(HALO_OF_UNKNOWN_RADIUS, |local| local.receptive_field.radius()) + halo,
        local: local.is_some(),
        tile: None,
        overlap,
    }
}

/// Matrix, range and siting from the caps, or GStreamer's defaults if they are not given.
fn colour(info: &gst_video::VideoInfo) -> Colour {
    use gst_video::{VideoChromaSite, VideoColorMatrix, VideoColorRange};
    let colorimetry = info.colorimetry();
    let matrix = match colorimetry.matrix() {
        VideoColorMatrix::Bt601 => Matrix::BT601,
        VideoColorMatrix::Bt2020 => Matrix::BT2020,
        VideoColorMatrix::Smpte240m => Matrix::SMPTE240M,
        VideoColorMatrix::Fcc => Matrix::FCC,
        // RGB has no matrix of its own; any matrix will do for the conversion to luma and chroma and back.
        _ => Matrix::BT709,
    };
    let range = match (colorimetry.range(), info.is_rgb() || info.is_gray()) {
        (VideoColorRange::Range0_255, _) => Range::Full,
        (VideoColorRange::Range16_235, _) => Range::Limited,
        (_, true) => Range::Full,
        (_, false) => Range::Limited,
    };
    let site = info.chroma_site();
    let chroma_site = ChromaSite {
        h_cosited: site.contains(VideoChromaSite::H_COSITED),
        v_cosited: site.contains(VideoChromaSite::V_COSITED),
    };
    Colour { matrix, range, chroma_site }
}

/// The planes of a frame mapped for reading.
pub(in crate::upscalefilter) fn picture<'a>(
    format: PixelFormat,
    frame: &'a gst_video::VideoFrameRef<&gst::BufferRef>,
) -> Result<PictureRef<'a>, PictureError> {
    let size = Size { width: frame.width(), height: frame.height() };
    let strides = frame.plane_stride().iter().map(|stride| usize::try_from(*stride).unwrap_or(0));
    let planes: Vec<_> = frame.planes_data().into_iter().zip(strides).take(format.planes()).collect();
    PictureRef::new(format, size, &planes)
}

/// The planes of a frame mapped for writing.
fn picture_mut<'a>(
    format: PixelFormat,
    frame: &'a mut gst_video::VideoFrameRef<&mut gst::BufferRef>,
) -> Result<PictureMut<'a>, PictureError> {
    let size = Size { width: frame.width(), height: frame.height() };
    let strides: Vec<_> = frame.plane_stride().iter().map(|stride| usize::try_from(*stride).unwrap_or(0)).collect();
    PictureMut::new(format, size, frame.planes_data_mut().into_iter().zip(strides).take(format.planes()))
}
