//! The `History` port on sorted segments of our own: every flush writes immutable files, a thread merges them
//! in tiers, and a manifest says which of them are the history.

mod filter;
mod manifest;
mod merge;
mod table;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock};
use std::thread::JoinHandle;

use anser_core::ports::history::{FactRow, History, HistoryBatch, HistoryRange, KeyRow};
use anser_core::ports::{PortFuture, StoreError};
use anser_model::{N, Slot};
use manifest::{Kind, Manifest, Segment};
use table::{Table, TableWriter};

use crate::rows::{self, Row, answer, fact_address, key_address};

/// Segments of one level that are merged into one of the next.
const TIER_SEGMENTS: usize = 12;
/// Segments of one kind and level above which a flush waits for the merging.
const TIER_SEGMENTS_MAX: usize = 4 * TIER_SEGMENTS;

/// The history in one folder of segments.
pub struct SegmentHistory {
    store: Arc<Store>,
    merging: Option<JoinHandle<()>>,
}

/// What the calls and the merging thread share.
struct Store {
    folder: PathBuf,
    /// Whom the folder belongs to, by a lock that ends with the process.
    _lock: File,
    current: RwLock<Arc<Version>>,
    /// Held while the manifest is replaced.
    replacing: Mutex<Replacing>,
    /// Something was flushed, merged, or the store is being closed.
    changed: Condvar,
    /// Held for the whole of a flush: they land in the order of the calls.
    flushing: Mutex<()>,
}

#[derive(Default)]
struct Replacing {
    next_number: u64,
    closing: bool,
    /// The last merge failed, for want of space: no flush waits for it.
    stuck: bool,
    /// Set once the medium failed: nothing is acknowledged after that until the store is opened again.
    failed: Option<String>,
}

/// The history at one moment.
struct Version {
    checkpoints: Vec<N>,
    /// Newest first.
    segments: Vec<Arc<Open>>,
}

/// A segment and its file.
struct Open {
    segment: Segment,
    table: Table,
}

impl SegmentHistory {
    /// Opens the history in `folder`, or makes an empty one there. What no manifest names is removed: it is
    /// from a flush or a merge that was not finished.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let store = Arc::new(Store::open(folder).map_err(fault)?);
        let merging = Arc::clone(&store);
        let merging = std::thread::Builder::new()
            .name("segments merging".into())
            .spawn(move || merge::run(&merging))
            .map_err(fault)?;
        Ok(SegmentHistory { store, merging: Some(merging) })
    }

    /// Links the history as of now into `target`, an empty folder on the same file system. A few milliseconds;
    /// the links cost space only once the history has merged further.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn link_into(&self, target: &Path) -> io::Result<()> {
        let replacing = self.store.replacing();
        let version = self.store.version();
        for open in &version.segments {
            let name = open.segment.file_name();
            std::fs::hard_link(self.store.folder.join(&name), target.join(name))?;
        }
        version.manifest(replacing.next_number).write(target)
    }
}

impl Drop for SegmentHistory {
    fn drop(&mut self) {
        self.store.replacing().closing = true;
        self.store.changed.notify_all();
        // A thread that panicked has said so already.
        self.merging.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}

impl History for SegmentHistory {
    fn checkpoints(&self) -> PortFuture<Result<Vec<N>, StoreError>> {
        let store = Arc::clone(&self.store);
        answer(move || Ok(store.version().checkpoints.clone()))
    }

    fn range(&self, slot: Slot, range: HistoryRange) -> PortFuture<Result<Vec<FactRow>, StoreError>> {
        let store = Arc::clone(&self.store);
        answer(move || store.version().range(slot, &range).map_err(fault))
    }

    fn keys(
        &self,
        slot: Slot,
        keys: Vec<(u32, u128)>,
    ) -> PortFuture<Result<Vec<Option<KeyRow>>, StoreError>> {
        let store = Arc::clone(&self.store);
        answer(move || {
            let version = store.version();
            let one = |(day, key)| match version.key(day, slot, key).map_err(fault)? {
                Some(row) => row.to_key(day).map(Some),
                None => Ok(None),
            };
            keys.into_iter().map(one).collect()
        })
    }

