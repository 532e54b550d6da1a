//! The local log on a real folder: the port's suite, and what it refuses to open.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anser_core::ports::log::{AppendError, Log, LogError};
use anser_core::ports::log_conformance::{LogFactory, block_on, check_log};
use anser_core::ports::random::Random;
use anser_core::record::{Record, RecordHeader};
use anser_embedded::disk::FolderDisk;
use anser_embedded::log::{LocalLog, LogOptions, OpenError};
use anser_embedded::system::{SystemClock, SystemRandom};
use anser_model::{N, Reign, Slot, Timeline};
use bytes::Bytes;

const TIMELINE: Timeline = Timeline(77);
const SLOT_KEY: u64 = 0xfeed;
const SMALL_SEGMENT_BYTES: u64 = 16 * 1024;
const SLOT: Slot = Slot(9);

struct Folder {
    path: tempfile::TempDir,
    segment_bytes: u64,
}

impl Folder {
    fn new(segment_bytes: u64) -> Self {
        Folder { path: tempfile::tempdir().expect("a temporary folder"), segment_bytes }
    }

    fn options(&self) -> LogOptions {
        let mut options = LogOptions::new(SLOT_KEY);
        options.segment_bytes = self.segment_bytes;
        options.new_timeline = Some(TIMELINE);
        options
    }

    fn try_open(&self, options: LogOptions) -> Result<LocalLog, OpenError> {
        let disk = FolderDisk::open(self.path.path()).expect("the folder is free");
        LocalLog::open(Arc::new(disk), options, Arc::new(SystemRandom), Arc::new(SystemClock))
    }

    fn open(&self) -> LocalLog {
        self.try_open(self.options()).expect("the log opens")
    }

    fn refused(&self) -> OpenError {
        match self.try_open(self.options()) {
            Ok(_) => panic!("a damaged log must not open"),
            Err(error) => error,
        }
    }

    /// The segment files in order.
    fn segments(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = fs::read_dir(self.path.path())
            .expect("lists")
            .map(|entry| entry.expect("entry").path())
            .collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
        paths.sort();
        paths
    }
}

impl LogFactory for Folder {
    fn timeline(&self) -> Timeline {
        TIMELINE
    }

    fn open(&self) -> Arc<dyn Log> {
        Arc::new(self.open())
    }
}

fn record(n: u64, bytes: usize) -> Record {
    let header = RecordHeader {
        timeline: TIMELINE,
        slot: SLOT,
        reign: Reign(1),
        opens_after: (n == 1).then_some(Reign(0)),
        first_n: N(n),
        count: 1,
        must_understand: false,
    };
    Record { header, payload: Bytes::from(vec![n as u8; bytes]) }
}

fn append(log: &LocalLog, numbers: std::ops::RangeInclusive<u64>, bytes: usize) {
    let appends: Vec<_> = numbers.map(|n| log.append(record(n, bytes))).collect();
    assert!(appends.into_iter().all(|append| block_on(append).is_ok()));
}

/// A log of small segments with records 1..=100, closed.
fn filled() -> Folder {
    let folder = Folder::new(SMALL_SEGMENT_BYTES);
    for first in (1..=91).step_by(10) {
        append(&folder.open(), first..=first + 9, 300);
    }
    assert!(folder.segments().len() > 3);
    folder
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).expect("reads");
    bytes[offset] ^= 0x10;
    fs::write(path, bytes).expect("writes");
}

#[test]
fn the_suite_of_the_port_passes_with_small_segments() {
    check_log(&mut || Box::new(Folder::new(SMALL_SEGMENT_BYTES)));
}

#[test]
fn the_suite_of_the_port_passes_with_one_large_segment() {
    check_log(&mut || Box::new(Folder::new(4 * 1024 * 1024)));
}

