//! A segment file: its header, its name, and how one is made ready before it is needed.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic |
//! | 8 | 2 | format version |
//! | 10 | 2 | zero |
//! | 12 | 4 | CRC32C of the other bytes of the header |
//! | 16 | 8 | segment number, from 1 |
//! | 24 | 8 | timeline |
//! | 32 | 8 | fingerprint of the slot key |
//! | 40 | 16 | salt |
//! | 56 | 8 | length of the file in bytes |
//! | 64 | 8 | where the segment before it ends; all of that one was synced |
//! | 72 | 4 | header checksum of the last block of the one before it |
//! | 76 | 4 | zero |
//! | 80 | 4096 | per slot: last n, reign in force, at the segment's start |
//! | 4176 | … | zeros up to 8192 |

use std::io;
use std::sync::Arc;

use anser_core::ports::disk::{Disk, DiskFile};
use anser_model::{N, Reign, Slot, Timeline};

use super::block::{SECTOR_BYTES, Salt, u32_at, u64_at};
use super::heads::Heads;

/// The format of segments and blocks that this code writes, and the only one that it reads.
pub const SEGMENT_FORMAT: u16 = 1;
/// Bytes of a segment before its first block.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 8 * 1024;

const MAGIC: [u8; 8] = *b"ANSERLOG";
const CHECKSUM_AT: usize = 12;
const HEADS_AT: usize = 80;
const HEAD_BYTES: usize = 16;
const ZEROS_BYTES: usize = 256 * 1024;

const SUFFIX: &str = ".segment";
/// Whatever ends so was being made when the process ended, and is no part of the log.
pub(crate) const UNFINISHED_SUFFIX: &str = ".tmp";
const SPARE_NAME: &str = "spare.tmp";

pub(crate) fn file_name(number: u64) -> String {
    format!("{number:020}{SUFFIX}")
}

/// The number in a segment's file name; `None` for any other file.
pub(crate) fn number_in(name: &str) -> Option<u64> {
    let number = name.strip_suffix(SUFFIX)?.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub number: u64,
    pub timeline: Timeline,
    pub slot_key_fingerprint: u64,
    pub salt: Salt,
    pub file_bytes: u64,
    pub previous_end: u64,
    pub previous_checksum: u32,
    pub heads: Heads,
}

/// Why bytes are not the header of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    UnknownFormat(u16),
    Damaged(&'static str),
}

impl SegmentHeader {
    /// The bytes, and the checksum that the first block names.
    pub fn encode(&self) -> (Vec<u8>, u32) {
        let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&SEGMENT_FORMAT.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.timeline.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.slot_key_fingerprint.to_le_bytes());
        bytes[40..56].copy_from_slice(&self.salt.0);
        bytes[56..64].copy_from_slice(&self.file_bytes.to_le_bytes());
        bytes[64..72].copy_from_slice(&self.previous_end.to_le_bytes());
        bytes[72..76].copy_from_slice(&self.previous_checksum.to_le_bytes());
        for (index, (last, reign)) in self.heads.iter().enumerate() {
            let at = HEADS_AT + index * HEAD_BYTES;
            bytes[at..at + 8].copy_from_slice(&last.0.to_le_bytes());
            bytes[at + 8..at + 16].copy_from_slice(&reign.0.to_le_bytes());
        }
        let checksum = checksum(&bytes);
        bytes[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_le_bytes());
        (bytes, checksum)
    }

    /// Whether this can be the header of the segment behind that of `before`, whose blocks nobody has
    /// looked at.
    pub fn may_follow(&self, before: &SegmentHeader) -> bool {
        let ends = SEGMENT_HEADER_BYTES as u64..=before.file_bytes;
        let only_grow = before.heads.iter().zip(self.heads.iter()).all(|((was, _), (is, _))| was <= is);
        ends.contains(&self.previous_end)
            && self.previous_end.is_multiple_of(SECTOR_BYTES as u64)
            && only_grow
    }

    pub fn decode(bytes: &[u8]) -> Result<(SegmentHeader, u32), HeaderError> {
        if bytes.len() != SEGMENT_HEADER_BYTES {
            return Err(HeaderError::Damaged("the file ends within its header"));
        }
        if bytes[..8] != MAGIC {
            return Err(HeaderError::Damaged("this is not a segment of the log"));
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != SEGMENT_FORMAT {
            return Err(HeaderError::UnknownFormat(version));
        }
        let checksum = checksum(bytes);
        if u32_at(bytes, CHECKSUM_AT) != checksum {
            return Err(HeaderError::Damaged("the segment's header does not match its checksum"));
        }
        let mut salt = [0; 16];
        salt.copy_from_slice(&bytes[40..56]);
        let head = |index| HEADS_AT + index * HEAD_BYTES;
        let header = SegmentHeader {
            number: u64_at(bytes, 16),
            timeline: Timeline(u64_at(bytes, 24)),
            slot_key_fingerprint: u64_at(bytes, 32),
            salt: Salt(salt),
            file_bytes: u64_at(bytes, 56),
            previous_end: u64_at(bytes, 64),
            previous_checksum: u32_at(bytes, 72),
            heads: Heads::from_slots(
                (0..Slot::COUNT)
                    .map(|index| (N(u64_at(bytes, head(index))), Reign(u64_at(bytes, head(index) + 8)))),
            ),
        };
        if header.file_bytes < (SEGMENT_HEADER_BYTES + SECTOR_BYTES) as u64
            || header.heads.iter().any(|(last, _)| last == N(u64::MAX))
        {
            return Err(HeaderError::Damaged("the segment's header holds impossible numbers"));
        }
        Ok((header, checksum))
    }
}

