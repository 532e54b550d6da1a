//! What happened, as a hash that two runs of one seed must share, and as lines where somebody reads them.

use std::fmt::{self, Write as _};

/// The trace of one run.
#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: u64,
    buffer: String,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// Keeps lines only where they are wanted.
    pub fn new(keep_lines: bool) -> Self {
        Trace { hash: 0xcbf2_9ce4_8422_2325, buffer: String::new(), lines: keep_lines.then(Vec::new) }
    }

    /// Notes that something happened.
    pub fn note(&mut self, at: u64, what: fmt::Arguments<'_>) {
        self.buffer.clear();
        write!(self.buffer, "{:>7}.{:03} {what}", at / 1_000, at % 1_000).expect("a string takes it");
        // FNV-1a over eight bytes at a time: quick, and any difference shows.
        for chunk in self.buffer.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.hash = (self.hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0100_0000_01b3);
            self.hash ^= self.hash >> 29;
        }
        if let Some(lines) = &mut self.lines {
            lines.push(self.buffer.clone());
        }
    }

    /// What two runs of one plan must agree on.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The lines, where they were kept.
    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
