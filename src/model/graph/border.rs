//! What an edge that is repeated or reflected adds to the receptive field.
//!
//! An element that such a padding fills sees, at the picture's edge, other pixels than its place says (see [`InputSpan`]):
//!
//! - Repeated, it sees what the outermost element does. That lies at a known place, and the picture's pixels that depend on it lie
//!   inside; so the receptive field must be at least from the edge to there.
//! - Reflected, it sees what lies as far inside as its place lies outside. Seen from a pixel inside, that is never further than its
//!   place, but in the other direction: the receptive field is then the same on both sides. It is further only where the elements do not
//!   lie evenly about the edge, by as much as they are off.

use super::picture::InputSpan;
use super::sizes::{Axis, Rational, Sizes, Stop, global, whole};

/// What was padded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Borders {
    pub vertical: Border,
    pub horizontal: Border,
    /// Whether weights depend on where in the picture they are, by their rounding.
    pub rounded: bool,
}

impl Borders {
    pub fn new() -> Self {
        Borders { vertical: Border::new(), horizontal: Border::new(), rounded: false }
    }

    pub fn of(&mut self, axis: Axis) -> &mut Border {
        match axis {
            Axis::Vertical => &mut self.vertical,
            Axis::Horizontal => &mut self.horizontal,
        }
    }
}

/// What was padded along one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Border {
    /// The least receptive field, in front and behind, that repeated edges ask for.
    repeated: [Rational; 2],
    /// If an edge was reflected: how much further than its place an element may see.
    reflected: Option<Rational>,
}

impl Border {
    fn new() -> Self {
        Border { repeated: [whole(0); 2], reflected: None }
    }

    /// Notes that the outermost elements of `span` are repeated.
    pub fn repeat(&mut self, span: &InputSpan, sizes: &Sizes) -> Result<(), Stop> {
        let [before, behind] = &mut self.repeated;
        *behind = span.high.max(*behind);
        // The last element's first pixel, from the picture's last one: `length - 1 - (low + step * (len - 1))`.
        *before = (span.missing(sizes)? - 1 - span.low + span.step).max(*before);
        Ok(())
    }

    /// Notes that `span` is reflected at its outermost elements.
    pub fn reflect(&mut self, span: &InputSpan, sizes: &Sizes) -> Result<(), Stop> {
        // Element -j sees what element j does: beyond the mirrored place of what -j would see by `low + high`; behind the last
        // element, likewise.
        let before = span.low + span.high;
        let behind = (span.missing(sizes)? + span.step - 1) * 2 - before;
        let off = before.max(behind).max(whole(0)) + self.reflected.unwrap_or_else(|| whole(0));
        match super::sizes::bounded(off) {
            Some(off) => self.reflected = Some(off),
            None => return global("numbers too large to follow"),
        }
        Ok(())
    }

    /// The whole receptive field in front and behind, of one that is `reach` without the edges.
    pub fn reach(&self, reach: [Rational; 2]) -> [Rational; 2] {
        let [before, behind] = [0, 1].map(|side| reach[side].max(self.repeated[side]));
        match self.reflected {
            None => [before, behind],
            Some(off) => [before.max(behind) + off; 2],
        }
    }
}
