//! Which segments there are and where each slot's records lie in them; reading and trimming.
//!
//! Only what is durable is in it: the heart publishes after its sync.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use anser_core::ports::disk::Disk;
use anser_core::ports::log::{LogError, SlotHead};
use anser_core::record::{Record, RecordHeader};
use anser_model::{N, Slot};
use tokio::sync::watch;

use super::heads::Heads;
use super::index::SegmentIndex;
use super::reader::{BlockReader, Found};
use super::segment::{file_name, remove_if_there};
use super::stretch::{Stretch, Stretches};
use super::walk::{CHUNK_BYTES, Ground, Walk, WalkError};

/// Shared by the heart, which adds to it, and whoever reads.
pub(crate) struct Catalogue {
    shelf: RwLock<Shelf>,
    /// Never held together with the shelf.
    stretches: Mutex<Stretches>,
    /// Why nothing may be acknowledged any more, once it is so.
    broken: OnceLock<String>,
    is_broken: watch::Sender<bool>,
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
    pub ground: Ground,
    /// Header checksum of the last block of the segment before it.
    pub previous_checksum: u32,
    /// Behind its last durable block.
    pub end: u64,
    /// `None` until this process has read it through: opening does not.
    pub index: Option<SegmentIndex>,
}

/// What a segment that has a successor must turn out to be when it is read through.
struct Sealed {
    ground: Ground,
    end: u64,
    /// Header checksum of its last block.
    last: u32,
    /// Behind its last record.
    heads: Heads,
}

/// A stretch of a segment in which an n must be found.
struct Window {
    ground: Ground,
    start: u64,
    stop: u64,
}

/// Where to look for an n.
enum Place {
    /// It is not there yet.
    Ahead,
    Within(Box<Window>),
    /// In this segment, which was not read through yet.
    Unread(u64),
}

impl Catalogue {
    pub fn new(segments: VecDeque<Segment>, heads: Heads) -> Self {
        assert!(segments.back().is_some_and(|last| last.index.is_some()), "the last segment was read");
        let floors = vec![N(0); Slot::COUNT];
        let shelf = RwLock::new(Shelf { segments, heads, floors, doomed: VecDeque::new() });
        let (broken, is_broken) = (OnceLock::new(), watch::Sender::new(false));
        Catalogue { shelf, stretches: Mutex::default(), broken, is_broken }
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
        let why = self.broken.get_or_init(|| why).clone();
        self.is_broken.send_replace(true);
        why
    }

    pub fn broken(&self) -> Option<&String> {
        self.broken.get()
    }

    /// Becomes true once the log is broken.
    pub fn watch_broken(&self) -> watch::Receiver<bool> {
        self.is_broken.subscribe()
    }

    pub fn add_segment(&self, segment: Segment) {
        let mut shelf = self.shelf_mut();
        assert!(shelf.active().ground.number + 1 == segment.ground.number && segment.index.is_some());
        shelf.segments.push_back(segment);
    }

    /// Shows records that have become durable, each with the offset of its block, and the new end.
    pub fn publish(&self, placed: &[(RecordHeader, u64)], end: u64) {
        let mut shelf = self.shelf_mut();
        let Shelf { segments, heads, .. } = &mut *shelf;
        let active = segments.back_mut().expect("there is always a segment to write to");
        assert!(end >= active.end, "a segment only grows");
        active.end = end;
        let index = active.index.as_mut().expect("the last segment was read");
        for (header, offset) in placed {
            // Of the records of one block, the first notes it; the index takes no second one so near.
            index.note(*offset, heads);
            heads.apply(header);
        }
    }

    pub fn heads(&self) -> Vec<SlotHead> {
        let shelf = self.shelf();
        let oldest = &shelf.oldest().ground.start;
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
        let mut records: Vec<Record> = Vec::new();
        let mut bytes = 0;
        let mut from = from.max(N(1));
        loop {
            let window = match self.locate(slot, from)? {
                Place::Ahead => return Ok(records),
                Place::Within(window) => window,
                Place::Unread(number) => {
                    self.read_through(number)?;
                    continue;
                }
            };
            let stretch = self.stretch(&window)?;
            let found = stretch.of(slot, from);
            if found.first().is_none_or(|record| record.header.first_n > from) {
                let what = format!("n {from} of slot {slot} is not where it was");
                return Err(damaged(window.ground.number, window.start, what));
            }
            for record in found {
                bytes += record.encoded_len();
                from = record.header.last_n().next();
                records.push(record.clone());
                if bytes >= limit_bytes {
                    return Ok(records);
                }
            }
        }
    }

    fn locate(&self, slot: Slot, n: N) -> Result<Place, LogError> {
        let shelf = self.shelf();
        let first = shelf.oldest().ground.start.last(slot).next();
        if n < first {
            return Err(LogError::OutOfRange { slot, asked: n, first });
        }
        if n > shelf.heads.last(slot) {
            return Ok(Place::Ahead);
        }
        let behind = shelf.segments.partition_point(|segment| segment.ground.start.last(slot) < n);
        let segment = &shelf.segments[behind - 1];
        let Some(index) = &segment.index else { return Ok(Place::Unread(segment.ground.number)) };
        let (start, stop) = index.stretch(slot, n).expect("a durable record lies in a stretch");
        let stop = stop.unwrap_or(segment.end);
        Ok(Place::Within(Box::new(Window { ground: segment.ground.clone(), start, stop })))
    }