    fn flush(&self, batches: Vec<HistoryBatch>) -> PortFuture<Result<(), StoreError>> {
        let store = Arc::clone(&self.store);
        answer(move || store.flush(batches).map_err(fault))
    }

    fn forget_keys(&self, day: u32) -> PortFuture<Result<(), StoreError>> {
        let store = Arc::clone(&self.store);
        answer(move || {
            let kept = |open: &Arc<Open>| !matches!(open.segment.kind, Kind::Keys(filed) if filed < day);
            let forget = |version: &mut Version| {
                version.segments.retain(kept);
                Some(())
            };
            store.replace(store.replacing(), forget).map(drop).map_err(fault)
        })
    }
}

impl Version {
    fn manifest(&self, next_number: u64) -> Manifest {
        let segments = self.segments.iter().map(|open| open.segment).collect();
        Manifest { checkpoints: self.checkpoints.clone(), next_number, segments }
    }

    fn range(&self, slot: Slot, range: &HistoryRange) -> io::Result<Vec<FactRow>> {
        let [mut low, mut high] = [range.low, range.high].map(|seq| fact_address(slot, range.cid, seq));
        let (conversation, mut rows) = (low, Vec::<Row>::new());
        let of_facts = self.segments.iter().filter(|open| open.segment.kind == Kind::Facts);
        for open in of_facts.filter(|open| open.table.may_hold(&conversation)) {
            if low > high || range.limit == 0 {
                break;
            }
            // Of the same n the newer segment's row stands, and that came first: the sort is stable.
            rows.append(&mut open.table.range(&low, &high, range.limit, range.newest_first)?);
            rows.sort_by(|left, right| {
                let by_address = left.address.cmp(&right.address);
                let by_address = if range.newest_first { by_address.reverse() } else { by_address };
                by_address.then(right.n.cmp(&left.n))
            });
            rows.dedup_by_key(|row| row.address);
            rows.truncate(range.limit);
            // Older segments matter no further than to what is found already.
            if rows.len() == range.limit {
                let bound = if range.newest_first { &mut low } else { &mut high };
                *bound = rows[range.limit - 1].address;
            }
        }
        if range.newest_first {
            rows.reverse();
        }
        Ok(rows.into_iter().map(Row::into_fact).collect())
    }

    fn key(&self, day: u32, slot: Slot, key: u128) -> io::Result<Option<Row>> {
        let address = key_address(slot, key);
        let mut newest: Option<Row> = None;
        let of_day = self.segments.iter().filter(|open| open.segment.kind == Kind::Keys(day));
        for open in of_day.filter(|open| open.table.may_hold(&address)) {
            let found = open.table.range(&address, &address, 1, false)?.pop();
            if let Some(row) = found
                && newest.as_ref().is_none_or(|newest| newest.n < row.n)
            {
                newest = Some(row);
            }
        }
        Ok(newest)
    }

    /// The kind and level that has so many segments or more, if any; the lowest level first.
    fn crowded(&self, segments: usize) -> Option<(Kind, u8)> {
        let mut counts = std::collections::BTreeMap::new();
        for open in &self.segments {
            *counts.entry((open.segment.level, open.segment.kind)).or_insert(0) += 1;
        }
        counts.into_iter().find(|(_, count)| *count >= segments).map(|((level, kind), _)| (kind, level))
    }
}

impl Store {
    fn open(folder: &Path) -> io::Result<Store> {
        let lock = File::options().write(true).create(true).truncate(false).open(folder.join("lock"))?;
        lock.try_lock().map_err(io::Error::from)?;
        let manifest = Manifest::read(folder)?;
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let named = manifest.segments.iter().any(|segment| segment.file_name() == name);
            if name.ends_with(".segment") && !named {
                std::fs::remove_file(folder.join(name))?;
            }
        }
        let segments = manifest.segments.iter().map(|&segment| Open::of(folder, segment));
        let mut segments: Vec<Arc<Open>> = segments.collect::<io::Result<_>>()?;
        segments.sort_by_key(|open| std::cmp::Reverse(open.segment.newest));
        let version = Version { checkpoints: manifest.checkpoints, segments };
        Ok(Store {
            folder: folder.to_owned(),
            _lock: lock,
            current: RwLock::new(Arc::new(version)),
            replacing: Mutex::new(Replacing { next_number: manifest.next_number, ..Replacing::default() }),
            changed: Condvar::new(),
            flushing: Mutex::new(()),
        })
    }

