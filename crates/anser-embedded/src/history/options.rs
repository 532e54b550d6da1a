//! What a history is opened with.

/// How a history is opened. Make one with [`HistoryOptions::usual`] and change what differs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HistoryOptions {
    /// A block is closed once it has so many bytes: one of them is what a read costs.
    pub block_bytes: usize,
    /// Segments of one kind and level that are merged into one of the next.
    pub tier_segments: usize,
    /// Segments of one kind and level above which a flush waits for the merging.
    pub tier_segments_max: usize,
    /// After so many bytes a segment that is being written is synced, so that the sync of a fold
    /// never waits behind more than these.
    pub sync_step_bytes: u64,
    /// For so long rows that were written again are gathered before their older versions are erased.
    pub erase_gather_ms: u64,
    /// A segment of more bytes is large: it is written anew to erase at most once in [`ERASE_REST_MS`].
    pub erase_large_bytes: u64,
}

/// Bytes a second that erasing may read and write, over time.
pub const ERASE_BYTES_PER_SECOND: u64 = 8 * 1024 * 1024;
/// For so long a large segment is left alone after it was written anew.
pub const ERASE_REST_MS: u64 = 6 * 3_600 * 1_000;

impl HistoryOptions {
    /// The usual.
    pub fn usual() -> HistoryOptions {
        HistoryOptions {
            block_bytes: 16 * 1024,
            tier_segments: 12,
            tier_segments_max: 48,
            sync_step_bytes: 16 * 1024 * 1024,
            erase_gather_ms: 5 * 60 * 1_000,
            erase_large_bytes: 64 * 1024 * 1024,
        }
    }
}

impl Default for HistoryOptions {
    fn default() -> HistoryOptions {
        HistoryOptions::usual()
    }
}
