//! Numbers that depend on the picture's size, and the assumptions about that size.
//!
//! Tensor lengths, and numbers that exported graphs compute from them, are exact affine expressions of two unknowns,
//! one for the picture's height and one for its width. So the results hold for all sizes, not only for sizes tried. If
//! an expression is affine only for multiples (`height / 2`, rounded), the analysis restarts for those multiples and
//! then for each remainder.

use num_rational::Ratio;

use crate::types::Size;

/// An exact fraction. Bounded (see [`bounded`]), so that arithmetic on two of them cannot overflow.
pub(super) type Rational = Ratio<i128>;

/// The largest number followed: that of an `int64`, which exporters write for "to the end".
const MAX_NUMBER: i128 = 1 << 63;
/// The largest denominator followed.
const MAX_DENOMINATOR: i128 = 1 << 20;
/// The largest value of the unknowns, beyond any picture.
const MAX_UNKNOWN: i128 = 1 << 24;
/// Up to this size, the result may exclude small pictures.
const MAX_LEAST: i128 = 256;

/// Returns the number, unless it is too large or too fine to be followed.
pub(super) fn bounded(number: Rational) -> Option<Rational> {
    (number.numer().abs() <= MAX_NUMBER && *number.denom() <= MAX_DENOMINATOR).then_some(number)
}

pub(super) fn whole(number: impl Into<i128>) -> Rational {
    Rational::from_integer(number.into())
}

/// One of the two directions of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    Vertical,
    Horizontal,
}

/// Why the analysis of a graph ends early.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stop {
    /// The graph is not local, or not provably so. One line that can follow "not local: ".
    Global(String),
    /// The lengths can be followed only if the assumed multiple is multiplied by this factor.
    Multiple(Axis, i128),
}

/// Returns a [`Stop::Global`] with this reason.
pub(super) fn global<T>(reason: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Global(reason.into()))
}

/// `vertical * h + horizontal * w + constant`, with `h` and `w` the unknowns of [`Sizes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Affine {
    vertical: Rational,
    horizontal: Rational,
    constant: Rational,
}

impl Affine {
    pub const ONE: Affine = Affine {
        vertical: Rational::new_raw(0, 1),
        horizontal: Rational::new_raw(0, 1),
        constant: Rational::new_raw(1, 1),
    };

    pub fn constant(constant: Rational) -> Self {
        Affine { vertical: whole(0), horizontal: whole(0), constant }
    }

    pub fn whole(number: impl Into<i128>) -> Self {
        Self::constant(whole(number))
    }

    /// Its value, if it does not depend on the unknowns.
    pub fn as_constant(self) -> Option<Rational> {
        (self.vertical == whole(0) && self.horizontal == whole(0)).then_some(self.constant)
    }

    /// Its value, if it is an integer that does not depend on the unknowns.
    pub fn as_whole(self) -> Option<i128> {
        self.as_constant().filter(Ratio::is_integer).map(|number| number.to_integer())
    }

    /// Whether it is an integer for all integer unknowns.
    pub fn is_whole(self) -> bool {
        self.vertical.is_integer() && self.horizontal.is_integer() && self.constant.is_integer()
    }

    fn each(self, change: impl Fn(Rational) -> Option<Rational>) -> Option<Self> {
        Some(Affine {
            vertical: bounded(change(self.vertical)?)?,
            horizontal: bounded(change(self.horizontal)?)?,
            constant: bounded(change(self.constant)?)?,
        })
    }

    /// The sum, if it can be followed.
    pub fn plus(self, other: Self) -> Option<Self> {
        Some(Affine {
            vertical: bounded(self.vertical + other.vertical)?,
            horizontal: bounded(self.horizontal + other.horizontal)?,
            constant: bounded(self.constant + other.constant)?,
        })
    }

    /// The difference, if it can be followed.
    pub fn minus(self, other: Self) -> Option<Self> {
        self.plus(other.times_constant(whole(-1))?)
    }

    /// The product with a constant, if it can be followed.
    pub fn times_constant(self, factor: Rational) -> Option<Self> {
        self.each(|number| Some(number * factor))
    }

