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
    /// The network runs on the whole frame.
    Whole,
}

impl FrameWork {
    /// Whether the output of the previous frame is needed to assemble this one.
    pub fn needs_previous_frame(&self) -> bool {
        matches!(self, FrameWork::ChromaOnly | FrameWork::DirtyRects(_))
    }

    /// The rectangles that the network runs on; `whole` is the frame.
    pub fn rects(&self, whole: Rect) -> Arc<[Rect]> {
        match self {
            FrameWork::Nothing | FrameWork::ChromaOnly => Arc::default(),
            FrameWork::DirtyRects(rects) => Arc::clone(rects),
            FrameWork::Whole => Arc::new([whole]),
        }
    }

    /// Luma pixels that the network runs on; `whole` is the number in a frame. Overlaps count twice.
    pub fn pixels(&self, whole: u64) -> u64 {
        match self {
            FrameWork::Nothing | FrameWork::ChromaOnly => 0,
            FrameWork::DirtyRects(rects) => rects.iter().map(Rect::pixels).sum(),
            FrameWork::Whole => whole,
        }
    }

    /// Like [`pixels`](Self::pixels), plus `fixed` pixels for each run.
    pub fn cost(&self, whole: u64, fixed: u64) -> u64 {
        let runs = match self {
            FrameWork::Nothing | FrameWork::ChromaOnly => 0,
            FrameWork::DirtyRects(rects) => rects.len() as u64,
            FrameWork::Whole => 1,
        };
        self.pixels(whole) + runs * fixed
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