    fn version(&self) -> Arc<Version> {
        Arc::clone(&self.current.read().expect("no panic while the version is swapped"))
    }

    fn replacing(&self) -> MutexGuard<'_, Replacing> {
        self.replacing.lock().expect("no panic while the manifest is replaced")
    }

    /// Takes the number of a new segment.
    fn number(&self) -> u64 {
        let mut replacing = self.replacing();
        replacing.next_number += 1;
        replacing.next_number - 1
    }

    fn flush(&self, batches: Vec<HistoryBatch>) -> io::Result<()> {
        let _flushing = self.flushing.lock().expect("no panic while flushing");
        let mut replacing = self.replacing();
        let is_crowded = || self.version().crowded(TIER_SEGMENTS_MAX).is_some();
        while is_crowded() && replacing.failed.is_none() && !replacing.stuck {
            replacing = self.changed.wait(replacing).expect("no panic while the manifest is replaced");
        }
        drop(replacing);
        let mut checkpoints = self.version().checkpoints.clone();
        let folded = rows::fold(batches, &mut checkpoints);
        let mut written = Vec::new();
        let keys = folded.keys.into_iter().map(|(day, rows)| (Kind::Keys(day), rows));
        for (kind, rows) in std::iter::once((Kind::Facts, folded.facts)).chain(keys) {
            if !rows.is_empty() {
                written.push(self.write_flushed(kind, &rows)?);
            }
        }
        written.sort_by_key(|open| std::cmp::Reverse(open.segment.newest));
        self.replace(self.replacing(), |version| {
            version.checkpoints = checkpoints;
            version.segments.splice(0..0, written);
            Some(())
        })?;
        Ok(())
    }

    fn write_flushed(&self, kind: Kind, rows: &[Row]) -> io::Result<Arc<Open>> {
        let number = self.number();
        let segment = Segment { kind, level: 0, number, newest: number };
        self.written(segment, rows.len(), |table| rows.iter().try_for_each(|row| table.add(row)))
    }

    /// Writes a segment whole and opens it; removes it again if that fails.
    fn written(
        &self,
        segment: Segment,
        prefixes: usize,
        write: impl FnOnce(&mut TableWriter) -> io::Result<()>,
    ) -> io::Result<Arc<Open>> {
        let path = self.folder.join(segment.file_name());
        let whole = || {
            let mut table = TableWriter::create(&path, prefixes)?;
            write(&mut table)?;
            table.finish()?;
            Open::of(&self.folder, segment)
        };
        whole().inspect_err(|error| {
            // Nobody names it, so what is left of it is removed when the store is opened.
            _ = std::fs::remove_file(&path);
            self.note(error);
        })
    }

    /// Changes the history to what `change` makes of it, durable when this returns; `None` changes nothing.
    fn replace<T>(
        &self,
        mut replacing: MutexGuard<'_, Replacing>,
        change: impl FnOnce(&mut Version) -> Option<T>,
    ) -> io::Result<Option<T>> {
        if let Some(failed) = &replacing.failed {
            return Err(io::Error::other(format!("an earlier write failed: {failed}")));
        }
        let old = self.version();
        let mut new = Version { checkpoints: old.checkpoints.clone(), segments: old.segments.clone() };
        let Some(outcome) = change(&mut new) else { return Ok(None) };
        if let Err(error) = new.manifest(replacing.next_number).write(&self.folder) {
            // Which of the two manifests stands is not known any more.
            replacing.failed = Some(error.to_string());
            self.changed.notify_all();
            return Err(error);
        }
        let new = Arc::new(new);
        *self.current.write().expect("no panic while the version is swapped") = Arc::clone(&new);
        let is_kept = |number| new.segments.iter().any(|open| open.segment.number == number);
        for open in old.segments.iter().filter(|open| !is_kept(open.segment.number)) {
            // Who reads it still has it open; what cannot be removed now is when the store is opened.
            _ = std::fs::remove_file(self.folder.join(open.segment.file_name()));
        }
        self.changed.notify_all();
        Ok(Some(outcome))
    }

    /// A second sync proves nothing about what the first one lost; want of space passes.
    fn note(&self, error: &io::Error) {
        if !matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::Interrupted) {
            self.replacing().failed = Some(error.to_string());
            self.changed.notify_all();
        }
    }
}

