//! Lanczos resizing of the planes that the network does not process, in phase with the luma that it enlarges.
//!
//! Each row of the result is made in two passes, in single precision and without clipping in between: a weighted sum of
//! source rows gives a row of source width, which is then widened. As the scale is an integer, the weights repeat with
//! each source sample, and both passes are weighted sums of [`TAPS`] rows.

use std::f64::consts::PI;
use std::ops::Range;

use super::samples::simd;

/// Half the width of the kernel, in source samples.
const LOBES: f64 = 3.0;
/// Source samples that contribute to one result sample.
const TAPS: usize = 6;

/// The Lanczos kernel: sinc(x) sinc(x / 3) between -3 and 3.
fn kernel(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
    if x.abs() < LOBES { sinc(x) * sinc(x / LOBES) } else { 0.0 }
}

/// The source samples and weights that make one result sample.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Taps {
    /// The first source sample that contributes.
    first: isize,
    weights: [f32; TAPS],
}

/// One direction of a plane on its way from input to output size.
///
/// Luma pixel `i` has its centre at `i + 1/2` input pixels, pixel `I` of the network's output at `(I + 1/2) / s`.
/// Chroma sample `k` midway between two pixels lies at `2 k + 1`, so that sample `K` of the output belongs to `k = (K +
/// 1/2) / s - 1/2`, as in any resizing by `s`. A cosited sample lies at `2 k + 1/2`, and `K` belongs to `k = (K + 1/4)
/// / s - 1/4`, which is `(1 - 1/s) / 4` more.
///
/// For odd sizes the scale is still exactly `s`, although the subsampled plane does not grow by exactly that. Taps
/// beyond the source have no weight, and the remaining weights are normalised; if the result extends further, the last
/// sample is repeated up to its end.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// Sample counts of the source and the result.
    pub source: usize,
    pub result: usize,
    scale: usize,
    /// Where the result starts in the source.
    start: f64,
    /// Source samples, including repetitions of the last one.
    padded: usize,
    /// The source samples for which all taps of their `scale` result samples lie within the source.
    inner: Range<usize>,
    /// The taps of the `scale` result samples of an inner source sample, relative to that sample.
    phases: Vec<Taps>,
    /// The taps of the remaining result samples.
    edges: Vec<Taps>,
}

impl Axis {
    /// For a frame of `pixels` in this direction; `subsampled` and `cosited` follow from the frame's format and colour.
    pub fn new(pixels: u32, scale: u32, subsampled: bool, cosited: bool) -> Self {
        let samples = |pixels: usize| if subsampled { pixels.div_ceil(2) } else { pixels };
        let (source, result) = (samples(pixels as usize), samples(pixels as usize * scale as usize));
        let start = if subsampled && cosited { (1.0 - 1.0 / f64::from(scale)) / 4.0 } else { 0.0 };
        let padded = source.max((start + result as f64 / f64::from(scale)).ceil() as usize);
        let mut axis = Self {
            source,
            result,
            scale: scale as usize,
            start,
            padded,
            inner: 0..0,
            phases: Vec::new(),
            edges: Vec::new(),
        };
        axis.phases = (0..axis.scale).map(|phase| axis.everywhere(phase)).collect();
        let firsts = || axis.phases.iter().map(|taps| taps.first);
        let begin = firsts().min().map_or(0, |first| -first).max(0);
        let end = source as isize - TAPS as isize + 1 - firsts().max().unwrap_or(0);
        let end = end.min((result / axis.scale) as isize);
        if begin < end {
            axis.inner = begin as usize..end as usize;
        }
        axis.edges = axis.outer().map(|index| axis.at_edge(index)).collect();
        axis
    }

    /// The result samples whose taps may extend beyond the source.
    fn outer(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.inner.start * self.scale).chain(self.inner.end * self.scale..self.result)
    }

    /// The samples of the result that belong to these of the source.
    pub fn of_source(&self, samples: &Range<usize>) -> Range<usize> {
        (samples.start * self.scale).min(self.result)..(samples.end * self.scale).min(self.result)
    }

    /// The samples of the source that those of the result have a weight in which belong to these of the source.
    pub fn read_for(&self, samples: &Range<usize>) -> Range<usize> {
        samples.start.saturating_sub(TAPS)..(samples.end + TAPS).min(self.source)
    }

    /// Whether the result equals the source.
    fn is_identity(&self) -> bool {
        self.source == self.result && self.start == 0.0
    }

    /// The position of result sample `index` in the source, whose sample `i` extends from `i` to `i + 1`.
    fn centre(&self, index: usize) -> f64 {
        self.start + (index as f64 + 0.5) / self.scale as f64
    }

    fn first(&self, index: usize) -> isize {
        (self.centre(index) - LOBES - 0.5).floor() as isize + 1
    }

    fn weight(&self, index: usize, sample: isize) -> f64 {
        kernel(sample as f64 + 0.5 - self.centre(index))
    }

    /// The taps for a source without ends.
    fn everywhere(&self, index: usize) -> Taps {
        let first = self.first(index);
        let weights: [f64; TAPS] = std::array::from_fn(|tap| self.weight(index, first + tap as isize));
        let sum: f64 = weights.iter().sum();
        Taps { first, weights: weights.map(|weight| (weight / sum) as f32) }
    }

    /// The taps of result sample `index`. They lie within the source if it has enough samples; otherwise those beyond
    /// it have weight 0.
    fn taps(&self, index: usize) -> Taps {
        let sample = index / self.scale;
        if self.inner.contains(&sample) {
            let Taps { first, weights } = self.phases[index % self.scale];
            return Taps { first: first + sample as isize, weights };
        }
        self.edges[if sample < self.inner.start { index } else { index - self.inner.len() * self.scale }]
    }

    fn at_edge(&self, index: usize) -> Taps {
        let first = self.first(index);
        let begin = first.min(self.source as isize - TAPS as isize).max(0);
        let mut weights = [0.0; TAPS];
        for sample in first.max(0)..(first + TAPS as isize).min(self.padded as isize) {
            let at = sample.min(self.source as isize - 1) - begin;
            weights[at as usize] += self.weight(index, sample);
        }
        let sum: f64 = weights.iter().sum();
        Taps { first: begin, weights: weights.map(|weight| (weight / sum) as f32) }
    }
}

