//! What a network makes of pictures of known detail: from which detail on it differs from an interpolation, and how far
//! its result really depends on what is around.
//!
//! Both are measured once for a network, with [`sample_pictures`]. Differences are counted in
//! 8-bit code values, as output frames have them.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use super::block_map::BLOCK_SIZE;
use super::sample_pictures;
use crate::model::{ModelInfo, RunError, Upscaler};
use crate::picture::convert::{Converter, Scratch};
use crate::picture::detail::DetailMeter;
use crate::picture::format::{ChromaSite, Colour, Matrix, PictureMut, PictureRef, PixelFormat, Range};
use crate::picture::region::{Limits, Region};
use crate::types::{Channels, Rect, Size};

/// Larger tolerances are all the same to a network: differences are counted up to twice this.
pub const MAX_DETAIL_TOLERANCE: u32 = 16;
const CODES: usize = 2 * MAX_DETAIL_TOLERANCE as usize + 2;

/// Of the samples in blocks with less detail than the threshold, one in so many may differ by more than the tolerance;
/// none by more than twice that.
const RARE: u64 = 1000;
/// The sample pictures do not hold everything that videos do: the threshold stays below what they allow by this factor.
const CAUTION: (u32, u32) = (1, 2);
/// Pixels around a part beyond those that the sample pictures call for: videos hold stronger contrasts.
const MARGIN: u32 = 1;
/// With less, single code values of noise count as detail, and what is left is not worth the effort.
const MIN_THRESHOLD: u16 = 6;
/// Blocks with more detail have visible texture, whatever the sample pictures say.
const MAX_THRESHOLD: u16 = 36;
/// A block that had enough detail in the frame before needs this part of the threshold only.
const LEAVE: (u16, u16) = (3, 4);

/// How many samples of the output differ by 0, 1, 2 ... code values; the last counts those beyond.
type Counts = [u32; CODES];

/// What a network makes of the sample pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sensitivity {
    /// The blocks by increasing detail, with the differences between the network's result and the interpolation.
    blocks: Vec<(u16, Counts)>,
    /// The largest difference between a part's result and the whole's, by the distance to the part's edge in pixels of
    /// the input, as far as the parts were large enough to tell.
    by_distance: Vec<u16>,
    /// The radius of the network's receptive field.
    radius: u32,
}

/// From which detail on blocks go through the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// Blocks with more detail do.
    pub enter: u16,
    /// Blocks that went through the network in the frame before do with more detail than this.
    pub leave: u16,
}

impl Threshold {
    pub(super) fn new(enter: u16) -> Self {
        Threshold { enter, leave: enter * LEAVE.0 / LEAVE.1 }
    }
}

/// Kept for the life of the process, by [`Model::key`](crate::model::Model::key).
static REMEMBERED: LazyLock<Mutex<HashMap<u128, Arc<Sensitivity>>>> = LazyLock::new(Mutex::default);

impl Sensitivity {
    /// What this process has measured under `key`; measures it with `session` if nothing has been. `session` opens a
    /// session of the network that `info` describes.
    ///
    /// # Errors
    /// Those of the session and of its runs. `None` if the network does not run on parts of frames.
    pub fn remembered<E>(
        key: Option<u128>,
        info: &ModelInfo,
        measure: impl FnOnce() -> Result<Sensitivity, E>,
    ) -> Result<Option<Arc<Self>>, E> {
        if info.fixed_size.is_some() || info.local().is_none() {
            return Ok(None);
        }
        if let Some(known) = key.and_then(|key| REMEMBERED.lock().get(&key).cloned()) {
            return Ok(Some(known));
        }
        let measured = Arc::new(measure()?);
        Ok(Some(match key {
            Some(key) => Arc::clone(REMEMBERED.lock().entry(key).or_insert(measured)),
            None => measured,
        }))
    }

