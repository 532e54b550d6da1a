//! The log record: one batch of one slot, and its frozen header.
//!
//! A record counts iff its reign is in force where it lands and its first n is the last n + 1.
//! The payload holds the facts in the storage schema of [`crate::storage`]; the log never looks into it.
//!
//! # Bytes of format 1
//!
//! Little-endian, frozen. A reader of another version must not guess.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 2 | format version |
//! | 2 | 1 | flags: 1 = must understand, 2 = opening |
//! | 3 | 1 | slot |
//! | 4 | 4 | CRC32C over bytes 0..4 and everything from 8 to the end of the payload |
//! | 8 | 8 | timeline |
//! | 16 | 8 | reign |
//! | 24 | 8 | opens after (0 unless opening) |
//! | 32 | 8 | first n |
//! | 40 | 4 | count |
//! | 44 | 4 | payload length in bytes |
//! | 48 | … | payload |

use anser_model::{N, Reign, Slot, Timeline, planted};
use bytes::Bytes;

/// The format that this code writes, and the only one that it reads.
pub const RECORD_FORMAT: u16 = 1;
/// Bytes of a record before its payload.
pub const RECORD_HEADER_BYTES: usize = 48;
/// Bytes of one record's payload at most.
pub const RECORD_PAYLOAD_BYTES: usize = 1024 * 1024;

const FLAG_MUST_UNDERSTAND: u8 = 1;
const FLAG_OPENING: u8 = 2;
const CHECKSUM_AT: usize = 4;
const AFTER_CHECKSUM: usize = 8;

/// One batch of one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which slot, and how many facts from which n.
    pub header: RecordHeader,
    /// The facts, encoded by [`crate::storage`].
    pub payload: Bytes,
}

/// What a log needs to judge a record without reading its facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader {
    /// Which history of the installation.
    pub timeline: Timeline,
    /// Which slot.
    pub slot: Slot,
    /// Under which reign it was written. For an opening record, the reign that it starts.
    pub reign: Reign,
    /// For an opening record, the reign that must be in force for it to count.
    pub opens_after: Option<Reign>,
    /// n of the first fact.
    pub first_n: N,
    /// How many facts: at least one.
    pub count: u32,
    /// A reader that does not know every kind of fact in it must not rule on.
    pub must_understand: bool,
}

impl RecordHeader {
    /// n of the last fact.
    pub fn last_n(&self) -> N {
        N(self.first_n.0 + u64::from(self.count) - 1)
    }

    /// Whether the record counts where `in_force` rules and `last` is the last valid n.
    pub fn follows(&self, in_force: Reign, last: N) -> bool {
        let rules = match self.opens_after {
            Some(after) => after == in_force && self.reign != in_force,
            None => self.reign == in_force,
        };
        let follows = self.first_n == last.next() || planted!(ReuseN);
        rules && follows && self.count > 0
    }
}

impl Record {
    /// Bytes of the record when encoded.
    pub fn encoded_len(&self) -> usize {
        RECORD_HEADER_BYTES + self.payload.len()
    }

    /// Appends the record's bytes to `out`.
    ///
    /// # Panics
    /// When the record breaks a limit that its writer had to keep: a payload above
    /// [`RECORD_PAYLOAD_BYTES`], no fact in it, or an n that cannot be counted to.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let header = &self.header;
        assert!(self.payload.len() <= RECORD_PAYLOAD_BYTES, "a batch is cut before its payload is too large");
        header.check_numbers().expect("a record is made of numbers that can be read back");

        let start = out.len();
        let must_understand = if header.must_understand { FLAG_MUST_UNDERSTAND } else { 0 };
        let opening = if header.opens_after.is_some() { FLAG_OPENING } else { 0 };
        out.extend_from_slice(&RECORD_FORMAT.to_le_bytes());
        out.push(must_understand | opening);
        out.push(header.slot.0);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&header.timeline.0.to_le_bytes());
        out.extend_from_slice(&header.reign.0.to_le_bytes());
        out.extend_from_slice(&header.opens_after.unwrap_or_default().0.to_le_bytes());
        out.extend_from_slice(&header.first_n.0.to_le_bytes());
        out.extend_from_slice(&header.count.to_le_bytes());
        out.extend_from_slice(&(self.payload.len() as u32).to_le_bytes());
        assert_eq!(out.len() - start, RECORD_HEADER_BYTES, "the header is frozen");
        out.extend_from_slice(&self.payload);
        let checksum = checksum(&out[start..]);
        out[start + CHECKSUM_AT..start + AFTER_CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Reads the record that `bytes` begin with, and how many bytes it took. Never panics.
    ///
    /// # Errors
    /// Each [`RecordError`]; none of them leaves a half-read record behind.
    pub fn decode(bytes: &[u8]) -> Result<(Record, usize), RecordError> {
        let (header, len) = RecordHeader::decode(bytes)?;
        Ok((Record { header, payload: Bytes::copy_from_slice(&bytes[RECORD_HEADER_BYTES..len]) }, len))
    }
}