    /// The product, if one factor is a constant and the result can be followed.
    pub fn times(self, other: Self) -> Option<Self> {
        match (self.as_constant(), other.as_constant()) {
            (_, Some(factor)) => self.times_constant(factor),
            (Some(factor), None) => other.times_constant(factor),
            (None, None) => None,
        }
    }

    /// The exact quotient, if the divisor is a constant or the two are proportional.
    pub fn over(self, divisor: Self) -> Option<Self> {
        match divisor.as_constant() {
            Some(number) if number == whole(0) => None,
            Some(number) => self.each(|part| Some(part / number)),
            None => self.ratio(divisor).map(Affine::constant),
        }
    }

    /// The constant ratio of this to `other`, if there is one for all values of the unknowns.
    pub fn ratio(self, other: Self) -> Option<Rational> {
        let parts =
            [(self.vertical, other.vertical), (self.horizontal, other.horizontal), (self.constant, other.constant)];
        let (over, under) = parts.into_iter().find(|(_, under)| *under != whole(0))?;
        let ratio = bounded(over / under)?;
        (other.times_constant(ratio) == Some(self)).then_some(ratio)
    }

    /// [`Affine::ratio`], if that is a positive integer.
    pub fn whole_ratio(self, other: Self) -> Option<u64> {
        let ratio = self.ratio(other).filter(Ratio::is_integer)?;
        u64::try_from(ratio.to_integer()).ok().filter(|&ratio| ratio >= 1)
    }
}

/// The assumption about one side of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The only length that the network accepts.
    Fixed(u32),
    /// `multiple * unknown + rest`, for all `unknown >= from`.
    Free { multiple: i128, rest: i128, from: i128 },
}

impl Side {
    /// The largest length with this remainder that the result does not cover.
    fn largest_unproven(self) -> i128 {
        match self {
            Side::Fixed(_) => 0,
            Side::Free { multiple, rest, from } => multiple * (from - 1) + rest,
        }
    }
}

/// The picture sizes that the analysis covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    vertical: Side,
    horizontal: Side,
}

impl Sizes {
    pub fn fixed(size: Size) -> Self {
        Sizes { vertical: Side::Fixed(size.height), horizontal: Side::Fixed(size.width) }
    }

    /// All sizes with these remainders, from the multiple up, so that no length is zero.
    pub fn free(multiple: [i128; 2], rest: [i128; 2]) -> Self {
        let side = |at: usize| Side::Free { multiple: multiple[at], rest: rest[at], from: 1 };
        Sizes { vertical: side(0), horizontal: side(1) }
    }

    fn side(&self, axis: Axis) -> Side {
        match axis {
            Axis::Vertical => self.vertical,
            Axis::Horizontal => self.horizontal,
        }
    }

    /// The picture's length along `axis`.
    pub fn length(&self, axis: Axis) -> Affine {
        let (multiple, rest) = match self.side(axis) {
            Side::Fixed(length) => (0, length.into()),
            Side::Free { multiple, rest, .. } => (multiple, rest),
        };
        let mut length = Affine::whole(rest);
        match axis {
            Axis::Vertical => length.vertical = whole(multiple),
            Axis::Horizontal => length.horizontal = whole(multiple),
        }
        length
    }

    /// The smallest height and width covered; the result holds for all larger ones with the same remainders.
    pub fn least(&self) -> [i128; 2] {
        [self.vertical, self.horizontal].map(|side| side.largest_unproven() + 1)
    }

    /// Rounds down to an integer.
    pub fn floor(&self, number: Affine) -> Result<Affine, Stop> {
        for (axis, factor) in [(Axis::Vertical, number.vertical), (Axis::Horizontal, number.horizontal)] {
            if !factor.is_integer() {
                return Err(Stop::Multiple(axis, *factor.denom()));
            }
        }
        Ok(Affine { constant: number.constant.floor(), ..number })
    }

