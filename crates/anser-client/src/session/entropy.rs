//! Randomness as an argument: 16 random bytes of the driver, stretched over one input.

use anser_model::SlotKey;

/// Random numbers of one input.
#[derive(Debug)]
pub struct Entropy {
    key: SlotKey,
    drawn: u64,
}

impl Entropy {
    /// From 16 random bytes, which must not be used for another input.
    pub fn new(seed: [u8; 16]) -> Self {
        Entropy { key: SlotKey::new(seed), drawn: 0 }
    }

    /// Ten random bytes, for a client id.
    pub fn ten_bytes(&mut self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&self.draw().to_le_bytes()[..10]);
        bytes
    }

    /// A number from 0 up to and with `most`.
    pub fn up_to(&mut self, most: u64) -> u64 {
        // A 64-bit draw scaled down by multiplication: the bias is below most / 2^64.
        let draw = self.draw() as u64;
        ((u128::from(draw) * (u128::from(most) + 1)) >> 64) as u64
    }

    fn draw(&mut self) -> u128 {
        self.drawn += 1;
        self.key.hash128(b"entropy", &[&self.drawn.to_le_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_differ_and_stay_in_bounds() {
        let mut entropy = Entropy::new([4; 16]);
        assert_ne!(entropy.ten_bytes(), entropy.ten_bytes());
        assert_eq!(entropy.up_to(0), 0);
        assert!((0..1000).all(|_| entropy.up_to(9) <= 9));
        let draws = (0..1000).map(|_| entropy.up_to(9)).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(draws.len(), 10);
        assert!(entropy.up_to(u64::MAX) > 1000);
    }
}
