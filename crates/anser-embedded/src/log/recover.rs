//! Opening a log: read what must be read, believe only what was durable, cut a torn tail, refuse damage.
//!
//! What is known to have been synced: every segment but the last as far as its successor's header
//! says it ends, for that header was written after the last sync; and in the last segment, whatever
//! lies below the synced end that any true block header names, wherever that header lies. A bad
//! block there is damage. A bad block elsewhere was never acknowledged: it and everything behind it
//! is cut, even whole blocks, since sectors of one unsynced write land in any order.
//!
//! Read are all headers of segments, which say where every slot stood, and the last segment. The others
//! are read through later, when somebody reads in them, and all of them soon after the start
//! ([`super::catalogue`]): the time of an opening does not grow with what is kept.
//!
//! The accepted tail that no block proves synced is written once more and synced before anybody is
//! told of it: it may be only in the page cache, and after a failed sync in an earlier life the
//! kernel believes it clean. What was cut is overwritten with zeros, and a seal says that all before
//! it is durable. Every step is safe to repeat.

use std::collections::VecDeque;
use std::sync::Arc;

use anser_core::ports::clock::Clock;
use anser_core::ports::disk::{Disk, DiskFile};
use anser_core::ports::random::Random;
use anser_model::{Slot, Timeline, planted};

use super::block::{BlockHeader, SECTOR_BYTES, u64_at};
use super::catalogue::{Catalogue, Segment};
use super::error::{OpenError, trying};
use super::format;
use super::group::Group;
use super::heads::Heads;
use super::heart::{Active, Heart, found_segment};
use super::options::LogOptions;
use super::segment::{
    HeaderError, SEGMENT_FORMAT, SEGMENT_HEADER_BYTES, SegmentHeader, Spares, UNFINISHED_SUFFIX, file_name,
    number_in,
};
use super::walk::{CHUNK_BYTES, Ground, Walk, WalkError};

/// What an opening found, for the operator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Whether the log was made by this opening.
    pub created: bool,
    /// Segment files found.
    pub segments: u64,
    /// Facts that can be read.
    pub facts: u64,
    /// Bytes of a torn tail, which nobody had been told were kept, that were cut away.
    pub cut_bytes: u64,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
}

/// Opens the log in `disk`, making it where there is none.
pub(crate) fn open(
    disk: Arc<dyn Disk>,
    options: LogOptions,
    random: Arc<dyn Random>,
    clock: &dyn Clock,
    spares: Box<dyn Spares>,
) -> Result<(Heart, Recovered), OpenError> {
    let started_ms = clock.monotonic_ms();
    let options = options.settled();
    let files = found_files(&*disk, &options)?;
    let (timeline, mut recovered, opened) = match files {
        Some((timeline, files)) => {
            let (opened, recovered) = recover(files)?;
            (timeline, recovered, opened)
        }
        None => {
            let (timeline, opened) = found(&*disk, &*random, &options)?;
            (timeline, Recovered { created: true, ..Recovered::default() }, opened)
        }
    };
    let catalogue = Arc::new(Catalogue::new(opened.segments, opened.heads.clone()));
    let mut group = Group::new(options.block_full_bytes);
    group.begin(opened.active.salt, opened.active.end, opened.active.previous);
    let Opened { heads, active, unproven, .. } = opened;
    let mut heart = Heart { disk, random, options, timeline, catalogue, heads, active, group, spares };
    heart.settle_tail(&unproven)?;
    recovered.milliseconds = clock.monotonic_ms().saturating_sub(started_ms);
    Ok((heart, recovered))
}

struct Opened {
    segments: VecDeque<Segment>,
    heads: Heads,
    active: Active,
    unproven: Unproven,
}

/// What lies in the last segment and was not known to be durable.
#[derive(Default)]
struct Unproven {
    /// From here to the active end: blocks that are accepted.
    from: u64,
    /// From the active end to here: bytes that are not, and not zeros.
    cut_to: u64,
}

struct SegmentFile {
    header: SegmentHeader,
    checksum: u32,
    file: Arc<dyn DiskFile>,
}

impl SegmentFile {
    fn ground(&self) -> Ground {
        Ground {
            number: self.header.number,
            file: self.file.clone(),
            salt: self.header.salt,
            timeline: self.header.timeline,
            checksum: self.checksum,
            start: self.header.heads.clone(),
        }
    }
}

/// Makes a new log. The `FORMAT` file comes last: before it is there, there is no log.
fn found(
    disk: &dyn Disk,
    random: &dyn Random,
    options: &LogOptions,
) -> Result<(Timeline, Opened), OpenError> {
    let timeline = options.new_timeline.unwrap_or_else(|| Timeline(random.nonzero()));
    let segment = found_segment(disk, random, options, timeline);
    let (active, segment) = segment.map_err(trying("making the first segment"))?;
    format::write(disk, timeline)?;
    let unproven = Unproven { from: active.end, cut_to: active.end };
    Ok((timeline, Opened { segments: VecDeque::from([segment]), heads: Heads::empty(), active, unproven }))
}

