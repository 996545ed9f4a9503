//! How much of its device's memory a run takes: estimated from the network's graph until it has been measured.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

/// Smaller tensors do not predict the size of larger ones: the session's fixed memory outweighs their pixels.
const MIN_SIGNIFICANT: u64 = 64 * 64;

/// Bytes that a run takes, by the number of pixels in its tensor.
///
/// Each measurement comes from a session that has run nothing larger before. Allocators take memory in blocks, so the
/// estimate is not linear: a measured tensor size uses its measurement; any other size uses the highest measured bytes
/// per pixel, plus an eighth.
#[derive(Debug)]
pub struct Footprints {
    /// Bytes per pixel while nothing has been measured.
    estimated: u64,
    measured: BTreeMap<u64, u64>,
}

/// Keyed by network, precision and device; kept for the life of the process.
static REMEMBERED: LazyLock<Mutex<HashMap<u128, Arc<Mutex<Footprints>>>>> = LazyLock::new(Mutex::default);

impl Footprints {
    /// `estimated` is in bytes per pixel.
    pub fn new(estimated: u64) -> Self {
        Footprints { estimated: estimated.max(1), measured: BTreeMap::new() }
    }

    /// Returns what this process has measured under `key`; without a key, an empty set of measurements.
    pub fn remembered(key: Option<u128>, estimated: u64) -> Arc<Mutex<Self>> {
        let new = || Arc::new(Mutex::new(Footprints::new(estimated)));
        key.map_or_else(new, |key| Arc::clone(REMEMBERED.lock().entry(key).or_insert_with(new)))
    }

    /// Records that a session that has run no tensor larger than `pixels` holds `bytes`. Returns whether the estimate
    /// rose, or fell clearly.
    pub fn note(&mut self, pixels: u64, bytes: u64) -> bool {
        let before = self.bytes(pixels);
        let entry = self.measured.entry(pixels).or_default();
        // The maximum counts: the blocks of another session may have had less slack.
        *entry = bytes.max(*entry);
        let now = self.bytes(pixels);
        now > before || now < before - before / 8
    }

    /// Bytes that a run on a tensor of `pixels` takes.
    pub fn bytes(&self, pixels: u64) -> u64 {
        if let Some(bytes) = self.measured.get(&pixels) {
            return *bytes;
        }
        let (numerator, denominator) = self.per_pixel();
        let scaled = u128::from(pixels) * u128::from(numerator) / u128::from(denominator);
        let scaled = u64::try_from(scaled).unwrap_or(u64::MAX);
        // A smaller tensor takes no more than a larger one.
        self.measured.range(pixels..).next().map_or(scaled, |(_, larger)| scaled.min(*larger))
    }

    /// Pixels of the largest tensor that is certain to fit in `bytes`.
    pub fn pixels(&self, bytes: u64) -> u64 {
        let (numerator, denominator) = self.per_pixel();
        let pixels = u128::from(bytes) * u128::from(denominator) / u128::from(numerator);
        u64::try_from(pixels).unwrap_or(u64::MAX)
    }

    /// Bytes per pixel, as a fraction.
    fn per_pixel(&self) -> (u64, u64) {
        let significant = self.measured.range(MIN_SIGNIFICANT..).filter(|(_, bytes)| **bytes > 0);
        let highest = significant
            .max_by(|a, b| (u128::from(*a.1) * u128::from(*b.0)).cmp(&(u128::from(*b.1) * u128::from(*a.0))));
        highest.map_or((self.estimated, 1), |(pixels, bytes)| (bytes.saturating_add(bytes / 8), *pixels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[test]
    fn estimated_until_measured() {
        let mut footprints = Footprints::new(100);
        assert_eq!((footprints.bytes(10_000), footprints.pixels(1_000_000)), (1_000_000, 10_000));
        assert!(footprints.note(10_000, 400_000));
        assert_eq!(footprints.bytes(10_000), 400_000);
        // In proportion, plus an eighth.
        assert_eq!((footprints.bytes(20_000), footprints.pixels(900_000)), (900_000, 20_000));
        assert!(!footprints.note(10_000, 390_000), "a lower measurement changes nothing");
        assert!(footprints.note(10_000, 410_000));
    }

    #[test]
    fn a_tiny_tensor_does_not_predict_a_large_one() {
        let mut footprints = Footprints::new(100);
        footprints.note(16, 1 << 30);
        assert_eq!((footprints.bytes(16), footprints.bytes(10_000)), (1 << 30, 1_000_000));
    }

    #[test]
    fn measurements_are_shared_by_key() {
        let key = Some(0x1234_5678_9abc);
        Footprints::remembered(key, 100).lock().note(10_000, 7);
        assert_eq!(Footprints::remembered(key, 100).lock().bytes(10_000), 7);
        assert_eq!(Footprints::remembered(None, 100).lock().bytes(10_000), 1_000_000);
    }

    proptest! {
        #[test]
        fn a_tensor_predicted_to_fit_fits(
            notes in prop::collection::vec((1u64..1 << 24, 1u64..1 << 34), 0..6),
            bytes in 1u64..1 << 36,
        ) {
            let mut footprints = Footprints::new(300);
            for (pixels, bytes) in notes {
                footprints.note(pixels, bytes);
                prop_assert!(footprints.bytes(pixels) >= bytes);
            }
            let pixels = footprints.pixels(bytes);
            prop_assert!(pixels < MIN_SIGNIFICANT || footprints.bytes(pixels) <= bytes);
        }
    }
}
