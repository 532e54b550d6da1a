//! A block: what one write puts into a segment. Records of many slots, one checksum, whole sectors.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic |
//! | 4 | 4 | CRC32C of bytes 8..40, seeded |
//! | 8 | 8 | mark: the salt's first half, mixed with the offset |
//! | 16 | 4 | CRC32C of everything from 40 on, padding included, seeded |
//! | 20 | 4 | header checksum of the block before it (of the segment, for the first) |
//! | 24 | 4 | length in bytes, a multiple of a sector |
//! | 28 | 4 | how many records |
//! | 32 | 8 | synced end: everything below it in this segment was durable before this was written |
//! | 40 | … | records, then zeros up to the length |
//!
//! Seeded means: begun with the segment's secret random salt and the block's own offset, so what
//! people wrote into messages can never pass for a block, nor a block of another place or segment.
//! The header has a checksum of its own, so that a block whose body was torn still proves what it
//! says about the synced end. The chain of header checksums keeps out a whole block that a crash
//! left behind further on: it followed another one than the one now written before it.

/// The unit that a disk writes whole or not at all. Blocks begin and end at one, so that writing a
/// block never touches a sector that holds an older one.
pub(crate) const SECTOR_BYTES: usize = 512;
/// Bytes of a block before its records.
pub(crate) const BLOCK_HEADER_BYTES: usize = 40;
/// A block that has this many bytes takes no further record: a reader has to check it as a whole.
pub const BLOCK_FULL_BYTES: usize = 64 * 1024;
/// Bytes of a block at most: a full one less a byte, and the largest record on top.
pub(crate) const BLOCK_BYTES: usize = 2 * 1024 * 1024;

const MAGIC: [u8; 4] = *b"ANSB";

/// Secret random bytes of one segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Salt(pub [u8; 16]);

impl Salt {
    fn seed(&self, offset: u64) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.0), &offset.to_le_bytes())
    }

    fn mark(&self, offset: u64) -> u64 {
        u64_at(&self.0, 0) ^ offset
    }
}

/// What a block says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    pub length: usize,
    pub records: u32,
    pub synced_end: u64,
    pub previous: u32,
    pub body_checksum: u32,
    /// Of this header; the next block names it.
    pub checksum: u32,
}

impl BlockHeader {
    /// The header at the beginning of `bytes`, if there is a true one that was written at `offset`.
    pub fn decode(bytes: &[u8], salt: &Salt, offset: u64) -> Option<BlockHeader> {
        if bytes.len() < BLOCK_HEADER_BYTES || bytes[..4] != MAGIC || u64_at(bytes, 8) != salt.mark(offset) {
            return None;
        }
        let header = BlockHeader {
            length: u32_at(bytes, 24) as usize,
            records: u32_at(bytes, 28),
            synced_end: u64_at(bytes, 32),
            previous: u32_at(bytes, 20),
            body_checksum: u32_at(bytes, 16),
            checksum: u32_at(bytes, 4),
        };
        let true_to_itself = header.checksum == crc32c::crc32c_append(salt.seed(offset), &bytes[8..40]);
        let possible = header.length.is_multiple_of(SECTOR_BYTES)
            && (SECTOR_BYTES..=BLOCK_BYTES).contains(&header.length)
            && header.synced_end <= offset;
        (true_to_itself && possible).then_some(header)
    }

    /// Whether `block`, of this header's length, is what was written.
    pub fn holds(&self, block: &[u8], salt: &Salt, offset: u64) -> bool {
        assert_eq!(block.len(), self.length, "a block is judged whole");
        self.body_checksum == crc32c::crc32c_append(salt.seed(offset), &block[BLOCK_HEADER_BYTES..])
    }
}

/// Where and after what a block is written.
pub(crate) struct Place<'a> {
    pub salt: &'a Salt,
    pub offset: u64,
    pub synced_end: u64,
    pub previous: u32,
}

/// Fills in the header of `block`, whose first [`BLOCK_HEADER_BYTES`] are room for it and whose
/// length is that of whole sectors. Returns the header's checksum, which the next block names.
pub(crate) fn finish(block: &mut [u8], records: u32, place: &Place<'_>) -> u32 {
    assert!(block.len().is_multiple_of(SECTOR_BYTES) && block.len() <= BLOCK_BYTES, "whole sectors, bounded");
    assert!(place.offset.is_multiple_of(SECTOR_BYTES as u64) && place.synced_end <= place.offset);
    let seed = place.salt.seed(place.offset);
    let body = crc32c::crc32c_append(seed, &block[BLOCK_HEADER_BYTES..]);
    block[..4].copy_from_slice(&MAGIC);
    block[8..16].copy_from_slice(&place.salt.mark(place.offset).to_le_bytes());
    block[16..20].copy_from_slice(&body.to_le_bytes());
    block[20..24].copy_from_slice(&place.previous.to_le_bytes());
    let length = block.len() as u32;
    block[24..28].copy_from_slice(&length.to_le_bytes());
    block[28..32].copy_from_slice(&records.to_le_bytes());
    block[32..40].copy_from_slice(&place.synced_end.to_le_bytes());
    let checksum = crc32c::crc32c_append(seed, &block[8..40]);
    block[4..8].copy_from_slice(&checksum.to_le_bytes());
    checksum
}

/// `bytes` rounded up to whole sectors.
pub(crate) const fn whole_sectors(bytes: usize) -> usize {
    bytes.next_multiple_of(SECTOR_BYTES)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use anser_core::record::{RECORD_HEADER_BYTES, RECORD_PAYLOAD_BYTES};

    use super::*;

    const SALT: Salt = Salt([9; 16]);

    fn block() -> Vec<u8> {
        let mut block = vec![0; 1024];
        block[BLOCK_HEADER_BYTES..BLOCK_HEADER_BYTES + 5].copy_from_slice(b"facts");
        finish(&mut block, 1, &Place { salt: &SALT, offset: 8192, synced_end: 8192, previous: 77 });
        block
    }

    #[test]
    fn the_largest_record_fits_a_block_that_is_almost_full() {
        let largest = RECORD_HEADER_BYTES + RECORD_PAYLOAD_BYTES;
        assert!(whole_sectors(BLOCK_FULL_BYTES - 1 + largest) <= BLOCK_BYTES);
    }

    #[test]
    fn a_block_reads_back_only_where_it_was_written() {
        let block = block();
        let header = BlockHeader::decode(&block, &SALT, 8192).expect("a header");
        assert_eq!((header.length, header.records, header.synced_end, header.previous), (1024, 1, 8192, 77));
        assert!(header.holds(&block, &SALT, 8192));
        assert_eq!(BlockHeader::decode(&block, &SALT, 8704), None, "another offset");
        assert_eq!(BlockHeader::decode(&block, &Salt([8; 16]), 8192), None, "another segment");
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let whole = block();
        for bit in 0..whole.len() * 8 {
            let mut block = whole.clone();
            block[bit / 8] ^= 1 << (bit % 8);
            let header = BlockHeader::decode(&block, &SALT, 8192);
            assert!(header.is_none_or(|header| !header.holds(&block, &SALT, 8192)), "bit {bit}");
        }
    }
}