impl RecordHeader {
    /// Reads and checks the whole record that `bytes` begin with, without copying its payload.
    /// Returns the header and the bytes of the record, payload included.
    ///
    /// # Errors
    /// As [`Record::decode`].
    pub fn decode(bytes: &[u8]) -> Result<(RecordHeader, usize), RecordError> {
        let (header, len, sum) = Self::decode_unchecked(bytes)?;
        let whole = bytes.get(..len).ok_or(RecordError::Truncated { needed: len, given: bytes.len() })?;
        let computed = checksum(whole);
        if computed != sum && !planted!(TrustBytes) {
            return Err(RecordError::Checksum { stored: sum, computed });
        }
        if whole[2] & !(FLAG_MUST_UNDERSTAND | FLAG_OPENING) != 0 {
            return Err(RecordError::UnknownFlags(whole[2]));
        }
        if header.opens_after.is_none() && u64_at(whole, 24) != 0 {
            return Err(RecordError::Impossible("a record that opens nothing names a reign before it"));
        }
        header.check_numbers()?;
        Ok((header, len))
    }

    /// What the fixed bytes say: header, length of the record in bytes, stored checksum.
    fn decode_unchecked(bytes: &[u8]) -> Result<(RecordHeader, usize, u32), RecordError> {
        if let Some(version) = bytes.first_chunk::<2>().map(|bytes| u16::from_le_bytes(*bytes))
            && version != RECORD_FORMAT
        {
            return Err(RecordError::UnknownFormat { found: version, known: RECORD_FORMAT });
        }
        if bytes.len() < RECORD_HEADER_BYTES {
            return Err(RecordError::Truncated { needed: RECORD_HEADER_BYTES, given: bytes.len() });
        }
        let payload_bytes = u32_at(bytes, 44) as usize;
        if payload_bytes > RECORD_PAYLOAD_BYTES {
            return Err(RecordError::TooLong { payload_bytes, limit_bytes: RECORD_PAYLOAD_BYTES });
        }
        let opening = bytes[2] & FLAG_OPENING != 0;
        let header = RecordHeader {
            timeline: Timeline(u64_at(bytes, 8)),
            slot: Slot(bytes[3]),
            reign: Reign(u64_at(bytes, 16)),
            opens_after: opening.then(|| Reign(u64_at(bytes, 24))),
            first_n: N(u64_at(bytes, 32)),
            count: u32_at(bytes, 40),
            must_understand: bytes[2] & FLAG_MUST_UNDERSTAND != 0,
        };
        Ok((header, RECORD_HEADER_BYTES + payload_bytes, u32_at(bytes, CHECKSUM_AT)))
    }

    fn check_numbers(&self) -> Result<(), RecordError> {
        if self.count == 0 {
            return Err(RecordError::Impossible("a record without facts"));
        }
        if self.first_n.0 == 0 {
            return Err(RecordError::Impossible("n begins at 1"));
        }
        // One above the last n must be a number too, for the record that follows.
        if self.first_n.0.checked_add(u64::from(self.count)).is_none() {
            return Err(RecordError::Impossible("n beyond the largest number"));
        }
        Ok(())
    }
}

fn checksum(record: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&record[..CHECKSUM_AT]), &record[AFTER_CHECKSUM..])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

