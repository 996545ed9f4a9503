//! Conversion of rows of samples to rows of `f32` and back: the hot loops.
//!
//! Each loop reads a whole pixel as one little-endian word and shifts the component out of it. So one loop without
//! branches serves planar and packed formats of any depth, and the compiler vectorises it.

use super::colour::Levels;
use super::format::{Component, Layout};

/// Runs `f`, compiled for AVX2 if the processor supports it.
///
/// `f` and everything it calls must be `#[inline(always)]`. The results are bit-identical with and without AVX2, as
/// nothing is contracted to fused multiply-adds.
#[inline(always)]
pub(crate) fn simd<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn avx2<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor supports AVX2, the function's only requirement.
            return unsafe { avx2(f) };
        }
    }
    f()
}

/// A pixel of a plane as a little-endian integer.
trait Word: Copy {
    const BYTES: usize;
    fn read(bytes: &[u8]) -> Self;
    fn write(self, bytes: &mut [u8]);
    /// The sample at bit `shift`, masked.
    fn sample(self, shift: u32, mask: u32) -> u32;
    /// The word with a sample value at bit `shift`.
    fn at(code: u32, shift: u32) -> Self;
    fn or(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn from_u64(value: u64) -> Self;
}

macro_rules! word {
    ($type:ty, $bytes:literal) => {
        impl Word for $type {
            const BYTES: usize = $bytes;
            #[inline(always)]
            fn read(bytes: &[u8]) -> Self {
                let mut word = [0; $bytes];
                word.copy_from_slice(&bytes[..$bytes]);
                <$type>::from_le_bytes(word)
            }
            #[inline(always)]
            fn write(self, bytes: &mut [u8]) {
                bytes[..$bytes].copy_from_slice(&self.to_le_bytes());
            }
            #[inline(always)]
            fn sample(self, shift: u32, mask: u32) -> u32 {
                (self >> shift) as u32 & mask
            }
            #[inline(always)]
            fn at(code: u32, shift: u32) -> Self {
                (code as $type) << shift
            }
            #[inline(always)]
            fn or(self, other: Self) -> Self {
                self | other
            }
            #[inline(always)]
            fn and(self, other: Self) -> Self {
                self & other
            }
            #[inline(always)]
            fn from_u64(value: u64) -> Self {
                value as $type
            }
        }
    };
}

word!(u8, 1);
word!(u16, 2);
word!(u32, 4);
word!(u64, 8);

/// A component's position in its plane's word.
#[derive(Clone, Copy, Debug)]
struct Field {
    shift: u32,
    mask: u32,
}

impl Field {
    fn new(layout: &Layout, component: Component) -> Self {
        let bits = 8 * layout.bytes as u32;
        Self { shift: 8 * component.offset as u32 + layout.shift, mask: ((1 << bits) - 1) >> layout.shift }
    }

