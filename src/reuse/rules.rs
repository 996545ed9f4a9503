//! Constraints on recomputing regions of a frame, from the network and the conversion around it.

use super::dirty_rects::Cost;
use crate::model::ModelInfo;
use crate::model::graph::Local;
use crate::picture::convert::Converter;
use crate::picture::region::Limits;
use crate::types::{Rect, Size};

/// What the network and the conversion around it require of regions of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How far the network's receptive field reaches, in input pixels.
    pub radius: u32,
    /// How far around a changed pixel the output changes, in input pixels.
    pub dilation: u32,
    /// Constraints on the size and position of regions.
    pub limits: Limits,
    /// The fixed cost of a run, in tensor pixels, as measured.
    pub fixed_pixels: u64,
    /// The fixed cost used where the choice of rectangles affects the output: a constant per kind of device, so that
    /// the output does not depend on the machine.
    pub nominal_pixels: u64,
    /// Edges of rectangles are multiples of this, or at the frame's edge.
    pub bucket: u32,
    /// Whether regions produce the same bytes as the whole frame, judging by the graph. Otherwise single
    /// samples may differ by a code value.
    pub exact: bool,
}

/// GPU libraries select kernels for each new tensor size: steps of this many pixels keep the number of sizes low.
const BUCKET: u32 = 32;

/// For ONNX Runtime's CPU provider with the smallest network: the time of 50 to 100 pixels, and about as much for the
/// conversions.
const NOMINAL_PIXELS: u64 = 128;
/// A kernel launch takes tens of microseconds, in which a GPU processes some thousand pixels.
const NOMINAL_PIXELS_OF_GPU: u64 = 4096;

impl Rules {
    /// For a local network that accepts sizes from `min` up that are multiples of `multiple`. `None` if frames are too
    /// small for regions to produce the same result as the whole frame.
    pub fn new(local: &Local, multiple: Size, min: Size, converter: &Converter, frame: Size) -> Option<Self> {
        let least = local.least;
        if frame.width < least.width || frame.height < least.height {
            return None;
        }
        let radius = local.receptive_field.radius();
        Some(Rules {
            radius,
            dilation: converter.dilation(radius),
            limits: Limits {
                fixed: None,
                multiple,
                align: local.alignment,
                min: Size { width: min.width.max(least.width), height: min.height.max(least.height) },
                halo: radius + converter.halo(),
                local: true,
                tile: None,
                overlap: 0,
            },
            fixed_pixels: 0,
            nominal_pixels: NOMINAL_PIXELS,
            bucket: 2,
            exact: local.exact,
        })
    }

    /// For a loaded network. `None` also if it is not local, or accepts a single size.
    pub fn of(model: &ModelInfo, converter: &Converter, frame: Size) -> Option<Self> {
        let local = model.local().filter(|_| model.fixed_size.is_none())?;
        let rules = Rules::new(local, model.multiple, model.min_size, converter, frame)?;
        let (bucket, nominal_pixels) = if model.provider.plans_for_sizes() {
            (BUCKET, NOMINAL_PIXELS_OF_GPU)
        } else {
            (rules.bucket, NOMINAL_PIXELS)
        };
        Some(Rules { fixed_pixels: model.fixed_pixels, nominal_pixels, bucket, ..rules })
    }

    /// The same for a network of which only the surroundings within `radius` pixels matter.
    pub fn within(self, radius: u32, converter: &Converter) -> Self {
        let radius = radius.min(self.radius);
        let limits = Limits { halo: radius + converter.halo(), ..self.limits };
        Rules { radius, dilation: converter.dilation(radius), limits, ..self }
    }

    /// The cost of running the network on a rectangle, where the choice of rectangles affects the output.
    pub(super) fn nominal_price(&self, rect: Rect, frame: Size) -> u64 {
        Cost { fixed_pixels: self.nominal_pixels, limits: self.limits }.of(self.bucketed(rect, frame), frame)
    }

    /// Extends a rectangle to the bucket grid, which limits the number of sizes.
    pub(super) fn bucketed(&self, rect: Rect, frame: Size) -> Rect {
        let side = |begin: u32, length: u32, frame: u32| {
            let from = begin / self.bucket * self.bucket;
            (from, (begin + length).next_multiple_of(self.bucket).min(frame) - from)
        };
        let (x, width) = side(rect.x, rect.width, frame.width);
        let (y, height) = side(rect.y, rect.height, frame.height);
        Rect { x, y, width, height }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bucket_holds_the_part_and_stays_in_the_frame(
            frame in (1u32..300, 1u32..300),
            begin in (0u32..300, 0u32..300),
            length in (1u32..300, 1u32..300),
            bucket in prop::sample::select(&[2u32, 32][..]),
        ) {
            let frame = Size { width: frame.0, height: frame.1 };
            let side = |begin: u32, length: u32, frame: u32| {
                let begin = begin % frame / 2 * 2;
                // Even, or up to the edge, as dirty rectangles are.
                (begin, (length.next_multiple_of(2)).min(frame - begin))
            };
            let ((x, width), (y, height)) = (side(begin.0, length.0, frame.width), side(begin.1, length.1, frame.height));
            let part = Rect { x, y, width, height };
            let one = Size { width: 1, height: 1 };
            let limits = Limits { multiple: one, ..Limits::default() };
            let rules = Rules { radius: 0, dilation: 0, limits, fixed_pixels: 0, nominal_pixels: 0, bucket, exact: true };
            let got = rules.bucketed(part, frame);
            prop_assert!(got.x <= x && got.y <= y && (got.x | got.y).is_multiple_of(2), "{got:?}");
            prop_assert!(got.x + got.width >= x + width && got.y + got.height >= y + height, "{got:?}");
            prop_assert!(got.x + got.width <= frame.width && got.y + got.height <= frame.height, "{got:?}");
            let even = |end: u32, frame: u32| end.is_multiple_of(2) || end == frame;
            prop_assert!(even(got.x + got.width, frame.width) && even(got.y + got.height, frame.height), "{got:?}");
            if bucket == 2 {
                prop_assert_eq!(got, part);
            }
        }
    }
}
