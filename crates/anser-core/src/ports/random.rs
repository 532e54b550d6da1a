//! Randomness that cannot be guessed, or in the simulator, that can be replayed.

/// A source of random bytes.
pub trait Random: Send + Sync {
    /// Fills `buffer`.
    fn fill(&self, buffer: &mut [u8]);

    /// A random number that is not zero, for nonces and ids.
    fn nonzero(&self) -> u64 {
        let mut bytes = [0; 8];
        loop {
            self.fill(&mut bytes);
            let number = u64::from_le_bytes(bytes);
            if number != 0 {
                return number;
            }
        }
    }
}
