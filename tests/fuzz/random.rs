//! A seeded generator, and mutations of any bytes.

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`, which must not be zero.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True once in `times` calls, on average.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// A number that is likely to be an edge case.
    pub fn odd_number(&mut self) -> u64 {
        let edge = 1u64.checked_shl(self.below(65) as u32).unwrap_or(0);
        match self.below(4) {
            0 => self.below(9) as u64,
            1 => edge.wrapping_sub(1),
            2 => edge.wrapping_neg(),
            _ => edge.wrapping_add(self.below(3) as u64),
        }
    }

    /// Changes some bytes, or the length.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            match self.below(5) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.next() as u8),
                2 => drop(bytes.splice(at.min(bytes.len())..(at + self.below(9)).min(bytes.len()), [])),
                3 => {
                    let copied = bytes[at..(at + self.below(17)).min(bytes.len())].to_vec();
                    let to = self.below(bytes.len() + 1);
                    bytes.splice(to..to, copied);
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
            }
        }
    }
}
