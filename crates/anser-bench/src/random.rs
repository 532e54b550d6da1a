//! Seeded randomness: the same seed makes the same plan.

/// SplitMix64, after Steele, Lea and Flood (2014): short, and good enough to spread load.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is above 0.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "there is no number below 0");
        (self.bits() % bound as u64) as usize
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// `count` different numbers below `bound`, in random order.
    pub fn choose(&mut self, count: usize, bound: usize) -> Vec<usize> {
        let mut all = (0..bound).collect::<Vec<_>>();
        for place in 0..count.min(bound) {
            let other = self.between(place, bound - 1);
            all.swap(place, other);
        }
        all.truncate(count);
        all
    }
}

/// A seed for a run that was given none.
pub fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The one randomness of the standard library; the seed is printed, so the run can be shown again.
    std::collections::hash_map::RandomState::new().build_hasher().finish() % 1_000_000_000
}