    /// Reads and checks a stretch, unless that was just done.
    fn stretch(&self, window: &Window) -> Result<Arc<Stretch>, LogError> {
        let (number, range) = (window.ground.number, (window.start, window.stop));
        if let Some(stretch) = self.stretches().get(number, range) {
            return Ok(stretch);
        }
        let (file, salt) = (&*window.ground.file, window.ground.salt);
        let mut reader = BlockReader::new(file, salt, window.start, window.stop, CHUNK_BYTES);
        let mut records: Vec<Record> = Vec::new();
        while reader.offset() < window.stop {
            let offset = reader.offset();
            let found = reader.next().map_err(|error| failed(number, offset, &error))?;
            let Found::Block(block) = found else { return Err(no_block(number, offset)) };
            let checked = block.records(|_, bytes| {
                let (record, _) = Record::decode(bytes).map_err(|error| error.to_string())?;
                records.push(record);
                Ok(())
            });
            checked.map_err(|what| damaged(number, offset, what))?;
        }
        let stretch = Stretch::new(number, range, records);
        let stretch = Arc::new(stretch.in_order().map_err(|what| damaged(number, window.start, what))?);
        self.stretches().keep(stretch.clone());
        Ok(stretch)
    }

    fn stretches(&self) -> std::sync::MutexGuard<'_, Stretches> {
        // What a panic left behind is whole: each is put there in one step.
        self.stretches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frees what was kept of what was read.
    pub fn forget_read(&self) {
        self.stretches().forget();
    }

    /// The newest segment that was not read through yet.
    pub fn newest_unread(&self) -> Option<u64> {
        let shelf = self.shelf();
        let unread = shelf.segments.iter().rev().find(|segment| segment.index.is_none());
        unread.map(|segment| segment.ground.number)
    }

    /// As [`Catalogue::read_through`], for whoever has nobody to tell: a medium that cannot be read breaks
    /// the log too, as it would have kept it from opening.
    pub fn check(&self, number: u64) -> Result<(), LogError> {
        self.read_through(number).inspect_err(|error| {
            if let LogError::Broken(why) = error {
                self.poison(why.clone());
            }
        })
    }

    /// Reads a segment through that has a successor: checks all of it, and learns where things are.
    /// All of it was once durable, so that whatever is wrong with it is damage, and breaks the log.
    pub fn read_through(&self, number: u64) -> Result<(), LogError> {
        // It may have been trimmed away, or read through by somebody else.
        let Some(sealed) = self.shelf().sealed(number) else { return Ok(()) };
        let mut walk = Walk::begin(&sealed.ground);
        let walked = walk.run(&sealed.ground, sealed.end);
        let judged = match walked {
            Err(WalkError::Io(error)) => return Err(failed(number, walk.end, &error)),
            Err(WalkError::Impossible { offset, what }) => Err(damaged(number, offset, what)),
            Ok(()) => sealed.judge(&walk),
        };
        if let Err(damage) = judged {
            self.poison(damage.to_string());
            return Err(damage);
        }
        if let Some(segment) = self.shelf_mut().segment_mut(number) {
            segment.index = Some(walk.index);
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

impl Sealed {
    fn judge(&self, walk: &Walk) -> Result<(), LogError> {
        let number = self.ground.number;
        if walk.end != self.end {
            return Err(no_block(number, walk.end));
        }
        if walk.previous != self.last {
            let what = "its last block is not the one that the next segment names";
            return Err(damaged(number, walk.end, what.into()));
        }
        if walk.heads != self.heads {
            let what = "its records do not lead to where the next segment begins";
            return Err(damaged(number, walk.end, what.into()));
        }
        Ok(())
    }
}

impl Shelf {
    fn oldest(&self) -> &Segment {
        self.segments.front().expect("there is always a segment")
    }

    fn active(&self) -> &Segment {
        self.segments.back().expect("there is always a segment to write to")
    }

    fn segment_mut(&mut self, number: u64) -> Option<&mut Segment> {
        self.segments.iter_mut().find(|segment| segment.ground.number == number)
    }

    /// A segment that has a successor and was not read through yet.
    fn sealed(&self, number: u64) -> Option<Sealed> {
        let at = self.segments.iter().position(|segment| segment.ground.number == number)?;
        let (segment, next) = (&self.segments[at], self.segments.get(at + 1)?);
        let (last, heads) = (next.previous_checksum, next.ground.start.clone());
        let sealed = Sealed { ground: segment.ground.clone(), end: segment.end, last, heads };
        segment.index.is_none().then_some(sealed)
    }

    fn doom(&mut self, below: &[(Slot, N)]) {
        for &(slot, n) in below {
            let floor = &mut self.floors[slot.index()];
            *floor = n.max(*floor);
        }
        while self.segments.len() > 1 {
            let (oldest, next) = (&self.segments[0], &self.segments[1]);
            let needed = Slot::all().any(|slot| {
                let last = next.ground.start.last(slot);
                last > oldest.ground.start.last(slot) && last >= self.floors[slot.index()]
            });
            if needed {
                break;
            }
            let oldest = self.segments.pop_front().expect("more than one");
            self.doomed.push_back(oldest.ground.number);
        }
    }
}

fn damaged(number: u64, offset: u64, what: String) -> LogError {
    LogError::Damaged { place: format!("{} at {offset}", file_name(number)), what }
}

fn no_block(number: u64, offset: u64) -> LogError {
    damaged(number, offset, "no block that was written here".into())
}

fn failed(number: u64, offset: u64, error: &std::io::Error) -> LogError {
    LogError::Broken(format!("{} at {offset}: {error}", file_name(number)))
}
