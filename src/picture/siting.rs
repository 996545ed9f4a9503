//! Resamples chroma to luma's grid and back, one direction at a time.
//!
//! Upsampling is bilinear interpolation; downsampling is its transpose: the mean of two pixels for chroma midway
//! between them, (1 2 1) / 4 for cosited chroma. Both preserve position and constants.

use super::samples::simd;

/// The two chroma rows (or columns) that luma row `y` is interpolated from: the nearer one, and the other one, with
/// weight [`other_weight`]. Both are the same if only one contributes.
///
/// `rows` is the number of chroma rows; beyond the frame's edge the last one is repeated.
pub(super) fn upsample_taps(y: usize, rows: usize, cosited: bool) -> [usize; 2] {
    let near = y / 2;
    let other = match (cosited, y % 2) {
        (true, 0) => near,
        (false, 0) => near.saturating_sub(1),
        (_, _) => near + 1,
    };
    [near, other].map(|tap| tap.min(rows - 1))
}

/// The weight of the second row of [`upsample_taps`].
pub(crate) fn other_weight(cosited: bool) -> f32 {
    if cosited { 0.5 } else { 0.25 }
}

/// `out[i] += weight * (other[i] - out[i])`.
pub(super) fn blend(out: &mut [f32], other: &[f32], weight: f32) {
    simd(
        #[inline(always)]
        || {
            for (out, &other) in out.iter_mut().zip(other) {
                *out += weight * (other - *out);
            }
        },
    );
}

/// Interpolates a row of chroma to luma's columns.
///
/// `chroma` holds the samples k - 1 to k + n; `out` receives the columns 2k to 2k + 2n - 1.
pub(super) fn upsample(chroma: &[f32], cosited: bool, out: &mut [f32]) {
    let (before, weight) = (usize::from(cosited), other_weight(cosited));
    simd(
        #[inline(always)]
        || {
            let n = out.len() / 2;
            // For cosited chroma, the even column equals the sample: its "left" neighbour is then the sample itself.
            let (left, here, right) = (&chroma[before..][..n], &chroma[1..][..n], &chroma[2..][..n]);
            let pairs = out.chunks_exact_mut(2).zip(left.iter().zip(here).zip(right));
            for (pair, ((&left, &here), &right)) in pairs {
                pair[0] = here + weight * (left - here);
                pair[1] = here + weight * (right - here);
            }
        },
    );
}

/// The luma rows (or columns) that chroma sample `k` is computed from, clamped to `first..=last`.
pub(super) fn downsample_taps(k: usize, cosited: bool, first: usize, last: usize) -> [usize; 3] {
    let here = 2 * k;
    let before = if cosited { here.saturating_sub(1) } else { here };
    [before, here, here + 1].map(|tap| tap.clamp(first, last))
}

/// The weighted mean of the three rows of [`downsample_taps`].
pub(super) fn downsample_rows(rows: [&[f32]; 3], cosited: bool, out: &mut [f32]) {
    let [before, here, after] = rows;
    simd(
        #[inline(always)]
        || {
            let rows = before.iter().zip(here).zip(after);
            if cosited {
                for (out, ((&before, &here), &after)) in out.iter_mut().zip(rows) {
                    *out = 0.25 * before + 0.5 * here + 0.25 * after;
                }
            } else {
                for (out, (&here, &after)) in out.iter_mut().zip(here.iter().zip(after)) {
                    *out = 0.5 * (here + after);
                }
            }
        },
    );
}

/// Filters a row down to chroma's columns.
///
/// `row` holds the columns 2k - 1 to 2k + 2n - 1; `out` receives the samples k to k + n - 1.
pub(super) fn downsample(row: &[f32], cosited: bool, out: &mut [f32]) {
    simd(
        #[inline(always)]
        || {
            let n = out.len();
            let pairs = row[..2 * n].chunks_exact(2).zip(row[1..].chunks_exact(2));
            if cosited {
                for (out, (left, right)) in out.iter_mut().zip(pairs) {
                    *out = 0.25 * left[0] + 0.5 * left[1] + 0.25 * right[1];
                }
            } else {
                for (out, (_, right)) in out.iter_mut().zip(pairs) {
                    *out = 0.5 * (right[0] + right[1]);
                }
            }
        },
    );
}