/// Why bytes are not a record. Asking again never helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end before the record does.
    #[error("a record of {needed} bytes is cut off after {given}")]
    Truncated {
        /// Bytes that the record needs, as far as that can be told.
        needed: usize,
        /// Bytes that were there.
        given: usize,
    },
    /// Another version of this program wrote it.
    #[error("record format {found} is not known here: this program reads format {known}")]
    UnknownFormat {
        /// The version in the record.
        found: u16,
        /// The version that this code reads.
        known: u16,
    },
    /// The payload is longer than any writer may make it.
    #[error("a record names a payload of {payload_bytes} bytes, the limit is {limit_bytes}")]
    TooLong {
        /// What the header says, in bytes.
        payload_bytes: usize,
        /// [`RECORD_PAYLOAD_BYTES`].
        limit_bytes: usize,
    },
    /// The bytes are not those that were written.
    #[error("a record's checksum is {stored:08x}, its bytes give {computed:08x}")]
    Checksum {
        /// The one in the header.
        stored: u32,
        /// The one of the bytes.
        computed: u32,
    },
    /// A flag that this code does not know.
    #[error("a record has unknown flags: {0:#04x}")]
    UnknownFlags(u8),
    /// Numbers that no writer can have meant.
    #[error("an impossible record: {0}")]
    Impossible(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(opens_after: Option<Reign>, payload: &'static [u8]) -> Record {
        Record {
            header: RecordHeader {
                timeline: Timeline(0x1112_1314_1516_1718),
                slot: Slot(0x21),
                reign: Reign(0x3132_3334_3536_3738),
                opens_after,
                first_n: N(0x4142_4344),
                count: 3,
                must_understand: opens_after.is_none(),
            },
            payload: Bytes::from_static(payload),
        }
    }

    fn encoded(record: &Record) -> Vec<u8> {
        let mut bytes = Vec::new();
        record.encode_into(&mut bytes);
        bytes
    }

    /// Lets a test change a field and still pass the checksum.
    fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let sum = checksum(&bytes);
        bytes[CHECKSUM_AT..AFTER_CHECKSUM].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    #[test]
    fn a_record_reads_back_and_says_how_long_it_was() {
        for record in [record(None, b"facts"), record(Some(Reign(0)), b""), record(Some(Reign(5)), b"x")] {
            let mut bytes = encoded(&record);
            assert_eq!(bytes.len(), record.encoded_len());
            bytes.extend_from_slice(b"the next record");
            assert_eq!(Record::decode(&bytes), Ok((record.clone(), record.encoded_len())));
        }
    }

    #[test]
    fn format_1_stays_what_it_was() {
        let golden = include_str!("../tests/golden/record-1.hex");
        let mut lines = golden.lines().filter(|line| !line.starts_with('#'));
        for record in [record(None, b"facts"), record(Some(Reign(0x5152)), b"")] {
            let hex: String = encoded(&record).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(Some(hex.as_str()), lines.next(), "format 1 is frozen: bump RECORD_FORMAT instead");
        }
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let whole = encoded(&record(Some(Reign(5)), b"payload"));
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Record::decode(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_cut_is_noticed() {
        let whole = encoded(&record(None, b"payload"));
        for len in 0..whole.len() {
            let error = Record::decode(&whole[..len]).expect_err("cut");
            assert!(matches!(error, RecordError::Truncated { given, .. } if given == len), "{len}: {error}");
        }
    }

    #[test]
    fn another_version_is_named_before_anything_else_is_judged() {
        let mut bytes = encoded(&record(None, b"payload"));
        bytes[0] = 9;
        let error = Record::decode(&bytes[..2]).expect_err("unknown");
        assert_eq!(error, RecordError::UnknownFormat { found: 9, known: 1 });
        assert_eq!(error.to_string(), "record format 9 is not known here: this program reads format 1");
    }

    #[test]
    fn numbers_that_nobody_can_have_meant_are_refused_under_a_good_checksum() {
        let whole = encoded(&record(None, b"payload"));
        let with = |at: usize, bytes: &[u8]| {
            let mut changed = whole.clone();
            changed[at..at + bytes.len()].copy_from_slice(bytes);
            Record::decode(&resealed(changed)).expect_err("refused")
        };
        assert!(matches!(with(40, &[0; 4]), RecordError::Impossible(_)));
        assert!(matches!(with(32, &[0; 8]), RecordError::Impossible(_)));
        assert!(matches!(with(32, &[0xff; 8]), RecordError::Impossible(_)));
        assert!(matches!(with(24, &[1]), RecordError::Impossible(_)));
        assert_eq!(with(2, &[0x80]), RecordError::UnknownFlags(0x80));
        assert!(matches!(with(44, &[0xff; 4]), RecordError::TooLong { .. }));
    }

    #[test]
    fn noise_is_refused_and_never_panics() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        for round in 0..20_000usize {
            let mut bytes = vec![0; round % 97];
            for byte in &mut bytes {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = (state >> 56) as u8;
            }
            if round % 2 == 0 && bytes.len() > 2 {
                bytes[..2].copy_from_slice(&RECORD_FORMAT.to_le_bytes());
            }
            assert!(Record::decode(&bytes).is_err());
        }
    }
}