    /// The bits of the sample's bytes within the word.
    fn bits(&self, layout: &Layout) -> u64 {
        ((1 << (8 * layout.bytes)) - 1) << (self.shift - layout.shift)
    }
}

/// The nearest sample value, clamped to the sample's range; NaN becomes 0.
#[inline(always)]
fn code(value: f32, levels: Levels) -> u32 {
    /// 2^23: the last bit of a float above it is worth 1, so adding it rounds.
    const ROUND: f32 = 8_388_608.0;
    let code = value * levels.scale + levels.offset;
    // In this form each line compiles to one instruction, and the first turns NaN into 0.
    let code = if code > 0.0 { code } else { 0.0 };
    let code = if code < levels.max { code } else { levels.max };
    (code + ROUND).to_bits() & 0xffff
}

/// Reads normalised values of one component until `out` is full; `bytes` starts at the first pixel.
pub(super) fn load(layout: &Layout, component: Component, levels: Levels, bytes: &[u8], out: &mut [f32]) {
    let field = Field::new(layout, component);
    match component.step {
        1 => simd(
            #[inline(always)]
            || load_words::<u8>(field, levels, bytes, out),
        ),
        2 => simd(
            #[inline(always)]
            || load_words::<u16>(field, levels, bytes, out),
        ),
        4 => simd(
            #[inline(always)]
            || load_words::<u32>(field, levels, bytes, out),
        ),
        8 => simd(
            #[inline(always)]
            || load_words::<u64>(field, levels, bytes, out),
        ),
        step => {
            for (out, pixel) in out.iter_mut().zip(bytes.chunks_exact(step)) {
                *out = (f32::from(pixel[component.offset]) - levels.offset) * (1.0 / levels.scale);
            }
        }
    }
}

#[inline(always)]
fn load_words<W: Word>(field: Field, levels: Levels, bytes: &[u8], out: &mut [f32]) {
    let unit = 1.0 / levels.scale;
    for (out, pixel) in out.iter_mut().zip(bytes.chunks_exact(W::BYTES)) {
        // Converted through i32, because there is no vector instruction for unsigned integers.
        *out = (W::read(pixel).sample(field.shift, field.mask) as i32 as f32 - levels.offset) * unit;
    }
}

/// Reads a row of R, G and B; `rows` returns a plane's row, starting at the first pixel.
pub(super) fn load_rgb<'a>(
    layout: &Layout,
    levels: Levels,
    rows: impl Fn(usize) -> &'a [u8],
    r: &mut [f32],
    g: &mut [f32],
    b: &mut [f32],
) {
    let [red, green, blue] = layout.components;
    if red.step == 3 {
        let (first, third) = if red.offset == 0 { (r, b) } else { (b, r) };
        simd(
            #[inline(always)]
            || load_triples(levels, rows(0), first, g, third),
        );
    } else {
        load(layout, red, levels, rows(red.plane), r);
        load(layout, green, levels, rows(green.plane), g);
        load(layout, blue, levels, rows(blue.plane), b);
    }
}

#[inline(always)]
fn load_triples(levels: Levels, bytes: &[u8], first: &mut [f32], second: &mut [f32], third: &mut [f32]) {
    let unit = 1.0 / levels.scale;
    let out = first.iter_mut().zip(second).zip(third);
    for (((first, second), third), pixel) in out.zip(bytes.chunks_exact(3)) {
        *first = (f32::from(pixel[0]) - levels.offset) * unit;
        *second = (f32::from(pixel[1]) - levels.offset) * unit;
        *third = (f32::from(pixel[2]) - levels.offset) * unit;
    }
}

/// Writes a row of a component that does not share its plane.
pub(super) fn store(layout: &Layout, levels: Levels, row: &[f32], bytes: &mut [u8]) {
    if layout.bytes == 1 {
        simd(
            #[inline(always)]
            || store_words::<u8>(0, levels, row, bytes),
        );
    } else {
        simd(
            #[inline(always)]
            || store_words::<u16>(layout.shift, levels, row, bytes),
        );
    }
}

#[inline(always)]
fn store_words<W: Word>(shift: u32, levels: Levels, row: &[f32], bytes: &mut [u8]) {
    for (pixel, &value) in bytes.chunks_exact_mut(W::BYTES).zip(row) {
        W::at(code(value, levels), shift).write(pixel);
    }
}

/// Writes a row of a component that shares its plane with others, which are kept. `bytes` starts at the first pixel.
pub(super) fn store_among(layout: &Layout, component: Component, levels: Levels, row: &[f32], bytes: &mut [u8]) {
    if layout.bytes == 1 {
        let samples = bytes[component.offset..].iter_mut().step_by(component.step);
        samples.zip(row).for_each(|(sample, &value)| *sample = code(value, levels) as u8);
        return;
    }
    for (pixel, &value) in bytes.chunks_exact_mut(component.step).zip(row) {
        let code = (code(value, levels) << layout.shift) as u16;
        pixel[component.offset..][..2].copy_from_slice(&code.to_le_bytes());
    }
}

