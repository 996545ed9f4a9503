//! Tests of comparing and covering frames.

mod changed;
mod detail;
mod dirty_rects;
mod frames;
mod sensitivity;
mod tracker;

/// A pseudo-random generator (Knuth's MMIX, upper half of the state).
pub(super) struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((self.0 >> 32) * u64::from(bound)) >> 32) as u32
    }
}
