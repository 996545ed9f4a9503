//! R'G'B' to Y'CbCr and back, row by row, in `f32`, without clipping.
//!
//! The formulas of ITU-R BT.601-7, 2.5, with any pair of luma weights: Y' = kr R' + kg G' + kb B', Cb = (B' - Y') / (2
//! (1 - kb)), Cr = (R' - Y') / (2 (1 - kr)).

use super::colour::Matrix;
use super::samples::simd;

/// A matrix's factors, for both directions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coefficients {
    pub kr: f32,
    pub kg: f32,
    pub kb: f32,
    /// 1 / (2 (1 - kb)) and 1 / (2 (1 - kr)).
    pub to_cb: f32,
    pub to_cr: f32,
    /// The contributions of Cr to R, Cb to B, and both to G.
    pub cr_to_r: f32,
    pub cb_to_b: f32,
    pub cb_to_g: f32,
    pub cr_to_g: f32,
}

impl Coefficients {
    pub fn new(matrix: Matrix) -> Self {
        let (kr, kg, kb) = (matrix.kr, matrix.kg(), matrix.kb);
        let (cr_to_r, cb_to_b) = (2.0 * (1.0 - kr), 2.0 * (1.0 - kb));
        Self {
            kr: kr as f32,
            kg: kg as f32,
            kb: kb as f32,
            to_cb: (1.0 / cb_to_b) as f32,
            to_cr: (1.0 / cr_to_r) as f32,
            cr_to_r: cr_to_r as f32,
            cb_to_b: cb_to_b as f32,
            cb_to_g: (-kb * cb_to_b / kg) as f32,
            cr_to_g: (-kr * cr_to_r / kg) as f32,
        }
    }

    #[inline(always)]
    fn luma_of(&self, r: f32, g: f32, b: f32) -> f32 {
        self.kr * r + self.kg * g + self.kb * b
    }

    #[inline(always)]
    fn chroma_of(&self, r: f32, g: f32, b: f32) -> (f32, f32) {
        let y = self.luma_of(r, g, b);
        ((b - y) * self.to_cb, (r - y) * self.to_cr)
    }

    #[inline(always)]
    fn rgb_of(&self, y: f32, cb: f32, cr: f32) -> (f32, f32, f32) {
        (y + cr * self.cr_to_r, y + (cb * self.cb_to_g + cr * self.cr_to_g), y + cb * self.cb_to_b)
    }

    /// Y' of a row.
    pub fn luma(&self, [r, g, b]: [&[f32]; 3], out: &mut [f32]) {
        simd(
            #[inline(always)]
            || {
                for (((out, &r), &g), &b) in out.iter_mut().zip(r).zip(g).zip(b) {
                    *out = self.luma_of(r, g, b);
                }
            },
        );
    }

    /// Cb and Cr of a row.
    pub fn chroma(&self, [r, g, b]: [&[f32]; 3], cb: &mut [f32], cr: &mut [f32]) {
        simd(
            #[inline(always)]
            || {
                let rgb = r.iter().zip(g).zip(b);
                for ((cb, cr), ((&r, &g), &b)) in cb.iter_mut().zip(cr).zip(rgb) {
                    (*cb, *cr) = self.chroma_of(r, g, b);
                }
            },
        );
    }

    /// Replaces Y', Cb and Cr of a row by R', G' and B'.
    pub fn rgb_in_place(&self, y: &mut [f32], cb: &mut [f32], cr: &mut [f32]) {
        simd(
            #[inline(always)]
            || {
                for ((y, cb), cr) in y.iter_mut().zip(cb).zip(cr) {
                    (*y, *cb, *cr) = self.rgb_of(*y, *cb, *cr);
                }
            },
        );
    }

    /// R', G' and B' of a row of Y', Cb and Cr.
    pub fn rgb(&self, y: &[f32], [cb, cr]: [&[f32]; 2], [r, g, b]: [&mut [f32]; 3]) {
        simd(
            #[inline(always)]
            || {
                let rgb = r.iter_mut().zip(g).zip(b);
                for (((r, g), b), ((&y, &cb), &cr)) in rgb.zip(y.iter().zip(cb).zip(cr)) {
                    (*r, *g, *b) = self.rgb_of(y, cb, cr);
                }
            },
        );
    }
}
