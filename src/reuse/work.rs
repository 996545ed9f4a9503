//! What a frame needs.

use std::sync::Arc;

use crate::types::Rect;

/// What has to be done for a frame, given the output of the frame before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameWork {
    /// Nothing: an output that is there, or on its way, is shown again.
    Nothing,
    /// Only planes that the network does not see have changed: they are resized, and luma is that of the frame before.
    ChromaOnly,
    /// The network runs on these rectangles, at least one; the rest is as in the frame before. In pixels of luma; they begin and end on
    /// even pixels or at the frame's edge, and may overlap.
    DirtyRects(Arc<[Rect]>),
    /// The network runs on all of the frame.
    Whole,
}

impl FrameWork {
    /// Whether the output of the frame before is needed to put this frame's together.
    pub fn builds_on_the_frame_before(&self) -> bool {
        matches!(self, FrameWork::ChromaOnly | FrameWork::DirtyRects(_))
    }

    /// What the network runs on, of a frame that is `whole`.
    pub fn rects(&self, whole: Rect) -> Arc<[Rect]> {
        match self {
            FrameWork::Nothing | FrameWork::ChromaOnly => Arc::default(),
            FrameWork::DirtyRects(rects) => Arc::clone(rects),
            FrameWork::Whole => Arc::new([whole]),
        }
    }

    /// Pixels of luma for which the network runs, of a frame that has `whole`. Overlaps count twice.
    pub fn pixels(&self, whole: u64) -> u64 {
        match self {
            FrameWork::Nothing | FrameWork::ChromaOnly => 0,
            FrameWork::DirtyRects(rects) => rects.iter().map(Rect::pixels).sum(),
            FrameWork::Whole => whole,
        }
    }

    /// The same, with `fixed` pixels for what each run costs beside its own.
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
    fn the_network_costs_nothing_where_it_does_not_run() {
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