impl Open {
    fn of(folder: &Path, segment: Segment) -> io::Result<Arc<Open>> {
        Ok(Arc::new(Open { segment, table: Table::open(&folder.join(segment.file_name()))? }))
    }
}

fn fault(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::NoSpace(error.to_string()),
        io::ErrorKind::WouldBlock => StoreError::Unavailable(error.to_string()),
        _ => StoreError::Damaged(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use anser_core::ports::log_conformance::block_on;
    use anser_model::{ConversationId, Seq};
    use bytes::Bytes;

    use super::*;

    fn batch(flush: u64) -> HistoryBatch {
        let cid = ConversationId([9; 16]);
        let row = |seq: u64| FactRow {
            cid,
            seq: Seq(seq),
            n: N(flush),
            fact: Bytes::from(vec![7; 300]),
            replaces: false,
        };
        let key =
            KeyRow { key: u128::from(flush), day: 3, n: N(flush), seq: Seq(flush), request_hash: flush };
        // Each flush writes the row before it again.
        let facts = (flush.max(2) - 1..=flush).map(row).collect();
        HistoryBatch { slot: Slot(1), through: N(flush), facts, keys: vec![key] }
    }

    fn everything(history: &SegmentHistory) -> Vec<FactRow> {
        let cid = ConversationId([9; 16]);
        let range =
            HistoryRange { cid, low: Seq(0), high: Seq(u64::MAX), limit: usize::MAX, newest_first: true };
        block_on(history.range(Slot(1), range)).unwrap()
    }

    #[test]
    fn tiers_are_merged_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let flushes = 2 * (TIER_SEGMENTS as u64) * (TIER_SEGMENTS as u64);
        for life in 0..4 {
            let history = SegmentHistory::open(folder.path()).unwrap();
            for flush in 1 + life * flushes / 4..=(life + 1) * flushes / 4 {
                block_on(history.flush(vec![batch(flush)])).unwrap();
            }
        }
        let history = SegmentHistory::open(folder.path()).unwrap();
        let found = everything(&history);
        assert_eq!(found.len() as u64, flushes);
        for (row, seq) in found.iter().zip(1..) {
            assert_eq!((row.seq.0, row.n.0), (seq, (seq + 1).min(flushes)), "as the next flush left it");
        }
        let asked = (1..=flushes).map(|flush| (3, u128::from(flush))).collect();
        let keys = block_on(history.keys(Slot(1), asked)).unwrap();
        assert!(keys.iter().zip(1..).all(|(key, flush)| *key == Some(batch(flush).keys[0])));
        let segments = history.store.version().segments.len();
        assert!(segments < 2 * TIER_SEGMENTS_MAX, "{segments} segments");
        assert!(history.store.version().segments.iter().any(|open| open.segment.level > 1));
    }

    #[test]
    fn what_no_manifest_names_is_removed_and_damage_is_never_served() {
        let folder = tempfile::tempdir().unwrap();
        let history = SegmentHistory::open(folder.path()).unwrap();
        assert!(SegmentHistory::open(folder.path()).is_err(), "the folder is somebody's");
        block_on(history.flush(vec![batch(1)])).unwrap();
        drop(history);
        let orphan = folder.path().join("000000000099.segment");
        std::fs::write(&orphan, "half a segment").unwrap();
        let history = SegmentHistory::open(folder.path()).unwrap();
        assert!(!orphan.exists());
        assert_eq!(everything(&history).len(), 1);
        let facts =
            history.store.version().segments.iter().find(|open| open.segment.kind == Kind::Facts).cloned();
        drop(history);
        let path = folder.path().join(facts.unwrap().segment.file_name());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[60] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let history = SegmentHistory::open(folder.path()).unwrap();
        let cid = ConversationId([9; 16]);
        let range = HistoryRange { cid, low: Seq(0), high: Seq(9), limit: 9, newest_first: false };
        assert!(matches!(block_on(history.range(Slot(1), range)), Err(StoreError::Damaged(_))));
    }
}
