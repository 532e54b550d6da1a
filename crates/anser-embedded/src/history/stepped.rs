//! The history without threads: for simulators and offline tools.

use std::sync::Arc;

use anser_core::ports::disk::Disk;
use anser_core::ports::history::{FactRow, HistoryBatch, HistoryRange, KeyRow};
use anser_model::{N, Slot};

use super::erase::Erasing;
use super::error::HistoryError;
use super::options::HistoryOptions;
use super::rows::Kind;
use super::store::Store;

/// The same history as [`super::SegmentHistory`], driven by hand. Dropping it does nothing to the disk, as a kill would.
pub struct SteppedHistory {
    store: Store,
    erasing: Erasing,
}

/// What a check found whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Segments.
    pub segments: usize,
    /// Rows of facts, each version counted.
    pub facts: u64,
    /// Rows of keys, each version counted.
    pub keys: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Bytes of those that were read.
    pub read_bytes: u64,
}

impl SteppedHistory {
    /// Opens the history in `disk`, making it where there is none.
    ///
    /// # Errors
    /// Each [`HistoryError`].
    pub fn open(disk: Arc<dyn Disk>, options: HistoryOptions) -> Result<SteppedHistory, HistoryError> {
        Ok(SteppedHistory { store: Store::open(disk, options)?, erasing: Erasing::default() })
    }

    /// As [`anser_core::ports::history::History::checkpoints`].
    pub fn checkpoints(&self) -> Vec<N> {
        self.store.version().checkpoints.clone()
    }

    /// As [`anser_core::ports::history::History::range`].
    ///
    /// # Errors
    /// The medium cannot be read, or is damaged.
    pub fn range(&self, slot: Slot, range: &HistoryRange) -> Result<Vec<FactRow>, HistoryError> {
        self.store.version().range(slot, range)
    }

    /// As one of [`anser_core::ports::history::History::keys`].
    ///
    /// # Errors
    /// The medium cannot be read, or is damaged.
    pub fn key(&self, day: u32, slot: Slot, key: u128) -> Result<Option<KeyRow>, HistoryError> {
        self.store.version().key(day, slot, key)
    }

    /// As [`anser_core::ports::history::History::flush`], at this time in milliseconds since 1970.
    ///
    /// # Errors
    /// There is no space, or the medium failed, now or before.
    pub fn flush(&self, batches: Vec<HistoryBatch>, now_ms: u64) -> Result<(), HistoryError> {
        self.store.flush(batches, now_ms)
    }

    /// As [`anser_core::ports::history::History::forget_keys`].
    ///
    /// # Errors
    /// There is no space, or the medium failed, now or before.
    pub fn forget_keys(&self, day: u32) -> Result<(), HistoryError> {
        self.store.forget_keys(day)
    }

    /// Merges the lowest tier that is full. Whether one was.
    ///
    /// # Errors
    /// Something cannot be read, there is no space, or the medium failed, now or before.
    pub fn merge(&self) -> Result<bool, HistoryError> {
        self.store.merge_tier(&|| Ok(()))
    }

    /// Does one piece of the erasing that is due at this time in milliseconds. Whether there was one.
    ///
    /// # Errors
    /// As [`SteppedHistory::merge`].
    pub fn erase(&mut self, now_ms: u64) -> Result<bool, HistoryError> {
        self.erasing.piece(&self.store, (now_ms, 0), &mut 0, &|| Ok(()))
    }

    /// Whether the medium has failed, so that nothing is acknowledged any more.
    pub fn is_broken(&self) -> bool {
        self.store.failed().is_some()
    }

    /// Reads everything.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<Checked, HistoryError> {
        self.check_newest(u64::MAX)
    }

    /// Reads the newest segments, until they come to so many bytes; of the rest it is known that they are there and as
    /// long as they should be.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check_newest(&self, bytes: u64) -> Result<Checked, HistoryError> {
        let version = self.store.version();
        let mut checked = Checked { segments: version.segments.len(), ..Checked::default() };
        for segment in &version.segments {
            checked.bytes += segment.entry.bytes;
            if checked.read_bytes >= bytes {
                continue;
            }
            let rows = segment.table.check()?;
            checked.read_bytes += segment.entry.bytes;
            match segment.entry.kind {
                Kind::Facts => checked.facts += rows,
                Kind::Keys => checked.keys += rows,
            }
        }
        Ok(checked)
    }
}
