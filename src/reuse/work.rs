//! The work that a frame requires.

use std::sync::Arc;

use crate::types::Rect;

/// The work that a frame requires, given the output of the previous frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameWork {
    /// None: it shares an output that exists or is being computed.
    Nothing,
    /// Only planes that the network does not process have changed: they are resized, and luma comes from the previous
    /// frame.
    ChromaOnly,
    /// The network runs on these rectangles, at least one; the rest comes from the previous frame. In luma pixels;
    /// their edges are even or at the frame's edge, and they may overlap.
    DirtyRects(Arc<[Rect]>),
    /// The network runs on some rectangles, and others are resized.
    Mixed(Mixed),
    /// The network runs on the whole frame.
    Whole,
}

/// Rectangles of a frame that the network runs on, and others that are resized. In luma pixels; their edges are even
/// or at the frame's edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixed {
    /// May overlap one another and what is resized.
    pub network: Arc<[Rect]>,
    /// These show the interpolation, also where the network runs.
    pub resized: Arc<[Rect]>,
    /// Pixels that are resized, and that the network does not run on.
    pub skipped_pixels: u64,
    /// Of these, what the network runs on all the same, for a comparison.
    pub audited: Arc<[Rect]>,
    /// Whether the rest comes from the previous frame. If not, the rectangles cover the frame.
    pub needs_previous: bool,
}

/// Resizing costs less than the smallest network by this factor.
const RESIZED_PER_UPSCALED: u64 = 24;

impl FrameWork {
    /// Whether the output of the previous frame is needed to assemble this one.
    pub fn needs_previous_frame(&self) -> bool {
        match self {
            FrameWork::ChromaOnly | FrameWork::DirtyRects(_) => true,
            FrameWork::Mixed(mixed) => mixed.needs_previous,
            FrameWork::Nothing | FrameWork::Whole => false,
        }
    }

    /// The rectangles that the network runs on; `whole` is the frame.
    pub fn rects(&self, whole: Rect) -> Arc<[Rect]> {
        match self {
            FrameWork::Nothing | FrameWork::ChromaOnly => Arc::default(),
            FrameWork::DirtyRects(rects) => Arc::clone(rects),
            FrameWork::Mixed(mixed) => Arc::clone(&mixed.network),
            FrameWork::Whole => Arc::new([whole]),
        }
    }

    /// The rectangles that do not come from the previous frame; `whole` is the frame.
    pub fn written(&self, whole: Rect) -> Arc<[Rect]> {
        match self {
            FrameWork::Mixed(mixed) => mixed.network.iter().chain(&*mixed.resized).copied().collect(),
            _ => self.rects(whole),
        }
    }

    /// Luma pixels that are resized instead of upscaled.
    pub fn skipped_pixels(&self) -> u64 {
        if let FrameWork::Mixed(mixed) = self { mixed.skipped_pixels } else { 0 }
    }

    /// Luma pixels that the network runs on; `whole` is the number in a frame. Overlaps count twice.
    pub fn pixels(&self, whole: u64) -> u64 {
        match self {
            FrameWork::Nothing | FrameWork::ChromaOnly => 0,
            FrameWork::DirtyRects(rects) => rects.iter().map(Rect::pixels).sum(),
            FrameWork::Mixed(mixed) => mixed.network.iter().map(Rect::pixels).sum(),
            FrameWork::Whole => whole,
        }
    }

    /// Like [`pixels`](Self::pixels), plus `fixed` pixels for each run and what resizing costs.
    pub fn cost(&self, whole: u64, fixed: u64) -> u64 {
        let runs = match self {
            FrameWork::Nothing | FrameWork::ChromaOnly => 0,
            FrameWork::DirtyRects(rects) => rects.len() as u64,
            FrameWork::Mixed(mixed) => (mixed.network.len() + mixed.audited.len()) as u64,
            FrameWork::Whole => 1,
        };
        self.pixels(whole) + runs * fixed + self.skipped_pixels() / RESIZED_PER_UPSCALED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_without_the_network_costs_nothing() {
        let rect = |width| Rect { x: 0, y: 0, width, height: 2 };
        for (work, pixels, cost) in [
            (FrameWork::Nothing, 0, 0),
            (FrameWork::ChromaOnly, 0, 0),
            (FrameWork::DirtyRects([rect(4), rect(6)].into()), 20, 34),
            (FrameWork::Whole, 100, 107),
        ] {
            assert_eq!((work.pixels(100), work.cost(100, 7)), (pixels, cost), "{work:?}");
        }
    }
}