    /// Returns the number if it is an integer.
    pub fn integral(&self, number: Affine) -> Result<Affine, Stop> {
        if self.floor(number)? == number { Ok(number) } else { global("lengths that do not divide") }
    }

    /// Whether `a >= b`, if the answer is the same for all sizes. May exclude sizes below [`MAX_LEAST`] to achieve
    /// that.
    pub fn at_least(&mut self, a: Affine, b: Affine) -> Option<bool> {
        let difference = a.minus(b)?;
        let constant = difference.constant;
        let (side, slope) = match (difference.vertical == whole(0), difference.horizontal == whole(0)) {
            (true, true) => return Some(constant >= whole(0)),
            (false, true) => (&mut self.vertical, difference.vertical),
            (true, false) => (&mut self.horizontal, difference.horizontal),
            (false, false) => return None,
        };
        let Side::Free { multiple, from, .. } = side else { return None };
        let rises = slope > whole(0);
        // From this value of the unknown on, the answer no longer changes.
        let root = -constant / slope;
        let settled = if rises { root.ceil().to_integer() } else { root.floor().to_integer() + 1 };
        if settled <= *from {
            return Some(rises);
        }
        if settled > MAX_UNKNOWN {
            return Some(!rises);
        }
        if *multiple * settled > MAX_LEAST {
            return None;
        }
        *from = settled;
        Some(rises)
    }

    /// The smaller of the two, if it is the same one for all sizes.
    pub fn min(&mut self, a: Affine, b: Affine) -> Option<Affine> {
        Some(if self.at_least(a, b)? { b } else { a })
    }

    /// The larger of the two, if it is the same one for all sizes.
    pub fn max(&mut self, a: Affine, b: Affine) -> Option<Affine> {
        Some(if self.at_least(a, b)? { a } else { b })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free() -> Sizes {
        Sizes::free([2, 1], [1, 0])
    }

    #[test]
    fn halves_require_a_multiple() {
        let sizes = free();
        let half = |axis| sizes.length(axis).over(Affine::whole(2)).unwrap();
        let halved = sizes.floor(half(Axis::Vertical)).unwrap();
        assert_eq!(halved.times_constant(whole(2)).unwrap().plus(Affine::ONE), Some(sizes.length(Axis::Vertical)));
        assert_eq!(sizes.floor(half(Axis::Horizontal)), Err(Stop::Multiple(Axis::Horizontal, 2)));
        assert!(matches!(sizes.integral(half(Axis::Vertical)), Err(Stop::Global(_))));
    }

    #[test]
    fn comparisons_hold_for_all_sizes_or_are_refused() {
        let mut sizes = free();
        let width = sizes.length(Axis::Horizontal);
        assert_eq!(sizes.at_least(width, Affine::whole(1)), Some(true));
        assert_eq!(sizes.least(), [2, 1]);
        assert_eq!(sizes.at_least(width, Affine::whole(64)), Some(true));
        assert_eq!(sizes.least(), [2, 64]);
        assert_eq!(sizes.at_least(Affine::whole(64), width), None.or(Some(false)));
        assert_eq!(sizes.least(), [2, 65]);
        assert_eq!(sizes.at_least(width, Affine::whole(1000)), None);
        assert_eq!(sizes.at_least(width, Affine::whole(i64::MAX)), Some(false));
        assert_eq!(sizes.at_least(width, sizes.length(Axis::Vertical)), None);
    }

    #[test]
    fn proportions_are_found_and_products_of_unknowns_are_not_followed() {
        let sizes = free();
        let [height, width] = [Axis::Vertical, Axis::Horizontal].map(|axis| sizes.length(axis));
        let twice = height.times(Affine::whole(2)).unwrap();
        assert_eq!((twice.whole_ratio(height), height.whole_ratio(twice)), (Some(2), None));
        assert_eq!(height.over(twice).and_then(Affine::as_constant), Some(Rational::new(1, 2)));
        assert_eq!((height.times(width), height.ratio(width), height.over(Affine::whole(0))), (None, None, None));
        assert_eq!(Affine::whole(i64::MAX).times(Affine::whole(2)), None);
    }
}
