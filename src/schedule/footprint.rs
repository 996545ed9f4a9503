//! How much memory a run takes, by the size of its tensor: reckoned at first, then measured.

use std::collections::BTreeMap;

/// What is known of one network on one device at one precision.
#[derive(Clone, Debug)]
pub struct Footprints {
    /// Bytes for each input pixel, reckoned from the network's layers.
    reckoned: u64,
    /// Bytes for each input pixel that a run takes at least: its input and its output.
    least: u64,
    /// Bytes measured, by pixels.
    measured: BTreeMap<u64, u64>,
}

impl Footprints {
    /// `reckoned` and `least` are bytes for each input pixel.
    pub fn new(reckoned: u64, least: u64) -> Self {
        Footprints { reckoned: reckoned.max(least).max(1), least, measured: BTreeMap::new() }
    }

    /// Notes what a run of `pixels` took. Runs of one size may differ (an allocator keeps what it has): the most counts.
    pub fn note(&mut self, pixels: u64, bytes: u64) {
        let bytes = bytes.max(self.least.saturating_mul(pixels));
        let most = self.measured.entry(pixels).or_default();
        *most = bytes.max(*most);
    }

    /// Whether a run of this size was measured.
    pub fn is_measured(&self, pixels: u64) -> bool {
        self.measured.contains_key(&pixels)
    }

    /// Bytes that a run of `pixels` takes: as measured; else in proportion to the dearest that was measured; else as reckoned.
    ///
    /// It never falls as `pixels` grow.
    pub fn estimate(&self, pixels: u64) -> u64 {
        let per_pixel = self.measured.iter().map(|(pixels, bytes)| bytes.div_ceil((*pixels).max(1))).max();
        let proportional = pixels.saturating_mul(per_pixel.unwrap_or(self.reckoned));
        // What a larger run took is enough for this one, and what a smaller one took is needed.
        let above = self.measured.range(pixels..).map(|(_, bytes)| *bytes).min().unwrap_or(u64::MAX);
        let below = self.measured.range(..=pixels).map(|(_, bytes)| *bytes).max().unwrap_or(0);
        proportional.min(above).max(below)
    }

    /// The side of the largest square tensor that takes no more than `bytes`, in pixels; 0 if none does.
    pub fn largest_side(&self, bytes: u64) -> u32 {
        let (mut fits, mut too_large) = (0u32, 1u32 << 16);
        while too_large - fits > 1 {
            let side = fits.midpoint(too_large);
            if self.estimate(u64::from(side).pow(2)) <= bytes { fits = side } else { too_large = side }
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[test]
    fn reckoned_until_measured() {
        let mut footprints = Footprints::new(100, 20);
        assert_eq!(footprints.estimate(50), 5000);
        footprints.note(50, 4000);
        assert!(footprints.is_measured(50) && !footprints.is_measured(51));
        assert_eq!((footprints.estimate(50), footprints.estimate(100), footprints.estimate(25)), (4000, 8000, 2000));
        // A measurement that saw less than input and output is wrong.
        footprints.note(10, 1);
        assert_eq!(footprints.estimate(10), 200);
        footprints.note(50, 3000);
        assert_eq!(footprints.estimate(50), 4000);
    }

    #[test]
    fn the_largest_tile() {
        let footprints = Footprints::new(100, 20);
        assert_eq!(footprints.largest_side(100 * 64 * 64), 64);
        assert_eq!(footprints.largest_side(100 * 64 * 64 - 1), 63);
        assert_eq!(footprints.largest_side(99), 0);
    }

    proptest! {
        #[test]
        fn more_pixels_never_take_less(
            noted in prop::collection::vec((1u64..5000, 0u64..1_000_000), 0..6),
            mut pixels in prop::collection::vec(0u64..6000, 2..20),
        ) {
            let mut footprints = Footprints::new(64, 20);
            for (pixels, bytes) in noted {
                footprints.note(pixels, bytes);
            }
            pixels.sort_unstable();
            let bytes: Vec<_> = pixels.iter().map(|pixels| footprints.estimate(*pixels)).collect();
            prop_assert!(bytes.is_sorted(), "{:?} {:?}", pixels, bytes);
        }
    }
}
