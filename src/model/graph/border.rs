//! The effect of repeated and reflected edges on the receptive field.
//!
//! At the picture's edge, an element filled by such a padding sees other pixels than its position implies (see
//! [`InputSpan`]):
//!
//! - Repeated: it sees what the outermost element sees. That element has a known position, and the pixels that depend
//!   on it lie inside, so the receptive field must be at least the distance from the edge to that position.
//! - Reflected: it sees what lies as far inside as its position lies outside. From a pixel inside, that is never
//!   further than its position, but in the other direction, so the receptive field becomes symmetric. It is larger only
//!   if the elements are not symmetric about the edge, by the amount of the asymmetry.

use super::picture::InputSpan;
use super::sizes::{Axis, Rational, Sizes, Stop, global, whole};

/// The padding of both axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Borders {
    pub vertical: Border,
    pub horizontal: Border,
    /// Whether the rounding of weights depends on the position in the picture.
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

/// The padding along one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Border {
    /// The minimum receptive field, before and behind, because of repeated edges.
    repeated: [Rational; 2],
    /// If an edge was reflected: how much further than its position an element may see.
    reflected: Option<Rational>,
}

impl Border {
    fn new() -> Self {
        Border { repeated: [whole(0); 2], reflected: None }
    }

    /// Records that the outermost elements of `span` are repeated.
    pub fn repeat(&mut self, span: &InputSpan, sizes: &Sizes) -> Result<(), Stop> {
        let [before, behind] = &mut self.repeated;
        *behind = span.high.max(*behind);
        // The distance from the last element's first pixel to the picture's last pixel: `length - 1 - (low + step *
        // (len - 1))`.
        *before = (span.missing(sizes)? - 1 - span.low + span.step).max(*before);
        Ok(())
    }

    /// Records that `span` is reflected at its outermost elements.
    pub fn reflect(&mut self, span: &InputSpan, sizes: &Sizes) -> Result<(), Stop> {
        // Element -j sees what element j sees, which exceeds the mirrored position of -j by `low + high`; likewise
        // behind the last element.
        let before = span.low + span.high;
        let behind = (span.missing(sizes)? + span.step - 1) * 2 - before;
        let off = before.max(behind).max(whole(0)) + self.reflected.unwrap_or_else(|| whole(0));
        match super::sizes::bounded(off) {
            Some(off) => self.reflected = Some(off),
            None => return global("numbers too large to follow"),
        }
        Ok(())
    }

    /// The receptive field before and behind, given the `field` without the effect of the edges.
    pub fn widened(&self, field: [Rational; 2]) -> [Rational; 2] {
        let [before, behind] = [0, 1].map(|side| field[side].max(self.repeated[side]));
        match self.reflected {
            None => [before, behind],
            Some(off) => [before.max(behind) + off; 2],
        }
    }
}
