//! Which prefixes are certainly not in a segment: a Bloom filter whose bits for one prefix share a cache line.

/// Bits for each prefix: about one in a hundred that are not there passes all the same.
const BITS_EACH: usize = 11;
/// Bits looked at for one prefix.
const PROBES: u32 = 6;
const WORDS_PER_LINE: usize = 8;
const LINE_BYTES: usize = 8 * WORDS_PER_LINE;
/// A filter begins with a multiple of so many lines, so that it can be halved as often as this has factors of 2.
const LINES_TOGETHER: usize = 64;

/// The filter of one segment.
#[derive(Debug)]
pub(crate) struct Filter {
    words: Vec<u64>,
}

impl Filter {
    /// An empty filter for at most so many prefixes.
    pub fn for_prefixes(count: usize) -> Filter {
        let lines = lines_for(count).next_multiple_of(LINES_TOGETHER);
        Filter { words: vec![0; lines * WORDS_PER_LINE] }
    }

    /// What [`Filter::to_bytes`] gave; `None` where it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Filter> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(LINE_BYTES) {
            return None;
        }
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        Some(Filter { words: bytes.chunks_exact(8).map(word).collect() })
    }

    /// As it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Halves the filter as often as `count` prefixes leave room: a prefix's line is then that of the pair.
    pub fn shrink_to(&mut self, count: usize) {
        let needed = lines_for(count);
        loop {
            let lines = self.words.len() / WORDS_PER_LINE;
            if !lines.is_multiple_of(2) || lines / 2 < needed {
                return;
            }
            for line in 0..lines / 2 {
                for word in 0..WORDS_PER_LINE {
                    let pair = 2 * line * WORDS_PER_LINE + word;
                    self.words[line * WORDS_PER_LINE + word] =
                        self.words[pair] | self.words[pair + WORDS_PER_LINE];
                }
            }
            self.words.truncate(lines / 2 * WORDS_PER_LINE);
            self.words.shrink_to_fit();
        }
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

fn lines_for(count: usize) -> usize {
    count.saturating_mul(BITS_EACH).div_ceil(8 * LINE_BYTES).max(1)
}

/// Mixes a prefix (the finaliser of SplitMix64 over its words). Most of its bytes are hashes already, and
/// who makes them collide makes his own reads slower.
fn hash(prefix: &[u8]) -> u64 {
    prefix.chunks(8).fold(prefix.len() as u64, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let mut mixed = (hash ^ u64::from_le_bytes(word)).wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(number: u64) -> [u8; 17] {
        let mut bytes = [0; 17];
        bytes[0] = number as u8;
        bytes[9..].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    #[test]
    fn what_was_added_passes_and_little_else() {
        for room in [10_000, 400_000] {
            let mut filter = Filter::for_prefixes(room);
            (0..10_000).for_each(|number| filter.add(&prefix(number)));
            filter.shrink_to(10_000);
            assert!(filter.to_bytes().len() < 4 * 10_000 * BITS_EACH / 8, "room for {room}");
            let filter = Filter::from_bytes(&filter.to_bytes()).expect("whole");
            assert!((0..10_000).all(|number| filter.may_hold(&prefix(number))));
            let passed = (10_000..110_000).filter(|&number| filter.may_hold(&prefix(number))).count();
            assert!(passed < 3_000, "{passed} of 100,000 pass");
        }
        assert!(Filter::from_bytes(&[]).is_none() && Filter::from_bytes(&[0; 65]).is_none());
    }
}