    /// Runs the network on the sample pictures: a hundredth of a second for a small one.
    pub fn measure(info: &ModelInfo, session: &mut dyn Upscaler) -> Result<Self, RunError> {
        let mut probe = Probe::new(info, session);
        let whole = probe.run(probe.whole())?;
        let by_distance = probe.by_distance(&whole)?;
        let resized = probe.resized();
        let mut detail = Vec::new();
        DetailMeter::default().measure(&probe.picture(), info.channels, BLOCK_SIZE, &mut detail);
        let mut blocks: Vec<_> = detail.into_iter().zip(probe.differences(&whole, &resized)).collect();
        blocks.sort_unstable();
        let radius = info.local().map_or(0, |local| local.receptive_field.radius());
        Ok(Sensitivity { blocks, by_distance, radius })
    }

    /// The threshold below which an interpolation stays within `tolerance` code values of the network. `None` if there
    /// is none, because the network changes flat areas as well.
    pub fn threshold(&self, tolerance: u32) -> Option<Threshold> {
        let tolerance = tolerance.min(MAX_DETAIL_TOLERANCE) as usize;
        if tolerance == 0 {
            return None;
        }
        let (mut above, mut all, mut too_far) = (0, 0, false);
        let mut last = None;
        for group in self.blocks.chunk_by(|one, other| one.0 == other.0) {
            for (_, counts) in group {
                all += counts.iter().map(|count| u64::from(*count)).sum::<u64>();
                above += counts[tolerance + 1..].iter().map(|count| u64::from(*count)).sum::<u64>();
                too_far |= counts[2 * tolerance + 1..].iter().any(|count| *count > 0);
            }
            if too_far || above * RARE > all {
                break;
            }
            last = Some(group[0].0);
        }
        let found = u32::from(last?) * CAUTION.0 / CAUTION.1;
        let found = u16::try_from(found).unwrap_or(u16::MAX).min(MAX_THRESHOLD);
        (found >= MIN_THRESHOLD).then(|| Threshold::new(found))
    }

    /// How many pixels around a part the network has to see for the part's result to stay within half of `tolerance`
    /// code values of the whole frame's on the sample pictures, and one more. At most its receptive field's radius.
    pub fn radius(&self, tolerance: u32) -> u32 {
        let far = self.by_distance.iter().rposition(|most| u32::from(*most) * 2 > tolerance);
        match far {
            Some(far) if far + 1 < self.by_distance.len() => (far as u32 + 1 + MARGIN).min(self.radius),
            Some(_) => self.radius,
            None => 0,
        }
    }

    /// The mean and largest difference in the half of the blocks that has the least detail, in code values.
    pub fn in_flat_areas(&self) -> (f64, u32) {
        let flat = &self.blocks[..self.blocks.len() / 2];
        let (mut sum, mut count, mut most) = (0, 0, 0);
        for (_, counts) in flat {
            for (code, samples) in counts.iter().enumerate().filter(|(_, samples)| **samples > 0) {
                sum += code as u64 * u64::from(*samples);
                count += u64::from(*samples);
                most = most.max(code as u32);
            }
        }
        (sum as f64 / count.max(1) as f64, most)
    }
}

/// The sample pictures, and what it takes to run the network on them.
struct Probe<'a> {
    session: &'a mut dyn Upscaler,
    converter: Converter,
    limits: Limits,
    size: Size,
    /// Samples of the planes without padding: one, or three.
    planes: Vec<Vec<u8>>,
    scratch: Scratch,
}

impl<'a> Probe<'a> {
    fn new(info: &ModelInfo, session: &'a mut dyn Upscaler) -> Self {
        let least = info.local().map_or(Size { width: 1, height: 1 }, |local| local.least);
        let size = sample_pictures::size(Size {
            width: least.width.max(info.min_size.width),
            height: least.height.max(info.min_size.height),
        });
        let format = if info.channels == Channels::Luma { PixelFormat::Gray8 } else { PixelFormat::Rgbp };
        let chroma_site = ChromaSite { h_cosited: false, v_cosited: false };
        let colour = Colour { matrix: Matrix::BT709, range: Range::Full, chroma_site };
        let limits = Limits {
            multiple: info.multiple,
            align: info.local().map_or(info.multiple, |local| local.alignment),
            min: info.min_size,
            ..Limits::default()
        };
        Probe {
            session,
            converter: Converter::new(format, colour, size, info.channels, info.scale),
            limits,
            size,
            planes: sample_pictures::planes(size, info.channels),
            scratch: Scratch::default(),
        }
    }

