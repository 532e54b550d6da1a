//! What a log is opened with.

use anser_model::Timeline;

pub use super::block::BLOCK_FULL_BYTES;
use super::block::SECTOR_BYTES;
use super::segment::SEGMENT_HEADER_BYTES;

/// Bytes of a segment file unless told otherwise.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of a segment file at least: its header, one small block, and a sector for the seal.
pub const SEGMENT_BYTES_LEAST: u64 = (SEGMENT_HEADER_BYTES + 2 * SECTOR_BYTES) as u64;

/// Bytes of one write, unless told otherwise.
const GROUP_BYTES: usize = 8 * 1024 * 1024;

/// How a log is opened. Make one with [`LogOptions::new`] and change what differs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogOptions {
    /// Bytes of each new segment file; one that must hold a larger record is larger.
    pub segment_bytes: u64,
    /// A block that has this many bytes takes no further record. Smaller ones are cheaper to read
    /// one record from, larger ones have less overhead; held to at most [`BLOCK_FULL_BYTES`].
    pub block_full_bytes: usize,
    /// A write is made when this many bytes are laid out, however many more wait.
    pub group_bytes: usize,
    /// [`anser_model::SlotKey::fingerprint`] of the installation's key: records sorted into slots by
    /// another key make no sense under this one.
    pub slot_key_fingerprint: u64,
    /// The timeline of a log that is made by this opening; random where `None`. An existing log
    /// keeps its own.
    pub new_timeline: Option<Timeline>,
    /// Called by the committer with how many appends it is about to answer, and with what answers them, which it must
    /// call once: whoever waits may be gone on with right there, before the next sync.
    pub answering: fn(usize, &mut dyn FnMut()),
}

impl LogOptions {
    /// The usual options, for the slot key with this fingerprint.
    pub fn new(slot_key_fingerprint: u64) -> Self {
        LogOptions {
            segment_bytes: SEGMENT_BYTES,
            block_full_bytes: BLOCK_FULL_BYTES,
            group_bytes: GROUP_BYTES,
            slot_key_fingerprint,
            new_timeline: None,
            answering: |_, answer| answer(),
        }
    }

    /// Held to what a segment can be: whole sectors, at least [`SEGMENT_BYTES_LEAST`].
    pub(crate) fn settled(mut self) -> Self {
        self.segment_bytes =
            self.segment_bytes.max(SEGMENT_BYTES_LEAST).next_multiple_of(SECTOR_BYTES as u64);
        self.block_full_bytes = self.block_full_bytes.min(BLOCK_FULL_BYTES);
        self
    }
}
