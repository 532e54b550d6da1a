//! The walk over a segment's blocks, from the first one on: every checksum is looked at, and every
//! record must follow the one before it.

use std::io;
use std::sync::Arc;

use anser_core::ports::disk::DiskFile;
use anser_model::Timeline;

use super::block::{BLOCK_BYTES, Salt};
use super::heads::Heads;
use super::index::SegmentIndex;
use super::reader::{BlockReader, Found};
use super::segment::SEGMENT_HEADER_BYTES;

/// Bytes that a walk asks of the disk at once.
pub(crate) const CHUNK_BYTES: usize = BLOCK_BYTES;

/// What a segment's header says of it.
#[derive(Clone)]
pub(crate) struct Ground {
    pub number: u64,
    pub file: Arc<dyn DiskFile>,
    pub salt: Salt,
    pub timeline: Timeline,
    /// Of the header itself; the first block names it.
    pub checksum: u32,
    /// The heads before the first record.
    pub start: Heads,
}

/// How far a walk has come.
pub(crate) struct Walk {
    /// Behind the last block that was accepted.
    pub end: u64,
    /// Header checksum of that block, or of the segment.
    pub previous: u32,
    /// The highest synced end that an accepted block names.
    pub synced_end: u64,
    /// The last block holds no record: nothing durable lies behind what says so.
    pub sealed: bool,
    /// Behind the last record.
    pub heads: Heads,
    pub index: SegmentIndex,
}

/// Why a walk could not go on.
pub(crate) enum WalkError {
    Io(io::Error),
    /// A block that is what was written, with something in it that cannot be.
    Impossible {
        offset: u64,
        what: String,
    },
}

impl Walk {
    pub fn begin(ground: &Ground) -> Self {
        let start = SEGMENT_HEADER_BYTES as u64;
        Walk {
            end: start,
            previous: ground.checksum,
            synced_end: start,
            sealed: true,
            heads: ground.start.clone(),
            index: SegmentIndex::new(),
        }
    }

    /// Accepts blocks up to `limit` or the first that is not one.
    pub fn run(&mut self, ground: &Ground, limit: u64) -> Result<(), WalkError> {
        let mut reader = BlockReader::new(&*ground.file, ground.salt, self.end, limit, CHUNK_BYTES);
        loop {
            let Found::Block(block) = reader.next().map_err(WalkError::Io)? else { return Ok(()) };
            let (header, offset) = (block.header, block.offset);
            if header.previous != self.previous {
                // Whole, but left over from a write whose beginning was cut: not of this chain.
                return Ok(());
            }
            self.index.note(offset, &self.heads);
            let heads = &mut self.heads;
            let checked = block.records(|record, _| {
                if record.timeline != ground.timeline || !heads.admits(&record) {
                    return Err(format!("a record of slot {} does not follow: {record:?}", record.slot));
                }
                heads.apply(&record);
                Ok(())
            });
            checked.map_err(|what| WalkError::Impossible { offset, what })?;
            self.end = offset + header.length as u64;
            self.previous = header.checksum;
            self.synced_end = self.synced_end.max(header.synced_end);
            self.sealed = header.records == 0;
        }
    }
}
