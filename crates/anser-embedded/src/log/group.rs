//! What the next write consists of: records laid out as blocks, one after another.

use anser_core::record::{Record, RecordHeader};

use super::block::{BLOCK_HEADER_BYTES, Place, Salt, finish, whole_sectors};

/// Blocks that are written with one call and made durable with one sync.
pub(crate) struct Group {
    block_full_bytes: usize,
    salt: Salt,
    start: u64,
    buffer: Vec<u8>,
    /// Where in the buffer the block that still takes records begins.
    open: Option<OpenBlock>,
    previous: u32,
    placed: Vec<(RecordHeader, u64)>,
}

struct OpenBlock {
    at: usize,
    records: u32,
}

/// A group that is complete.
pub(crate) struct Laid<'a> {
    pub start: u64,
    pub bytes: &'a [u8],
    pub previous: u32,
    pub placed: &'a [(RecordHeader, u64)],
}

impl Group {
    /// An empty one, whose blocks take no further record from `block_full_bytes` on.
    pub fn new(block_full_bytes: usize) -> Self {
        let (buffer, placed) = (Vec::new(), Vec::new());
        Group { block_full_bytes, salt: Salt([0; 16]), start: 0, buffer, open: None, previous: 0, placed }
    }

    /// Starts over at `start` of the segment with `salt`, behind the block whose header checksum is
    /// `previous`. Everything below `start` is durable.
    pub fn begin(&mut self, salt: Salt, start: u64, previous: u32) {
        assert!(self.open.is_none(), "a group is laid before the next begins");
        self.buffer.clear();
        self.placed.clear();
        (self.salt, self.start, self.previous) = (salt, start, previous);
    }

    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Where the group would end with a further record of `record_bytes`.
    pub fn end_with(&self, record_bytes: usize) -> u64 {
        let (at, used) = match &self.open {
            Some(open) => (open.at, self.buffer.len() - open.at),
            None => (self.buffer.len(), BLOCK_HEADER_BYTES),
        };
        self.start + (at + whole_sectors(used + record_bytes)) as u64
    }

    pub fn push(&mut self, record: &Record) {
        let at = match &mut self.open {
            Some(open) => {
                open.records += 1;
                open.at
            }
            None => self.open_block(1),
        };
        record.encode_into(&mut self.buffer);
        self.placed.push((record.header, self.start + at as u64));
        if self.buffer.len() - at >= self.block_full_bytes {
            self.close_block();
        }
    }

    /// Adds a block that says nothing but where the synced end is.
    pub fn push_seal(&mut self) {
        self.close_block();
        self.open_block(0);
        self.close_block();
    }

    fn open_block(&mut self, records: u32) -> usize {
        let at = self.buffer.len();
        self.buffer.resize(at + BLOCK_HEADER_BYTES, 0);
        self.open = Some(OpenBlock { at, records });
        at
    }

    fn close_block(&mut self) {
        let Some(OpenBlock { at, records }) = self.open.take() else { return };
        let length = whole_sectors(self.buffer.len() - at);
        self.buffer.resize(at + length, 0);
        let place = Place {
            salt: &self.salt,
            offset: self.start + at as u64,
            synced_end: self.start,
            previous: self.previous,
        };
        self.previous = finish(&mut self.buffer[at..], records, &place);
    }

    /// Completes the last block.
    pub fn lay(&mut self) -> Laid<'_> {
        self.close_block();
        Laid { start: self.start, bytes: &self.buffer, previous: self.previous, placed: &self.placed }
    }
}
