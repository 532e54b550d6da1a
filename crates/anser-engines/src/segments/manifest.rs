//! What the history consists of at one moment: written beside the old one, synced, and swapped in by a rename.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anser_model::{N, Slot};
use bytes::{Buf, BufMut};

const MAGIC: &[u8; 8] = b"anserMF1";
const SEGMENT_BYTES: usize = 1 + 4 + 1 + 8 + 8;

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Facts.
    Facts,
    /// Keys filed under this day.
    Keys(u32),
}

/// One segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// What it holds.
    pub kind: Kind,
    /// How often its rows were merged.
    pub level: u8,
    /// Names its file.
    pub number: u64,
    /// Number of the newest flush in it: the larger, the newer.
    pub newest: u64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Through which n every slot is folded.
    pub checkpoints: Vec<N>,
    /// No segment has this number or a larger one.
    pub next_number: u64,
    /// The segments.
    pub segments: Vec<Segment>,
}

impl Segment {
    /// The name of its file.
    pub fn file_name(&self) -> String {
        format!("{:012}.segment", self.number)
    }
}

impl Manifest {
    const FILE: &str = "manifest";

    /// Reads the manifest of a folder; an empty history where there is none.
    pub fn read(folder: &Path) -> io::Result<Manifest> {
        match std::fs::read(folder.join(Self::FILE)) {
            Ok(bytes) => Self::decode(&bytes)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the manifest is damaged")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Manifest { checkpoints: vec![N(0); Slot::COUNT], next_number: 0, segments: Vec::new() })
            }
            Err(error) => Err(error),
        }
    }

    /// Swaps it in, durable when this returns.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let new = folder.join("manifest.new");
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&self.encode())?;
        file.sync_data()?;
        std::fs::rename(&new, folder.join(Self::FILE))?;
        // The names of new segments too: they were made in the same folder before.
        File::open(folder)?.sync_all()
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.put_u64_le(self.next_number);
        self.checkpoints.iter().for_each(|n| bytes.put_u64_le(n.0));
        for segment in &self.segments {
            let (kind, day) = match segment.kind {
                Kind::Facts => (0, 0),
                Kind::Keys(day) => (1, day),
            };
            bytes.put_u8(kind);
            bytes.put_u32_le(day);
            bytes.put_u8(segment.level);
            bytes.put_u64_le(segment.number);
            bytes.put_u64_le(segment.newest);
        }
        bytes.put_u32_le(crc32c::crc32c(&bytes));
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Manifest> {
        let (mut body, crc) = bytes.split_last_chunk::<4>()?;
        let whole = crc32c::crc32c(body) == u32::from_le_bytes(*crc);
        if !whole || body.len() < 16 + 8 * Slot::COUNT || !body.starts_with(MAGIC) {
            return None;
        }
        body.advance(MAGIC.len());
        let next_number = body.get_u64_le();
        let checkpoints = (0..Slot::COUNT).map(|_| N(body.get_u64_le())).collect();
        let mut segments = Vec::with_capacity(body.len() / SEGMENT_BYTES);
        while body.remaining() >= SEGMENT_BYTES {
            let (kind, day) = (body.get_u8(), body.get_u32_le());
            let kind = if kind == 0 { Kind::Facts } else { Kind::Keys(day) };
            let (level, number, newest) = (body.get_u8(), body.get_u64_le(), body.get_u64_le());
            segments.push(Segment { kind, level, number, newest });
        }
        body.is_empty().then_some(Manifest { checkpoints, next_number, segments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_and_a_damaged_one_does_not() {
        let segments = vec![
            Segment { kind: Kind::Facts, level: 2, number: 7, newest: 5 },
            Segment { kind: Kind::Keys(u32::MAX), level: 0, number: 8, newest: 8 },
        ];
        let checkpoints = (0..Slot::COUNT as u64).map(N).collect();
        let manifest = Manifest { checkpoints, next_number: 9, segments };
        let mut bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes), Some(manifest));
        for at in [0, 20, bytes.len() - 5, bytes.len() - 1] {
            bytes[at] ^= 4;
            assert_eq!(Manifest::decode(&bytes), None);
            bytes[at] ^= 4;
        }
        assert_eq!(Manifest::decode(&bytes[..bytes.len() - 1]), None);
    }
}
