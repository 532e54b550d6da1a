//! Which segments there are and where each slot's records lie in them; reading and trimming.
//!
//! Only what is durable is in it: the heart publishes after its sync.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};

use anser_core::ports::disk::{Disk, DiskFile};
use anser_core::ports::log::{LogError, SlotHead};
use anser_core::record::{Record, RecordHeader};
use anser_model::{N, Slot};

use super::block::Salt;
use super::heads::Heads;
use super::reader::{BlockReader, Found};
use super::segment::{file_name, remove_if_there};

/// A slot gets another entry in a segment's index only this far behind its last one.
const INDEX_SPACING_BYTES: u64 = 64 * 1024;
/// Bytes that a read asks of the disk at once.
const READ_CHUNK_BYTES: usize = 128 * 1024;

/// Shared by the heart, which adds to it, and whoever reads.
pub(crate) struct Catalogue {
    shelf: RwLock<Shelf>,
    /// Why nothing may be acknowledged any more, once it is so.
    broken: OnceLock<String>,
}

struct Shelf {
    /// Oldest first; the last one is written to.
    segments: VecDeque<Segment>,
    heads: Heads,
    /// Per slot, what may be forgotten below.
    floors: Vec<N>,
    /// Out of the catalogue and still to be removed from the disk, oldest first.
    doomed: VecDeque<u64>,
}

/// One segment file, as far as a reader needs to know it.
pub(crate) struct Segment {
    pub number: u64,
    pub file: Arc<dyn DiskFile>,
    pub salt: Salt,
    /// The heads before its first record.
    pub start: Heads,
    /// Behind its last durable block.
    pub end: u64,
    pub index: SegmentIndex,
}

/// Where in a segment to begin looking for an n, sparsely: 12 bytes per entry.
pub(crate) struct SegmentIndex(Box<[SlotEntries]>);

#[derive(Default, Clone)]
struct SlotEntries {
    first_n: Vec<N>,
    /// Offset of the block that holds the record, in sectors.
    sector: Vec<u32>,
}

/// A stretch of a segment in which an n must be found.
struct Window {
    number: u64,
    file: Arc<dyn DiskFile>,
    salt: Salt,
    start: u64,
    /// No block of interest begins here or later.
    stop: u64,
    end: u64,
}

impl SegmentIndex {
    pub fn new() -> Self {
        SegmentIndex(vec![SlotEntries::default(); Slot::COUNT].into_boxed_slice())
    }

    /// Notes that the block at `offset` holds the record with `header`. Called in log order.
    pub fn add(&mut self, header: &RecordHeader, offset: u64) {
        let entries = &mut self.0[header.slot.index()];
        let far = entries.sector.last().is_none_or(|&last| offset >= offset_of(last) + INDEX_SPACING_BYTES);
        if far {
            let sector = offset / super::block::SECTOR_BYTES as u64;
            entries.first_n.push(header.first_n);
            entries.sector.push(u32::try_from(sector).expect("a segment is shorter than 2 TiB"));
        }
    }

    /// Where the blocks begin that may hold `n` of `slot`: from, and up to (exclusive).
    fn stretch(&self, slot: Slot, n: N) -> Option<(u64, u64)> {
        let entries = &self.0[slot.index()];
        let at = entries.first_n.partition_point(|&first| first <= n).checked_sub(1)?;
        let start = offset_of(entries.sector[at]);
        Some((start, start + INDEX_SPACING_BYTES))
    }
}

fn offset_of(sector: u32) -> u64 {
    u64::from(sector) * super::block::SECTOR_BYTES as u64
}

impl Catalogue {
    pub fn new(segments: VecDeque<Segment>, heads: Heads) -> Self {
        assert!(!segments.is_empty(), "there is always a segment to write to");
        let floors = vec![N(0); Slot::COUNT];
        let shelf = RwLock::new(Shelf { segments, heads, floors, doomed: VecDeque::new() });
        Catalogue { shelf, broken: OnceLock::new() }
    }