/// Writes a row of two components that share a plane: interleaved chroma.
pub(super) fn store_pair(
    layout: &Layout,
    components: [Component; 2],
    levels: Levels,
    rows: [&[f32]; 2],
    bytes: &mut [u8],
) {
    let shifts = components.map(|component| Field::new(layout, component).shift);
    if layout.bytes == 1 {
        simd(
            #[inline(always)]
            || store_pairs::<u16>(shifts, levels, rows, bytes),
        );
    } else {
        simd(
            #[inline(always)]
            || store_pairs::<u32>(shifts, levels, rows, bytes),
        );
    }
}

#[inline(always)]
fn store_pairs<W: Word>(shifts: [u32; 2], levels: Levels, rows: [&[f32]; 2], bytes: &mut [u8]) {
    let values = rows[0].iter().zip(rows[1]);
    for (pixel, (&first, &second)) in bytes.chunks_exact_mut(W::BYTES).zip(values) {
        let word = W::at(code(first, levels), shifts[0]).or(W::at(code(second, levels), shifts[1]));
        word.write(pixel);
    }
}

/// Writes a row of R, G and B that share a plane. Keeps alpha and sets padding to 255.
pub(super) fn store_packed(layout: &Layout, levels: Levels, rgb: [&[f32]; 3], bytes: &mut [u8]) {
    let [red, _, _] = layout.components;
    if red.step == 3 {
        let rgb = if red.offset == 0 { rgb } else { [rgb[2], rgb[1], rgb[0]] };
        simd(
            #[inline(always)]
            || store_triples(levels, rgb, bytes),
        );
        return;
    }
    let shifts = layout.components.map(|component| Field::new(layout, component).shift);
    let all = |component: Option<Component>| component.map_or(0, |c| Field::new(layout, c).bits(layout));
    let (keep, fill) = (all(layout.alpha), all(layout.padding));
    match red.step {
        4 if keep == 0 => simd(
            #[inline(always)]
            || store_quads::<u32, false>(shifts, 0, fill, levels, rgb, bytes),
        ),
        4 => simd(
            #[inline(always)]
            || store_quads::<u32, true>(shifts, keep, fill, levels, rgb, bytes),
        ),
        _ => simd(
            #[inline(always)]
            || store_quads::<u64, true>(shifts, keep, fill, levels, rgb, bytes),
        ),
    }
}

#[inline(always)]
fn store_triples(levels: Levels, rgb: [&[f32]; 3], bytes: &mut [u8]) {
    let values = rgb[0].iter().zip(rgb[1]).zip(rgb[2]);
    for (pixel, ((&first, &second), &third)) in bytes.chunks_exact_mut(3).zip(values) {
        pixel[0] = code(first, levels) as u8;
        pixel[1] = code(second, levels) as u8;
        pixel[2] = code(third, levels) as u8;
    }
}

/// With `KEEP`, the bits of `keep` are preserved in memory.
#[inline(always)]
fn store_quads<W: Word, const KEEP: bool>(
    shifts: [u32; 3],
    keep: u64,
    fill: u64,
    levels: Levels,
    rgb: [&[f32]; 3],
    bytes: &mut [u8],
) {
    let (keep, fill) = (W::from_u64(keep), W::from_u64(fill));
    let values = rgb[0].iter().zip(rgb[1]).zip(rgb[2]);
    for (pixel, ((&r, &g), &b)) in bytes.chunks_exact_mut(W::BYTES).zip(values) {
        let mut word = fill;
        if KEEP {
            word = word.or(W::read(pixel).and(keep));
        }
        word = word.or(W::at(code(r, levels), shifts[0]));
        word = word.or(W::at(code(g, levels), shifts[1]));
        word = word.or(W::at(code(b, levels), shifts[2]));
        word.write(pixel);
    }
}
/// Counts the values that are NaN or infinite.
pub fn non_finite(values: &[f32]) -> u64 {
    const LANES: usize = 16;
    // Zero times a finite value is zero. The lanes let the compiler add many values at a time.
    let mut lanes = [0f32; LANES];
    let mut chunks = values.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value * 0.0;
        }
    }
    let rest = chunks.remainder().iter().map(|value| value * 0.0);
    if lanes.into_iter().chain(rest).all(|zero| zero == 0.0) {
        return 0;
    }
    values.iter().filter(|value| !value.is_finite()).count() as u64
}