    fn whole(&self) -> Rect {
        Rect { x: 0, y: 0, width: self.size.width, height: self.size.height }
    }

    fn picture(&self) -> PictureRef<'_> {
        view(self.converter.format(), self.size, &self.planes)
    }

    /// The planes of the output after `write`.
    fn output(&self, write: impl FnOnce(&mut PictureMut)) -> Vec<Vec<u8>> {
        let size = self.converter.output_size();
        let mut planes = vec![vec![0; size.pixels() as usize]; self.planes.len()];
        let views = planes.iter_mut().map(|plane| (plane.as_mut_slice(), size.width as usize));
        let mut picture =
            PictureMut::new(self.converter.format(), size, views).expect("the planes are those of the format");
        write(&mut picture);
        planes
    }

    /// Runs the network on a part, which gets no surroundings.
    fn run(&mut self, part: Rect) -> Result<Vec<Vec<u8>>, RunError> {
        let region = Region::around(part, self.size, self.limits);
        let (mut scratch, mut input, mut result) = (std::mem::take(&mut self.scratch), Vec::new(), Vec::new());
        self.converter.to_tensor(&self.picture(), &region, &mut scratch, &mut input);
        self.session.run(&input, region.tensor, &mut result)?;
        let output = self.output(|picture| self.converter.from_tensor(&result, &region, &mut scratch, picture));
        self.scratch = scratch;
        Ok(output)
    }

    fn resized(&mut self) -> Vec<Vec<u8>> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let whole = [self.whole()];
        let output =
            self.output(|picture| self.converter.resize_smooth(&self.picture(), &whole, &mut scratch, picture));
        self.scratch = scratch;
        output
    }

    /// The differences between two outputs in each block, in row-major order.
    fn differences(&self, one: &[Vec<u8>], other: &[Vec<u8>]) -> Vec<Counts> {
        let (width, side) =
            (self.converter.output_size().width as usize, (BLOCK_SIZE * self.converter.scale()) as usize);
        let columns = width.div_ceil(side);
        let mut blocks = vec![[0; CODES]; columns * self.size.height.div_ceil(BLOCK_SIZE) as usize];
        for (one, other) in one.iter().zip(other) {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                let code = usize::from(one.abs_diff(*other)).min(CODES - 1);
                blocks[at / width / side * columns + at % width / side][code] += 1;
            }
        }
        blocks
    }

    /// Runs the network on parts, and compares them with the whole by the distance to the part's edge.
    fn by_distance(&mut self, whole: &[Vec<u8>]) -> Result<Vec<u16>, RunError> {
        let mut most = Vec::new();
        let scale = self.converter.scale();
        let width = self.converter.output_size().width as usize;
        for part in sample_pictures::parts(self.size) {
            // What is read may be more, because of the network's grid.
            let read = Region::around(part, self.size, self.limits).read;
            let output = self.run(read)?;
            for (one, other) in output.iter().zip(whole) {
                for y in read.y * scale..(read.y + read.height) * scale {
                    for x in read.x * scale..(read.x + read.width) * scale {
                        let distance = self.distance(read, x / scale, y / scale) as usize;
                        let at = y as usize * width + x as usize;
                        most.resize(most.len().max(distance + 1), 0);
                        most[distance] = u16::from(one[at].abs_diff(other[at])).max(most[distance]);
                    }
                }
            }
        }
        Ok(most)
    }

    /// From a pixel to the nearest edge of `read` that is none of the picture's.
    fn distance(&self, read: Rect, x: u32, y: u32) -> u32 {
        let side = |at: u32, begin: u32, length: u32, whole: u32| {
            let before = if begin == 0 { whole } else { at - begin };
            let behind = if begin + length == whole { whole } else { begin + length - 1 - at };
            before.min(behind)
        };
        side(x, read.x, read.width, self.size.width).min(side(y, read.y, read.height, self.size.height))
    }
}

fn view(format: PixelFormat, size: Size, planes: &[Vec<u8>]) -> PictureRef<'_> {
    let views: Vec<_> = planes.iter().map(|plane| (plane.as_slice(), size.width as usize)).collect();
    PictureRef::new(format, size, &views).expect("the planes are those of the format")
}
