//! Fingerprints of frames.

use xxhash_rust::xxh3::Xxh3;

use crate::picture::format::PictureRef;

/// Identifies frames that look the same: XXH3-128 over the visible pixels, format and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(u128);

#[cfg(test)]
impl Fingerprint {
    pub(super) fn for_test(value: u128) -> Self {
        Fingerprint(value)
    }
}

/// Computes fingerprints. Only those with the same seed are comparable.
#[derive(Clone, Copy, Debug)]
pub struct Fingerprinter {
    seed: u64,
}

impl Fingerprinter {
    /// XXH3 is not a cryptographic hash: with a known seed, someone could construct two different frames with the same
    /// hash, and the result of one would be used for the other. A random `seed` per instance leaves only accidental
    /// collisions, with a probability of 2^-128 per pair.
    pub fn new(seed: u64) -> Self {
        Fingerprinter { seed }
    }

    /// A fingerprinter with a random seed.
    pub fn random() -> Self {
        use std::hash::{BuildHasher, RandomState};
        // The standard library seeds its hash maps from the system's source of randomness.
        Self::new(RandomState::new().hash_one(0))
    }

    /// Hashes the visible pixels of every plane, row by row if rows are padded: stride padding never counts.
    pub fn fingerprint(&self, picture: &PictureRef) -> Fingerprint {
        let mut hash = Xxh3::with_seed(self.seed);
        let (format, size) = (picture.format(), picture.size());
        hash.update(format.name().as_bytes());
        hash.update(&size.width.to_le_bytes());
        hash.update(&size.height.to_le_bytes());
        for index in 0..format.planes() {
            match picture.contiguous(index) {
                Some(plane) => hash.update(plane),
                None => {
                    let (_, rows) = format.visible(index, size);
                    (0..rows).for_each(|y| hash.update(picture.row(index, y)));
                }
            }
        }
        Fingerprint(hash.digest128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::format::PixelFormat;
    use crate::types::Size;

    fn gray(width: u32, height: u32, data: &[u8], stride: usize) -> Fingerprint {
        let picture = PictureRef::new(PixelFormat::Gray8, Size { width, height }, &[(data, stride)]).unwrap();
        Fingerprinter::new(7).fingerprint(&picture)
    }

    #[test]
    fn padding_does_not_count() {
        let tight = gray(3, 2, &[1, 2, 3, 4, 5, 6], 3);
        assert_eq!(tight, gray(3, 2, &[1, 2, 3, 99, 4, 5, 6, 98], 4));
        assert_eq!(tight, gray(3, 2, &[1, 2, 3, 0, 0, 4, 5, 6], 5));
    }

    #[test]
    fn every_visible_pixel_counts() {
        let data: Vec<u8> = (0..64 * 48).map(|i| (i * 31 % 251) as u8).collect();
        let whole = gray(64, 48, &data, 64);
        for changed in (0..data.len()).step_by(97).chain([data.len() - 1]) {
            let mut other = data.clone();
            other[changed] ^= 1;
            assert_ne!(whole, gray(64, 48, &other, 64), "byte {changed}");
        }
    }

    #[test]
    fn size_and_seed_count() {
        let data = [5; 12];
        assert_ne!(gray(3, 4, &data, 3), gray(4, 3, &data, 4));
        let picture = PictureRef::new(PixelFormat::Gray8, Size { width: 3, height: 4 }, &[(&data[..], 3)]).unwrap();
        assert_ne!(Fingerprinter::new(1).fingerprint(&picture), Fingerprinter::new(2).fingerprint(&picture));
    }
}