/// Both directions.
#[derive(Clone, Debug)]
pub(super) struct Axes {
    pub x: Axis,
    pub y: Axis,
}

impl Axes {
    /// Whether the result equals the source.
    pub fn is_identity(&self) -> bool {
        self.x.is_identity() && self.y.is_identity()
    }

    /// Makes row `y` of the result from `source`, which is `x.source` by `y.source` values. `buffer` grows as needed
    /// and keeps its memory.
    pub fn resize_row(&self, source: &[f32], y: usize, buffer: &mut Vec<f32>, out: &mut [f32]) {
        self.resize_part(&Rows { values: source, first: 0 }, y, 0..self.x.source, buffer, out);
    }

    /// The samples of row `y` of the result that belong to these `columns` of the source; see [`Axis::of_source`].
    pub fn resize_part(&self, source: &Rows, y: usize, columns: Range<usize>, buffer: &mut Vec<f32>, out: &mut [f32]) {
        let x = &self.x;
        // At the frame's edges, the taps of a sample begin up to as many samples before it.
        let read = x.read_for(&columns);
        let inner = columns.start.max(x.inner.start)..columns.end.min(x.inner.end);
        let count = inner.len();
        buffer.resize((read.len() + x.scale * count).max(buffer.len()), 0.0);
        let (row, rest) = buffer.split_at_mut(read.len());
        let phases = &mut rest[..x.scale * count];
        let Taps { first, weights } = self.y.taps(y);
        let line = |tap: usize| {
            let line = (first as usize + tap).min(self.y.source - 1) - source.first;
            &source.values[line * x.source..][read.clone()]
        };
        add_weighted(std::array::from_fn(line), weights, row);

        let wanted = x.of_source(&columns);
        let made = if count > 0 { inner.start * x.scale..inner.end * x.scale } else { wanted.start..wanted.start };
        if count > 0 {
            for (taps, phase) in x.phases.iter().zip(phases.chunks_exact_mut(count)) {
                let begin = (inner.start as isize + taps.first) as usize - read.start;
                add_weighted(std::array::from_fn(|tap| &row[begin + tap..]), taps.weights, phase);
            }
            interleave(phases, x.scale, &mut out[made.start - wanted.start..made.end - wanted.start]);
        }
        for index in (wanted.start..made.start).chain(made.end..wanted.end) {
            let Taps { first, weights } = x.taps(index);
            let row = &row[first as usize - read.start..];
            out[index - wanted.start] = weights.iter().zip(row).map(|(weight, value)| weight * value).sum();
        }
    }
}

/// Rows of a plane, of all its columns.
pub(super) struct Rows<'a> {
    pub values: &'a [f32],
    /// The row of the plane that is the first of these.
    pub first: usize,
}

/// Writes the weighted sum of the rows to `out`.
fn add_weighted(rows: [&[f32]; TAPS], weights: [f32; TAPS], out: &mut [f32]) {
    simd(
        #[inline(always)]
        || {
            let [a, b, c, d, e, f] = rows.map(|row| &row[..out.len()]);
            let [u, v, w, x, y, z] = weights;
            for (i, out) in out.iter_mut().enumerate() {
                *out = u * a[i] + v * b[i] + w * c[i] + x * d[i] + y * e[i] + z * f[i];
            }
        },
    );
}

/// Interleaves consecutive rows: the first value of each, then the second.
fn interleave(rows: &[f32], count: usize, out: &mut [f32]) {
    match count {
        1 => out.copy_from_slice(rows),
        2 => interleave_by::<2>(rows, out),
        3 => interleave_by::<3>(rows, out),
        4 => interleave_by::<4>(rows, out),
        _ => {
            for (begin, row) in rows.chunks_exact((out.len() / count).max(1)).enumerate() {
                out[begin..].iter_mut().step_by(count).zip(row).for_each(|(out, value)| *out = *value);
            }
        }
    }
}

fn interleave_by<const COUNT: usize>(rows: &[f32], out: &mut [f32]) {
    simd(
        #[inline(always)]
        || {
            let out = out.as_chunks_mut::<COUNT>().0;
            let length = out.len();
            let rows: [&[f32]; COUNT] = std::array::from_fn(|row| &rows[row * length..][..length]);
            for (i, out) in out.iter_mut().enumerate() {
                *out = std::array::from_fn(|row| rows[row][i]);
            }
        },
    );
}
