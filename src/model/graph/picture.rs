//! Tensors that depend on the picture, and which of its pixels each element sees.

use super::sizes::{Affine, Axis, Rational, Sizes, Stop, bounded, global, whole};

/// A dimension along the picture.
///
/// Element `i` sees only the input pixels `low + step * i ..= high + step * i`. The bounds are exact fractions. The
/// formula also applies to elements before the first and behind the last, which a padding adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InputSpan {
    pub axis: Axis,
    /// Number of elements.
    pub len: Affine,
    /// Distance between elements, in input pixels.
    pub step: Rational,
    pub low: Rational,
    pub high: Rational,
}

impl InputSpan {
    /// The picture's own rows or columns.
    pub fn input(axis: Axis, sizes: &Sizes) -> Self {
        InputSpan { axis, len: sizes.length(axis), step: whole(1), low: whole(0), high: whole(0) }
    }

    /// Returns the span if its numbers can be followed.
    pub fn checked(self) -> Result<Self, Stop> {
        let bounded = [self.step, self.low, self.high].into_iter().all(|number| bounded(number).is_some());
        if bounded { Ok(self) } else { global("numbers too large or too fine to follow") }
    }

    /// Groups of `count` consecutive elements.
    pub fn grouped(self, count: u64, sizes: &Sizes) -> Result<Self, Stop> {
        let len = self.len.over(Affine::whole(count)).map(|len| sizes.integral(len)).transpose()?;
        let Some(len) = len else { return global("lengths that cannot be followed") };
        let count = whole(count);
        InputSpan { len, step: self.step * count, high: self.high + self.step * (count - 1), ..self }.checked()
    }

    /// `count` elements instead of each one.
    pub fn divided(self, count: u64) -> Result<Self, Stop> {
        let Some(len) = self.len.times(Affine::whole(count)) else { return global("lengths that cannot be followed") };
        let step = self.step / whole(count);
        InputSpan { len, step, low: self.low - step * (whole(count) - 1), ..self }.checked()
    }

    /// Removes the first `count` elements; adds elements before the first if negative.
    pub fn skipped(self, count: Rational) -> Self {
        let shift = self.step * count;
        InputSpan { low: self.low + shift, high: self.high + shift, ..self }
    }

    /// Marks the elements before the first as padding.
    ///
    /// Padding depends on the position of the first element. So the nearest padding element must see a pixel outside
    /// the picture: otherwise a part that contains everything it sees could have padding where the whole picture has
    /// none.
    pub fn bordered_before(self) -> Self {
        InputSpan { low: self.low.min(self.step - 1), ..self }
    }

    /// Like [`InputSpan::bordered_before`], for the elements behind the last.
    pub fn bordered_behind(self, sizes: &Sizes) -> Result<Self, Stop> {
        Ok(InputSpan { high: self.high.max(self.missing(sizes)?), ..self })
    }

    /// Pixels of the picture that the elements do not cover, from their number and distance; negative if they exceed
    /// it.
    pub fn missing(&self, sizes: &Sizes) -> Result<Rational, Stop> {
        let covered = self.len.times_constant(self.step);
        let missing = covered.and_then(|covered| sizes.length(self.axis).minus(covered));
        match missing.and_then(Affine::as_constant) {
            Some(missing) => Ok(missing),
            None => global("a part of the picture whose size does not grow with it"),
        }
    }

    /// The union of what the elements of two tensors see, element by element.
    pub fn joined(self, other: InputSpan) -> Result<Self, Stop> {
        if (self.axis, self.len, self.step) != (other.axis, other.len, other.step) {
            return global("parts of different sizes combined");
        }
        Ok(InputSpan { low: self.low.min(other.low), high: self.high.max(other.high), ..self })
    }
}

/// A factor of a dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Atom {
    /// Elements of which each may see everything that the others see: channels, the batch. At least 2.
    Plain(u64),
    Along(InputSpan),
}

/// One dimension of a tensor: the product of its atoms, the last one varying fastest. Empty for a length of 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dim(Vec<Atom>);

impl Dim {
    /// Builds a dimension in its simplest form.
    pub fn new(atoms: impl IntoIterator<Item = Atom>) -> Result<Self, Stop> {
        let mut dim: Vec<Atom> = Vec::new();
        for atom in atoms {
            match (dim.last_mut(), atom) {
                (_, Atom::Plain(0)) => return global("an empty tensor"),
                (_, Atom::Plain(1)) => {}
                (Some(Atom::Plain(outer)), Atom::Plain(count)) => *outer = product(*outer, count)?,
                (Some(Atom::Along(span)), Atom::Plain(count)) => *span = span.divided(count)?,
                _ => dim.push(atom),
            }
        }
        Ok(Dim(dim))
    }

    pub fn plain(len: u64) -> Result<Self, Stop> {
        Self::new([Atom::Plain(len)])
    }

    pub fn along(span: InputSpan) -> Self {
        Dim(vec![Atom::Along(span)])
    }