fn checksum(header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..CHECKSUM_AT]), &header[CHECKSUM_AT + 4..])
}

/// A file of zeros that are durable, ready to become a segment. Its name is not durable yet.
pub(crate) struct Spare {
    pub name: &'static str,
    pub file: Arc<dyn DiskFile>,
    pub bytes: u64,
}

/// Makes a spare of `bytes`, replacing any that is there, and rests after each piece. What an error leaves behind is
/// removed.
pub(crate) fn prepare_spare(disk: &dyn Disk, bytes: u64, rest: &dyn Fn()) -> io::Result<Spare> {
    remove_if_there(disk, SPARE_NAME)?;
    let written = disk.create(SPARE_NAME).and_then(|file| {
        file.allocate(bytes)?;
        let zeros = vec![0; ZEROS_BYTES.min(bytes as usize)];
        let mut offset = 0;
        while offset < bytes {
            let some = zeros.len().min((bytes - offset) as usize);
            file.write_all_at(offset, &zeros[..some])?;
            offset += some as u64;
            rest();
        }
        file.sync_data()?;
        Ok(file)
    });
    match written {
        Ok(file) => Ok(Spare { name: SPARE_NAME, file: Arc::from(file), bytes }),
        Err(error) => {
            // Gives the room back. If that fails too, the next try or the next start removes it.
            let _ = disk.remove(SPARE_NAME);
            Err(error)
        }
    }
}

pub(crate) fn remove_if_there(disk: &dyn Disk, name: &str) -> io::Result<()> {
    match disk.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether an error says that the medium is full, which passes, rather than that it failed.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Where the heart gets files for new segments.
pub(crate) trait Spares: Send {
    /// One of at least `bytes`, made now if none is ready.
    fn take(&mut self, disk: &dyn Disk, bytes: u64) -> io::Result<Spare>;

    /// Another will be needed some time.
    fn foresee(&mut self, bytes: u64);
}

/// Makes each file when it is asked for.
pub(crate) struct SparesAtOnce;

impl Spares for SparesAtOnce {
    fn take(&mut self, disk: &dyn Disk, bytes: u64) -> io::Result<Spare> {
        prepare_spare(disk, bytes, &|| ())
    }

    fn foresee(&mut self, _bytes: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            number: 7,
            timeline: Timeline(1),
            slot_key_fingerprint: 2,
            salt: Salt([3; 16]),
            file_bytes: 65536,
            previous_end: 60000,
            previous_checksum: 4,
            heads: Heads::from_slots((0..256).map(|index| (N(index), Reign(index * 1000)))),
        }
    }

    #[test]
    fn a_header_reads_back_and_every_flipped_bit_is_noticed() {
        let (bytes, checksum) = header().encode();
        assert!(SegmentHeader::decode(&bytes) == Ok((header(), checksum)));
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_format_is_named_and_not_judged() {
        let (mut bytes, _) = header().encode();
        bytes[8] = 2;
        assert!(SegmentHeader::decode(&bytes) == Err(HeaderError::UnknownFormat(2)));
    }

    #[test]
    fn only_names_of_segments_are_taken_for_segments() {
        assert_eq!(number_in(&file_name(12)), Some(12));
        for other in ["12.segment", "LOCK", "FORMAT", "spare.tmp", "+0000000000000000012.segment", ".segment"]
        {
            assert_eq!(number_in(other), None, "{other}");
        }
    }
}
