//! Which prefixes are certainly not in a segment: a Bloom filter whose bits for one prefix share a cache line.

use crate::rows::PREFIX_BYTES;

/// Bits for each prefix: about one in a hundred that are not there passes all the same.
const BITS_EACH: usize = 11;
/// Bits looked at for one prefix.
const PROBES: u32 = 6;
const WORDS_PER_LINE: usize = 8;

/// The filter of one segment.
#[derive(Debug)]
pub struct Filter {
    words: Vec<u64>,
}

impl Filter {
    /// An empty filter for at most so many prefixes.
    pub fn for_prefixes(count: usize) -> Filter {
        let lines = (count * BITS_EACH).div_ceil(64 * WORDS_PER_LINE).max(1);
        Filter { words: vec![0; lines * WORDS_PER_LINE] }
    }

    /// What [`Filter::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Option<Filter> {
        let words: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")))
            .collect();
        let whole = bytes.len().is_multiple_of(8 * WORDS_PER_LINE) && !words.is_empty();
        whole.then_some(Filter { words })
    }

    /// As it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Remembers a prefix.
    pub fn add(&mut self, prefix: &[u8]) {
        let (line, bits) = self.places(prefix);
        for (word, bit) in bits {
            self.words[line + word] |= bit;
        }
    }

    /// Whether the prefix may have been added.
    pub fn may_hold(&self, prefix: &[u8]) -> bool {
        let (line, mut bits) = self.places(prefix);
        bits.all(|(word, bit)| self.words[line + word] & bit != 0)
    }

    fn places(&self, prefix: &[u8]) -> (usize, impl Iterator<Item = (usize, u64)> + use<>) {
        let hash = hash(prefix);
        let lines = (self.words.len() / WORDS_PER_LINE) as u64;
        let line = ((u128::from(hash) * u128::from(lines)) >> 64) as usize;
        let spread = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let bits = (0..PROBES).map(move |probe| {
            let at = (spread >> (9 * probe)) & 511;
            ((at / 64) as usize, 1 << (at % 64))
        });
        (line * WORDS_PER_LINE, bits)
    }
}

/// Mixes a prefix. Its sixteen bytes are hashes already, so this need not withstand anybody.
fn hash(prefix: &[u8]) -> u64 {
    let bytes: &[u8; PREFIX_BYTES] = prefix.try_into().expect("the bytes of a prefix");
    let half = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let mixed = (half(1) ^ u64::from(bytes[0]).rotate_left(32)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 29) ^ half(9)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(number: u64) -> [u8; PREFIX_BYTES] {
        let mut bytes = [0; PREFIX_BYTES];
        bytes[0] = number as u8;
        bytes[9..].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    #[test]
    fn what_was_added_passes_and_little_else() {
        let mut filter = Filter::for_prefixes(10_000);
        (0..10_000).for_each(|number| filter.add(&prefix(number)));
        let filter = Filter::from_bytes(&filter.to_bytes()).expect("whole");
        assert!((0..10_000).all(|number| filter.may_hold(&prefix(number))));
        let passed = (10_000..110_000).filter(|&number| filter.may_hold(&prefix(number))).count();
        assert!(passed < 3_000, "{passed} of 100,000 pass");
    }
}