    fn shelf(&self) -> RwLockReadGuard<'_, Shelf> {
        self.shelf.read().expect("nothing panics while it holds the catalogue")
    }

    fn shelf_mut(&self) -> RwLockWriteGuard<'_, Shelf> {
        self.shelf.write().expect("nothing panics while it holds the catalogue")
    }

    /// From now on nothing is acknowledged. The first reason stays.
    pub fn poison(&self, why: String) -> String {
        tracing::error!(%why, "the log is broken: nothing is acknowledged any more");
        self.broken.get_or_init(|| why).clone()
    }

    pub fn broken(&self) -> Option<&String> {
        self.broken.get()
    }

    pub fn add_segment(&self, segment: Segment) {
        let mut shelf = self.shelf_mut();
        assert!(shelf.segments.back().is_none_or(|last| last.number + 1 == segment.number));
        shelf.segments.push_back(segment);
    }

    /// Shows records that have become durable, each with the offset of its block, and the new end.
    pub fn publish(&self, placed: &[(RecordHeader, u64)], end: u64) {
        let mut shelf = self.shelf_mut();
        let Shelf { segments, heads, .. } = &mut *shelf;
        let active = segments.back_mut().expect("there is always a segment to write to");
        assert!(end >= active.end, "a segment only grows");
        active.end = end;
        for (header, offset) in placed {
            heads.apply(header);
            active.index.add(header, *offset);
        }
    }

    pub fn heads(&self) -> Vec<SlotHead> {
        let shelf = self.shelf();
        let oldest = &shelf.segments.front().expect("there is always a segment").start;
        Slot::all()
            .map(|slot| SlotHead {
                slot,
                first: oldest.last(slot).next(),
                last: shelf.heads.last(slot),
                reign: shelf.heads.reign(slot),
            })
            .collect()
    }

    pub fn segments(&self) -> usize {
        self.shelf().segments.len()
    }

    /// Valid records of `slot` from the one that holds `from`, until about `limit_bytes`.
    pub fn read(&self, slot: Slot, from: N, limit_bytes: usize) -> Result<Vec<Record>, LogError> {
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut from = from.max(N(1));
        while let Some(window) = self.locate(slot, from)? {
            let before = records.len();
            self.read_window(&window, slot, from, &mut |record: Record| {
                bytes += record.encoded_len();
                records.push(record);
                bytes < limit_bytes
            })?;
            if records.len() == before {
                return Err(damaged(
                    &window,
                    window.start,
                    format!("n {from} of slot {slot} is not where it was"),
                ));
            }
            from = records.last().expect("just read").header.last_n().next();
            if bytes >= limit_bytes {
                break;
            }
        }
        Ok(records)
    }

    fn locate(&self, slot: Slot, n: N) -> Result<Option<Window>, LogError> {
        let shelf = self.shelf();
        let first = shelf.segments.front().expect("there is always a segment").start.last(slot).next();
        if n < first {
            return Err(LogError::OutOfRange { slot, asked: n, first });
        }
        if n > shelf.heads.last(slot) {
            return Ok(None);
        }
        let behind = shelf.segments.partition_point(|segment| segment.start.last(slot) < n);
        let segment = &shelf.segments[behind - 1];
        let (start, stop) = segment.index.stretch(slot, n).expect("a durable record is in the index");
        Ok(Some(Window {
            number: segment.number,
            file: segment.file.clone(),
            salt: segment.salt,
            start,
            stop: stop.min(segment.end),
            end: segment.end,
        }))
    }

    /// Hands records of `slot` from `from` on to `take` until it returns `false`.
    fn read_window(
        &self,
        window: &Window,
        slot: Slot,
        from: N,
        take: &mut dyn FnMut(Record) -> bool,
    ) -> Result<(), LogError> {
        let chunk = READ_CHUNK_BYTES;
        let mut reader = BlockReader::new(&*window.file, window.salt, window.start, window.end, chunk);
        let mut expected = from;
        let mut more = true;
        while more && reader.offset() < window.stop {
            let offset = reader.offset();
            let found = reader.next().map_err(|error| {
                LogError::Broken(format!("{} at {offset}: {error}", file_name(window.number)))
            })?;
            let Found::Block(block) = found else {
                return Err(damaged(window, offset, "no block that was written here".into()));
            };
            let checked = block.records(|header, bytes| {
                if !more || header.slot != slot || header.last_n() < expected {
                    return Ok(());
                }
                if header.first_n > expected || (expected > from && header.first_n != expected) {
                    return Err(format!("n {expected} of slot {slot} is missing"));
                }
                expected = header.last_n().next();
                let (record, _) = Record::decode(bytes).map_err(|error| error.to_string())?;
                more = take(record);
                Ok(())
            });
            checked.map_err(|what| damaged(window, offset, what))?;
        }
        Ok(())
    }

    /// Raises what may be forgotten, and removes the segments that hold nothing else.
    pub fn trim(&self, disk: &dyn Disk, below: &[(Slot, N)]) -> Result<(), LogError> {
        if let Some(why) = self.broken() {
            return Err(LogError::Broken(why.clone()));
        }
        self.shelf_mut().doom(below);
        loop {
            // One at a time, each durable before the next, so that a crash leaves no hole.
            let Some(number) = self.shelf().doomed.front().copied() else { return Ok(()) };
            let name = file_name(number);
            remove_if_there(disk, &name)
                .map_err(|error| LogError::Unavailable(format!("{name} cannot be removed: {error}")))?;
            disk.sync_folder().map_err(|error| {
                LogError::Broken(self.poison(format!("the removal of {name} could not be synced: {error}")))
            })?;
            self.shelf_mut().doomed.pop_front();
        }
    }
}

impl Shelf {
    fn doom(&mut self, below: &[(Slot, N)]) {
        for &(slot, n) in below {
            let floor = &mut self.floors[slot.index()];
            *floor = n.max(*floor);
        }
        while self.segments.len() > 1 {
            let (oldest, next) = (&self.segments[0], &self.segments[1]);
            let needed = Slot::all().any(|slot| {
                let last = next.start.last(slot);
                last > oldest.start.last(slot) && last >= self.floors[slot.index()]
            });
            if needed {
                break;
            }
            let oldest = self.segments.pop_front().expect("more than one");
            self.doomed.push_back(oldest.number);
        }
    }
}

fn damaged(window: &Window, offset: u64, what: String) -> LogError {
    LogError::Damaged { place: format!("{} at {offset}", file_name(window.number)), what }
}
