//! Randomness from a seed.

use std::sync::Mutex;

use anser_core::ports::random::Random;

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, and the same everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chance(u64);

impl Chance {
    /// A sequence of its own for every seed.
    pub fn new(seed: u64) -> Self {
        Chance(seed)
    }

    /// A sequence for every list of numbers.
    pub fn of(numbers: &[u64]) -> Self {
        let mut state = 0;
        for &number in numbers {
            state = Chance(state ^ number).number();
        }
        Chance(state)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// True `times` in `of` times.
    pub fn happens(&mut self, times: u64, of: u64) -> bool {
        self.below(of) < times
    }

    /// Fills `buffer`.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&self.number().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// The [`Random`] port from a seed.
#[derive(Debug)]
pub struct SimRandom(Mutex<Chance>);

impl SimRandom {
    /// A source of its own for every seed.
    pub fn new(seed: u64) -> Self {
        SimRandom(Mutex::new(Chance::new(seed)))
    }
}

impl Random for SimRandom {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.lock().expect("nothing panics while it draws").fill(buffer);
    }
}