/// The timeline and the segments in order; `None` where no log was ever completed.
fn found_files(
    disk: &dyn Disk,
    options: &LogOptions,
) -> Result<Option<(Timeline, Vec<SegmentFile>)>, OpenError> {
    let names = disk.list().map_err(trying("listing the folder"))?;
    for name in names.iter().filter(|name| name.ends_with(UNFINISHED_SUFFIX)) {
        disk.remove(name).map_err(trying(format!("removing {name}")))?;
    }
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_in(name)).collect();
    numbers.sort_unstable();
    let timeline = format::read(disk)?;
    if let (None, [1]) = (timeline, &numbers[..])
        && is_unused(&open_segment(disk, 1)?)?
    {
        // The log was being made when the process ended.
        disk.remove(&file_name(1)).map_err(trying("removing an unused first segment"))?;
        disk.sync_folder().map_err(trying("syncing the folder"))?;
        return Ok(None);
    }
    let lost =
        |what: &str| OpenError::Damaged { file: format::FORMAT_FILE.into(), offset: 0, what: what.into() };
    match (timeline, numbers.is_empty()) {
        (None, true) => Ok(None),
        (None, false) => Err(lost("the file is missing, and there are segments with records")),
        (Some(_), true) => Err(lost("there was a log here, and every segment of it is missing")),
        (Some(timeline), false) => {
            let files = numbers.iter().map(|&number| open_segment(disk, number));
            let files = files.collect::<Result<Vec<_>, _>>()?;
            check_order(&files, timeline, options)?;
            Ok(Some((timeline, files)))
        }
    }
}

fn open_segment(disk: &dyn Disk, number: u64) -> Result<SegmentFile, OpenError> {
    let name = file_name(number);
    let file: Arc<dyn DiskFile> = Arc::from(disk.open(&name).map_err(trying(format!("opening {name}")))?);
    let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
    let read = file.read_at(0, &mut bytes).map_err(trying(format!("reading {name}")))?;
    let file_bytes = file.len().map_err(trying(format!("measuring {name}")))?;
    let damaged = |offset, what: &str| OpenError::Damaged { file: name.clone(), offset, what: what.into() };
    let (header, checksum) = SegmentHeader::decode(&bytes[..read]).map_err(|error| match error {
        HeaderError::UnknownFormat(found) => {
            OpenError::UnknownFormat { file: name.clone(), found: found.into(), known: SEGMENT_FORMAT }
        }
        HeaderError::Damaged(what) => damaged(0, what),
    })?;
    if header.number != number {
        return Err(damaged(0, "the segment's number is not that of its name"));
    }
    if file_bytes < header.file_bytes {
        return Err(damaged(file_bytes, "the file was cut short"));
    }
    Ok(SegmentFile { header, checksum, file })
}

/// Whether nothing was ever written behind the header.
fn is_unused(segment: &SegmentFile) -> Result<bool, OpenError> {
    let mut found = false;
    for_each_sector(segment, SEGMENT_HEADER_BYTES as u64, |_, sector| found |= !is_zero(sector))?;
    Ok(!found)
}

fn check_order(files: &[SegmentFile], timeline: Timeline, options: &LogOptions) -> Result<(), OpenError> {
    for file in files {
        let header = &file.header;
        if header.slot_key_fingerprint != options.slot_key_fingerprint {
            return Err(OpenError::WrongSlotKey {
                file: file_name(header.number),
                stored: header.slot_key_fingerprint,
                given: options.slot_key_fingerprint,
            });
        }
        if header.timeline != timeline {
            return Err(damaged(file, 0, "the segment belongs to another timeline"));
        }
    }
    for pair in files.windows(2) {
        if pair[0].header.number + 1 != pair[1].header.number {
            let missing = file_name(pair[0].header.number + 1);
            return Err(OpenError::Damaged {
                file: missing,
                offset: 0,
                what: "the segment is missing".into(),
            });
        }
        if !pair[1].header.may_follow(&pair[0].header) {
            return Err(damaged(&pair[1], 0, "its header does not follow from the one before it"));
        }
    }
    Ok(())
}

fn damaged(file: &SegmentFile, offset: u64, what: impl Into<String>) -> OpenError {
    OpenError::Damaged { file: file_name(file.header.number), offset, what: what.into() }
}

fn recover(files: Vec<SegmentFile>) -> Result<(Opened, Recovered), OpenError> {
    let last = files.last().expect("there is a segment");
    let walk = walk_last(last)?;
    let cut_to = judge_tail(last, &walk)?;
    let oldest = &files[0].header.heads;
    let recovered = Recovered {
        segments: files.len() as u64,
        facts: Slot::all().map(|slot| walk.heads.last(slot).0 - oldest.last(slot).0).sum(),
        cut_bytes: cut_to - walk.end,
        ..Recovered::default()
    };
    if recovered.cut_bytes > 0 {
        let (file, offset) = (file_name(last.header.number), walk.end);
        tracing::warn!(file, offset, bytes = recovered.cut_bytes, "cut a torn tail of the log");
    }
    let active = Active {
        number: last.header.number,
        file: last.file.clone(),
        salt: last.header.salt,
        file_bytes: last.header.file_bytes,
        end: walk.end,
        previous: walk.previous,
        sealed: walk.sealed,
    };
    let unproven = Unproven { from: walk.synced_end, cut_to };
    let Walk { end, heads, index, .. } = walk;
    let ends = files.iter().skip(1).map(|next| next.header.previous_end).chain([end]);
    let segment = |(file, end): (&SegmentFile, u64)| Segment {
        ground: file.ground(),
        previous_checksum: file.header.previous_checksum,
        end,
        index: None,
    };
    let mut segments: VecDeque<Segment> = files.iter().zip(ends).map(segment).collect();
    segments.back_mut().expect("there is a segment").index = Some(index);
    Ok((Opened { segments, heads, active, unproven }, recovered))
}

