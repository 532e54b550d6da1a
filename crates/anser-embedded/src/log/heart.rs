//! The log's heart: decides, lays out, writes, syncs, rolls. No threads, no futures, no clock.

use std::sync::Arc;

use anser_core::ports::disk::{Disk, DiskFile};
use anser_core::ports::log::AppendError;
use anser_core::ports::random::Random;
use anser_core::record::Record;
use anser_model::{Timeline, planted};

use super::block::{BLOCK_HEADER_BYTES, SECTOR_BYTES, Salt, whole_sectors};
use super::catalogue::{Catalogue, Segment};
use super::group::Group;
use super::heads::Heads;
use super::index::SegmentIndex;
use super::options::LogOptions;
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, Spares, file_name, is_no_space};
use super::walk::Ground;

/// The single writer of a log's folder. Opened by [`super::recover`].
pub(crate) struct Heart {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) random: Arc<dyn Random>,
    pub(super) options: LogOptions,
    pub(super) timeline: Timeline,
    pub(super) catalogue: Arc<Catalogue>,
    /// With everything that is laid out and not yet durable.
    pub(super) heads: Heads,
    pub(super) active: Active,
    pub(super) group: Group,
    pub(super) spares: Box<dyn Spares>,
}

/// The segment that is written to.
pub(crate) struct Active {
    pub number: u64,
    pub file: Arc<dyn DiskFile>,
    pub salt: Salt,
    pub file_bytes: u64,
    /// Behind the last durable block.
    pub end: u64,
    /// Header checksum of the last durable block, or of the segment where there is none.
    pub previous: u32,
    /// Nothing durable lies behind the last block that names the synced end.
    pub sealed: bool,
}

impl Active {
    /// Whether blocks may reach up to `end`: a sector stays free for the seal.
    fn holds(&self, end: u64) -> bool {
        end + SECTOR_BYTES as u64 <= self.file_bytes
    }
}

enum RollError {
    NoSpace(String),
    Broken(String),
}

impl Heart {
    /// Appends `records` in order and returns what became of each, in the same order. All that is
    /// accepted is durable on return; as few syncs as can be are made for it.
    pub fn commit(&mut self, records: &[Record]) -> Vec<Result<(), AppendError>> {
        let mut outcomes: Vec<Result<(), AppendError>> = Vec::with_capacity(records.len());
        let mut full: Option<String> = None;
        // The outcomes from here on depend on the group that is being laid out.
        let mut laid_from = 0;
        for record in records {
            let outcome = self.place(record, &mut full, &mut laid_from, &mut outcomes);
            outcomes.push(outcome);
            if self.group.bytes() >= self.options.group_bytes {
                self.settle(&mut laid_from, &mut outcomes);
            }
        }
        self.settle(&mut laid_from, &mut outcomes);
        assert_eq!(outcomes.len(), records.len(), "every append has one outcome");
        outcomes
    }

    /// Lays out one record, having settled and rolled before where it does not fit.
    fn place(
        &mut self,
        record: &Record,
        full: &mut Option<String>,
        laid_from: &mut usize,
        outcomes: &mut [Result<(), AppendError>],
    ) -> Result<(), AppendError> {
        self.admit(record)?;
        let bytes = record.encoded_len();
        if !self.active.holds(self.group.end_with(bytes)) {
            if let Some(why) = full {
                return Err(AppendError::NoSpace(why.clone()));
            }
            self.settle(laid_from, outcomes);
            self.admit(record)?;
            match self.roll(bytes) {
                Ok(()) => {}
                Err(RollError::NoSpace(why)) => {
                    tracing::warn!(%why, "no space for the next segment of the log");
                    *full = Some(why.clone());
                    return Err(AppendError::NoSpace(why));
                }
                Err(RollError::Broken(why)) => return Err(AppendError::Broken(self.catalogue.poison(why))),
            }
        }
        self.group.push(record);
        self.heads.apply(&record.header);
        Ok(())
    }

    fn admit(&self, record: &Record) -> Result<(), AppendError> {
        if let Some(why) = self.catalogue.broken() {
            return Err(AppendError::Broken(why.clone()));
        }
        let header = &record.header;
        if header.timeline != self.timeline || !self.heads.admits(header) {
            return Err(AppendError::Fenced {
                slot: header.slot,
                in_force: self.heads.reign(header.slot),
                last: self.heads.last(header.slot),
            });
        }
        Ok(())
    }

    /// Makes durable what is laid out; where that fails, tells everyone who is waiting for it.
    fn settle(&mut self, laid_from: &mut usize, outcomes: &mut [Result<(), AppendError>]) {
        if let Err(why) = self.write_group() {
            for outcome in outcomes[*laid_from..].iter_mut().filter(|outcome| outcome.is_ok()) {
                *outcome = Err(AppendError::Broken(why.clone()));
            }
        }
        *laid_from = outcomes.len();
    }