    pub fn atoms(&self) -> &[Atom] {
        &self.0
    }

    pub fn is_one(&self) -> bool {
        self.0.is_empty()
    }

    /// Its length, if no factor is along the picture.
    pub fn as_plain(&self) -> Option<u64> {
        match self.0.as_slice() {
            [] => Some(1),
            [Atom::Plain(len)] => Some(*len),
            _ => None,
        }
    }

    /// The span, if it is the only factor.
    pub fn as_span(&self) -> Option<InputSpan> {
        match self.0.as_slice() {
            [Atom::Along(span)] => Some(*span),
            _ => None,
        }
    }

    /// The length, if it can be followed (rows times columns cannot).
    pub fn len(&self) -> Option<Affine> {
        self.0.iter().try_fold(Affine::ONE, |len, atom| {
            len.times(match atom {
                Atom::Plain(count) => Affine::whole(*count),
                Atom::Along(span) => span.len,
            })
        })
    }

    /// Combines the dimensions of two tensors element by element; a length of 1 is broadcast.
    pub fn joined(&self, other: &Dim) -> Result<Dim, Stop> {
        if self.is_one() || other.is_one() {
            return Ok(if self.is_one() { other.clone() } else { self.clone() });
        }
        if self.0.len() != other.0.len() {
            return global("parts of different shapes combined");
        }
        let atoms = self.0.iter().zip(&other.0).map(|pair| match pair {
            (Atom::Plain(a), Atom::Plain(b)) if a == b => Ok(Atom::Plain(*a)),
            (Atom::Along(a), Atom::Along(b)) => a.joined(*b).map(Atom::Along),
            _ => global("parts of different shapes combined"),
        });
        Ok(Dim(atoms.collect::<Result<_, _>>()?))
    }
}

fn product(a: u64, b: u64) -> Result<u64, Stop> {
    a.checked_mul(b).filter(|&product| product < 1 << 40).map_or_else(|| global("a tensor too large"), Ok)
}

/// A tensor that depends on the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub dims: Vec<Dim>,
}

/// Maximum number of dimensions of a tensor; no operator produces that many.
pub(super) const MAX_DIMS: usize = 16;

impl Picture {
    pub fn new(dims: Vec<Dim>) -> Result<Self, Stop> {
        if dims.len() > MAX_DIMS { global("a tensor of too many dimensions") } else { Ok(Picture { dims }) }
    }

    /// The position of an axis; negative numbers count from the end.
    pub fn position(&self, axis: i64) -> Result<usize, Stop> {
        position(axis, self.dims.len())
    }

    /// The channels and the two spans of a tensor in `N C H W` order.
    pub fn planes(&self) -> Result<Planes, Stop> {
        let [batch, channels, rows, columns] = self.dims.as_slice() else {
            return global("a tensor that is not a four-dimensional picture");
        };
        let Some(channels) = channels.as_plain() else { return global("channels that run along the picture") };
        if !batch.is_one() {
            return global("a batch of several pictures");
        }
        match (rows.as_span(), columns.as_span()) {
            (Some(rows), Some(columns)) if rows.axis == Axis::Vertical && columns.axis == Axis::Horizontal => {
                Ok(Planes { channels, spans: [rows, columns] })
            }
            _ => global("a tensor whose last two dimensions are not the picture's rows and columns"),
        }
    }

    /// Number of elements per input pixel.
    pub fn elements(&self) -> f64 {
        let atoms = self.dims.iter().flat_map(Dim::atoms);
        let of = |atom: &Atom| match atom {
            Atom::Plain(count) => *count as f64,
            Atom::Along(span) => *span.step.denom() as f64 / *span.step.numer() as f64,
        };
        atoms.map(of).product()
    }

    /// What must be the same for all sizes: everything but the lengths along the picture and the upper bounds of the
    /// spans.
    pub fn layout(&self) -> Vec<Vec<Atom>> {
        let fixed = |atom: &Atom| match atom {
            Atom::Plain(len) => Atom::Plain(*len),
            Atom::Along(span) => Atom::Along(InputSpan { len: Affine::ONE, high: whole(0), ..*span }),
        };
        self.dims.iter().map(|dim| dim.0.iter().map(fixed).collect()).collect()
    }
}

/// The position of an axis; negative numbers count from the end.
pub(super) fn position(axis: i64, dims: usize) -> Result<usize, Stop> {
    let from_end = if axis < 0 { axis.saturating_add(dims as i64) } else { axis };
    match usize::try_from(from_end) {
        Ok(position) if position < dims => Ok(position),
        _ => global(format!("an axis {axis} that its input does not have")),
    }
}

/// A tensor `1 C H W`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planes {
    pub channels: u64,
    /// Rows, then columns.
    pub spans: [InputSpan; 2],
}

impl Planes {
    pub fn picture(self) -> Result<Picture, Stop> {
        let [rows, columns] = self.spans.map(Dim::along);
        Picture::new(vec![Dim::default(), Dim::plain(self.channels)?, rows, columns])
    }
}