/// Walks over the last segment, as far as it goes.
fn walk_last(last: &SegmentFile) -> Result<Walk, OpenError> {
    let ground = last.ground();
    let mut walk = Walk::begin(&ground);
    match walk.run(&ground, last.header.file_bytes) {
        Ok(()) => Ok(walk),
        Err(WalkError::Io(error)) => Err(trying(format!("reading {}", file_name(ground.number)))(error)),
        Err(WalkError::Impossible { offset, what }) => Err(damaged(last, offset, what)),
    }
}

/// Looks at what lies behind the accepted blocks of the last segment. Returns where its last byte
/// that is not zero ends.
fn judge_tail(file: &SegmentFile, walk: &Walk) -> Result<u64, OpenError> {
    let mut cut_to = walk.end;
    let mut proof = None;
    for_each_sector(file, walk.end, |offset, sector| {
        if is_zero(sector) {
            return;
        }
        cut_to = offset + sector.len() as u64;
        if let Some(header) = BlockHeader::decode(sector, &file.header.salt, offset)
            && header.synced_end > walk.end
        {
            proof.get_or_insert((offset, header.synced_end));
        }
    })?;
    if let Some((offset, synced_end)) = proof
        && !planted!(CutDamage)
    {
        let what = format!(
            "no block that was written here, yet the one at {offset} says that everything below \
             {synced_end} was durable"
        );
        return Err(damaged(file, walk.end, what));
    }
    Ok(cut_to)
}

fn for_each_sector(file: &SegmentFile, from: u64, mut look: impl FnMut(u64, &[u8])) -> Result<(), OpenError> {
    let end = file.header.file_bytes;
    let mut buffer = vec![0; CHUNK_BYTES.min((end - from) as usize)];
    let mut offset = from;
    while offset < end {
        let wanted = buffer.len().min((end - offset) as usize);
        let name = file_name(file.header.number);
        let read = file.file.read_at(offset, &mut buffer[..wanted]);
        let read = read.map_err(trying(format!("reading {name}")))?;
        if read < wanted {
            return Err(damaged(file, offset + read as u64, "the file was cut short"));
        }
        for (index, sector) in buffer[..read].chunks(SECTOR_BYTES).enumerate() {
            look(offset + (index * SECTOR_BYTES) as u64, sector);
        }
        offset += read as u64;
    }
    Ok(())
}

fn is_zero(sector: &[u8]) -> bool {
    let words = sector.chunks_exact(8);
    words.remainder().iter().all(|&byte| byte == 0) && words.into_iter().all(|word| u64_at(word, 0) == 0)
}

impl Heart {
    /// Makes durable what was accepted without proof, and clears what was not accepted.
    fn settle_tail(&mut self, unproven: &Unproven) -> Result<(), OpenError> {
        let name = file_name(self.active.number);
        let end = self.active.end;
        assert!(unproven.from <= end && end <= unproven.cut_to);
        // The name of the last segment may still be in the page cache alone.
        self.disk.sync_folder().map_err(trying("syncing the folder"))?;
        if unproven.from < unproven.cut_to {
            self.rewrite(unproven.from, end).map_err(trying(format!("rewriting the tail of {name}")))?;
            self.clear(end, unproven.cut_to).map_err(trying(format!("clearing the tail of {name}")))?;
            self.active.file.sync_data().map_err(trying(format!("syncing {name}")))?;
        }
        self.seal().map_err(|why| OpenError::Io {
            what: format!("sealing {name}"),
            source: std::io::Error::other(why),
        })
    }

    fn rewrite(&self, from: u64, to: u64) -> std::io::Result<()> {
        let mut buffer = vec![0; CHUNK_BYTES.min((to - from) as usize)];
        let mut offset = from;
        while offset < to {
            let wanted = buffer.len().min((to - offset) as usize);
            if self.active.file.read_at(offset, &mut buffer[..wanted])? < wanted {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            self.active.file.write_all_at(offset, &buffer[..wanted])?;
            offset += wanted as u64;
        }
        Ok(())
    }

    fn clear(&self, from: u64, to: u64) -> std::io::Result<()> {
        let zeros = vec![0; CHUNK_BYTES.min((to - from) as usize)];
        let mut offset = from;
        while offset < to {
            let some = zeros.len().min((to - offset) as usize);
            self.active.file.write_all_at(offset, &zeros[..some])?;
            offset += some as u64;
        }
        Ok(())
    }
}