#[test]
fn a_new_log_draws_a_timeline_and_keeps_it() {
    let folder = Folder::new(SMALL_SEGMENT_BYTES);
    let mut options = folder.options();
    options.new_timeline = None;
    let log = folder.try_open(options).expect("opens");
    let timeline = log.timeline();
    assert!(log.recovered().created && timeline.0 != 0);
    drop(log);
    assert_eq!(folder.open().timeline(), timeline);
    assert!(!folder.open().recovered().created);
}

#[test]
fn trimming_removes_the_files() {
    let folder = filled();
    let before = folder.segments().len();
    let log = folder.open();
    assert_eq!(block_on(log.trim(vec![(SLOT, N(60))])), Ok(()));
    assert!(folder.segments().len() < before);
    assert_eq!(folder.segments().len(), log.segments());
    assert!(matches!(block_on(log.read(SLOT, N(1), 1)), Err(LogError::OutOfRange { asked: N(1), .. })));
    assert_eq!(block_on(log.read(SLOT, N(60), 1)), Ok(vec![record(60, 300)]));
}

#[test]
fn a_record_larger_than_a_segment_gets_one_of_its_own() {
    let folder = Folder::new(SMALL_SEGMENT_BYTES);
    let log = folder.open();
    append(&log, 1..=1, 10);
    append(&log, 2..=3, 1024 * 1024);
    append(&log, 4..=4, 10);
    drop(log);
    let read = block_on(folder.open().read(SLOT, N(1), usize::MAX)).expect("reads");
    assert!(read == [record(1, 10), record(2, 1024 * 1024), record(3, 1024 * 1024), record(4, 10)]);
}