    fn write_group(&mut self) -> Result<(), String> {
        let laid = self.group.lay();
        if laid.bytes.is_empty() {
            return Ok(());
        }
        if let Some(why) = self.catalogue.broken() {
            return Err(why.clone());
        }
        assert_eq!(laid.start, self.active.end, "blocks follow one another");
        let end = laid.start + laid.bytes.len() as u64;
        assert!(end <= self.active.file_bytes, "blocks stay within what was pre-written");
        let written = self.active.file.write_all_at(laid.start, laid.bytes).and_then(|()| {
            if planted!(SkipFsync) {
                return Ok(());
            }
            match self.active.file.sync_data() {
                Err(_) if planted!(RetryFailedSync) => self.active.file.sync_data(),
                synced => synced,
            }
        });
        if let Err(error) = written {
            // What the medium holds now is unknown, and a second sync would prove nothing.
            let name = file_name(self.active.number);
            return Err(self.catalogue.poison(format!("writing {name} failed: {error}")));
        }
        self.catalogue.publish(laid.placed, end);
        self.active.end = end;
        self.active.previous = laid.previous;
        self.active.sealed = laid.placed.is_empty();
        self.group.begin(self.active.salt, self.active.end, self.active.previous);
        Ok(())
    }

    /// Has the next segment's file made ready.
    pub fn foresee(&mut self) {
        self.spares.foresee(self.options.segment_bytes);
    }

    /// Whether [`Heart::seal`] has nothing to do, now or ever.
    pub fn is_sealed(&self) -> bool {
        self.active.sealed || self.catalogue.broken().is_some()
    }

    /// Notes on the medium that all before is durable, so that later damage cannot pass for a torn
    /// tail. For when nothing is to be done, and before the end.
    pub fn seal(&mut self) -> Result<(), String> {
        if let Some(why) = self.catalogue.broken() {
            return Err(why.clone());
        }
        if self.active.sealed {
            return Ok(());
        }
        assert!(self.group.is_empty() && self.active.holds(self.active.end), "a sector is kept for the seal");
        self.group.push_seal();
        self.write_group()
    }

    /// Goes on in a new segment, where a block with a record of `record_bytes` will fit.
    fn roll(&mut self, record_bytes: usize) -> Result<(), RollError> {
        assert!(self.group.is_empty(), "a segment ends durable");
        let smallest = SEGMENT_HEADER_BYTES + whole_sectors(BLOCK_HEADER_BYTES + record_bytes) + SECTOR_BYTES;
        let file_bytes = self.options.segment_bytes.max(smallest as u64);
        let (active, segment) = start_segment(
            &*self.disk,
            &mut *self.spares,
            file_bytes,
            SegmentHeader {
                number: self.active.number + 1,
                timeline: self.timeline,
                slot_key_fingerprint: self.options.slot_key_fingerprint,
                salt: fresh_salt(&*self.random),
                file_bytes,
                previous_end: self.active.end,
                previous_checksum: self.active.previous,
                heads: self.heads.clone(),
            },
        )?;
        self.catalogue.add_segment(segment);
        self.active = active;
        self.group.begin(self.active.salt, self.active.end, self.active.previous);
        self.foresee();
        Ok(())
    }
}

pub(super) fn fresh_salt(random: &dyn Random) -> Salt {
    let mut salt = [0; 16];
    random.fill(&mut salt);
    Salt(salt)
}

/// Turns a spare into the segment of `header`: written and synced under its unfinished name, so that
/// under its own name it is always whole.
fn start_segment(
    disk: &dyn Disk,
    spares: &mut dyn Spares,
    file_bytes: u64,
    mut header: SegmentHeader,
) -> Result<(Active, Segment), RollError> {
    let name = file_name(header.number);
    let failed = |what: &str, error: &std::io::Error| format!("{what} {name} failed: {error}");
    let passing = |what: &str, error: &std::io::Error| match is_no_space(error) {
        true => RollError::NoSpace(failed(what, error)),
        false => RollError::Broken(failed(what, error)),
    };
    let spare = spares.take(disk, file_bytes).map_err(|error| passing("preparing", &error))?;
    header.file_bytes = spare.bytes;
    let (bytes, checksum) = header.encode();
    let write = spare.file.write_all_at(0, &bytes).and_then(|()| spare.file.sync_data());
    write.map_err(|error| RollError::Broken(failed("writing the header of", &error)))?;
    disk.rename(spare.name, &name).map_err(|error| passing("naming", &error))?;
    disk.sync_folder().map_err(|error| RollError::Broken(failed("syncing the name of", &error)))?;
    let end = SEGMENT_HEADER_BYTES as u64;
    let ground = Ground {
        number: header.number,
        file: spare.file.clone(),
        salt: header.salt,
        timeline: header.timeline,
        checksum,
        start: header.heads,
    };
    let previous_checksum = header.previous_checksum;
    let segment = Segment { ground, previous_checksum, end, index: Some(SegmentIndex::new()) };
    let active = Active {
        number: header.number,
        file: spare.file,
        salt: header.salt,
        file_bytes: spare.bytes,
        end,
        previous: checksum,
        sealed: true,
    };
    Ok((active, segment))
}

/// The first segment of a new log.
pub(super) fn found_segment(
    disk: &dyn Disk,
    random: &dyn Random,
    options: &LogOptions,
    timeline: Timeline,
) -> Result<(Active, Segment), std::io::Error> {
    let header = SegmentHeader {
        number: 1,
        timeline,
        slot_key_fingerprint: options.slot_key_fingerprint,
        salt: fresh_salt(random),
        file_bytes: options.segment_bytes,
        previous_end: 0,
        previous_checksum: 0,
        heads: Heads::empty(),
    };
    start_segment(disk, &mut super::segment::SparesAtOnce, options.segment_bytes, header).map_err(|error| {
        match error {
            RollError::NoSpace(why) => std::io::Error::new(std::io::ErrorKind::StorageFull, why),
            RollError::Broken(why) => std::io::Error::other(why),
        }
    })
}
