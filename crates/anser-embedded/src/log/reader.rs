//! Reading blocks one after another, and records out of a block, believing nothing unchecked.

use std::io;

use anser_core::ports::disk::DiskFile;
use anser_core::record::RecordHeader;
use anser_model::planted;

use super::block::{BLOCK_HEADER_BYTES, BlockHeader, SECTOR_BYTES, Salt};

/// Walks the blocks of a segment from some block's beginning.
pub(crate) struct BlockReader<'a> {
    file: &'a dyn DiskFile,
    salt: Salt,
    offset: u64,
    end: u64,
    chunk_bytes: usize,
    buffer: Vec<u8>,
    buffer_at: u64,
}

/// What lies at the reader's place.
pub(crate) enum Found<'a> {
    /// A block that is what was written. The reader now stands behind it.
    Block(Block<'a>),
    /// No true block. The reader stays.
    Nothing,
}

pub(crate) struct Block<'a> {
    pub header: BlockHeader,
    pub offset: u64,
    bytes: &'a [u8],
}

impl<'a> BlockReader<'a> {
    /// Reads `[offset, end)` of `file`, about `chunk_bytes` at a time.
    pub fn new(file: &'a dyn DiskFile, salt: Salt, offset: u64, end: u64, chunk_bytes: usize) -> Self {
        let buffer = Vec::new();
        BlockReader { file, salt, offset, end, chunk_bytes, buffer, buffer_at: offset }
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn next(&mut self) -> io::Result<Found<'_>> {
        let (offset, salt) = (self.offset, self.salt);
        if !self.fill(SECTOR_BYTES)? {
            return Ok(Found::Nothing);
        }
        let Some(header) = BlockHeader::decode(self.window(SECTOR_BYTES), &salt, offset) else {
            return Ok(Found::Nothing);
        };
        if !self.fill(header.length)? {
            return Ok(Found::Nothing);
        }
        if !header.holds(self.window(header.length), &salt, offset) && !planted!(TrustBytes) {
            return Ok(Found::Nothing);
        }
        self.offset += header.length as u64;
        let start = (offset - self.buffer_at) as usize;
        let bytes = &self.buffer[start..start + header.length];
        Ok(Found::Block(Block { header, offset, bytes }))
    }

    fn window(&self, bytes: usize) -> &[u8] {
        let start = (self.offset - self.buffer_at) as usize;
        &self.buffer[start..start + bytes]
    }

    /// Sees to it that `bytes` from the offset on are in the buffer; `false` where the end is nearer.
    fn fill(&mut self, bytes: usize) -> io::Result<bool> {
        if self.offset + bytes as u64 > self.end {
            return Ok(false);
        }
        if self.offset + bytes as u64 <= self.buffer_at + self.buffer.len() as u64 {
            return Ok(true);
        }
        let wanted = self.chunk_bytes.max(bytes).min((self.end - self.offset) as usize);
        self.buffer.resize(wanted, 0);
        self.buffer_at = self.offset;
        let read = self.file.read_at(self.offset, &mut self.buffer)?;
        self.buffer.truncate(read);
        Ok(read >= bytes)
    }
}

impl Block<'_> {
    /// Hands each record to `take`: its header and its bytes. Stops at the first that is not as it
    /// should be, and says what is wrong.
    pub fn records(
        &self,
        mut take: impl FnMut(RecordHeader, &[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut rest = &self.bytes[BLOCK_HEADER_BYTES..];
        for _ in 0..self.header.records {
            let (header, length) = RecordHeader::decode(rest).map_err(|error| error.to_string())?;
            take(header, &rest[..length])?;
            rest = &rest[length..];
        }
        Ok(())
    }
}