/// What whoever opens the log and reads all of it is told.
fn found_damage(folder: &Folder) -> String {
    let log = match folder.try_open(folder.options()) {
        Err(error) => return error.to_string(),
        Ok(log) => log,
    };
    match block_on(log.read(SLOT, N(1), usize::MAX)) {
        Ok(_) => panic!("damage was read"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn damage_anywhere_is_found_with_its_place() {
    let folder = filled();
    for path in folder.segments() {
        // The last sector may be the seal, which holds nothing.
        let sealed =
            fs::read(&path).expect("reads").iter().rposition(|&byte| byte != 0).expect("a header") - 512;
        for offset in [30, 4_000, 8_192 + 3, 8_192 + 200, 8_192 + 1_500] {
            if offset > 8_192 && offset >= sealed {
                continue;
            }
            flip(&path, offset);
            let error = found_damage(&folder);
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            assert!(error.contains(&name), "{offset}: {error}");
            flip(&path, offset);
        }
    }
    assert_eq!(folder.open().recovered().facts, 100, "and whole again, it opens");
}

#[test]
fn damage_that_nobody_reads_breaks_the_log_soon_after_the_start() {
    let folder = filled();
    let oldest = folder.segments().remove(0);
    flip(&oldest, 8_192 + 200);
    let log = folder.open();
    let why = block_on(log.broken());
    assert!(why.contains("00001.segment at 8192"), "{why}");
    let outcome = block_on(log.append(record(101, 10)));
    assert!(matches!(outcome, Err(AppendError::Broken(_))), "nothing is acknowledged any more: {outcome:?}");
}

#[test]
fn a_missing_segment_is_refused() {
    let folder = filled();
    let paths = folder.segments();
    let aside = folder.path.path().join("aside");
    fs::rename(&paths[1], &aside).expect("renames");
    assert!(matches!(folder.refused(), OpenError::Damaged { what, .. } if what.contains("missing")));
    fs::rename(&aside, &paths[1]).expect("renames");
    paths.iter().for_each(|path| fs::remove_file(path).expect("removes"));
    assert!(matches!(folder.refused(), OpenError::Damaged { what, .. } if what.contains("every segment")));
}

#[test]
fn a_shortened_segment_is_refused() {
    let folder = filled();
    let last = folder.segments().pop().expect("segments");
    fs::OpenOptions::new().write(true).open(last).expect("opens").set_len(9_000).expect("cuts");
    assert!(matches!(folder.refused(), OpenError::Damaged { offset: 9_000, .. }));
}

#[test]
fn another_slot_key_is_refused() {
    let folder = filled();
    let mut options = folder.options();
    options.slot_key_fingerprint = 1;
    let Err(error) = folder.try_open(options) else { panic!("another key must not open it") };
    assert!(matches!(error, OpenError::WrongSlotKey { stored: SLOT_KEY, given: 1, .. }), "{error}");
}

#[test]
fn a_newer_format_is_refused_naming_both() {
    let folder = filled();
    let last = folder.segments().pop().expect("segments");
    let mut bytes = fs::read(&last).expect("reads");
    bytes[8] = 2;
    fs::write(&last, bytes).expect("writes");
    assert!(matches!(folder.refused(), OpenError::UnknownFormat { found: 2, known: 1, .. }));
}

#[test]
fn a_torn_tail_is_cut_and_reported() {
    // How appends gather in blocks is a matter of time: there is room for each in a block of its own.
    let folder = Folder::new(4 * SMALL_SEGMENT_BYTES);
    append(&folder.open(), 1..=20, 300);
    let last = folder.segments().pop().expect("segments");
    let mut bytes = fs::read(&last).expect("reads");
    let end = bytes.iter().rposition(|&byte| byte != 0).expect("not empty").next_multiple_of(512);
    bytes[end..end + 700].fill(0xa5);
    fs::write(&last, bytes).expect("writes");
    let log = folder.open();
    assert_eq!((log.recovered().facts, log.recovered().cut_bytes), (20, 1024));
    append(&log, 21..=21, 300);
    drop(log);
    assert_eq!(folder.open().recovered().cut_bytes, 0, "cut once and for all");
}

#[test]
fn another_timeline_and_a_void_reign_are_fenced() {
    let log = Folder::new(SMALL_SEGMENT_BYTES).open();
    append(&log, 1..=1, 10);
    let mut foreign = record(2, 10);
    foreign.header.timeline = Timeline(1);
    let fenced = AppendError::Fenced { slot: SLOT, in_force: Reign(1), last: N(1) };
    assert_eq!(block_on(log.append(foreign)), Err(fenced));
}

#[test]
fn what_is_queued_when_the_log_is_dropped_is_still_committed() {
    let folder = Folder::new(SMALL_SEGMENT_BYTES);
    let log = folder.open();
    let appends: Vec<_> = (1..=50).map(|n| log.append(record(n, 200))).collect();
    drop(log);
    assert!(appends.into_iter().all(|append| block_on(append).is_ok()));
    assert_eq!(folder.open().recovered().facts, 50);
}

/// Random for opening, and then no more.
struct RunsDry(AtomicUsize);

impl Random for RunsDry {
    fn fill(&self, buffer: &mut [u8]) {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) < 1, "no randomness left");
        SystemRandom.fill(buffer);
    }
}

#[test]
fn nobody_waits_for_a_committer_that_panicked() {
    let folder = Folder::new(SMALL_SEGMENT_BYTES);
    let disk = FolderDisk::open(folder.path.path()).expect("the folder is free");
    let random = Arc::new(RunsDry(AtomicUsize::new(0)));
    let log = LocalLog::open(Arc::new(disk), folder.options(), random, Arc::new(SystemClock)).expect("opens");
    append(&log, 1..=1, 10);
    // The roll needs a salt.
    let outcome = block_on(log.append(record(2, 12_000)));
    assert!(matches!(outcome, Err(AppendError::Unknown(_))), "{outcome:?}");
    let outcome = block_on(log.append(record(2, 10)));
    assert!(matches!(outcome, Err(AppendError::Broken(_) | AppendError::Unknown(_))), "{outcome:?}");
    assert_eq!(block_on(log.read(SLOT, N(1), usize::MAX)).expect("reads go on").len(), 1);
}
