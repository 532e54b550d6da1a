//! The local log on the simulated disk: the port's suite, the enumerator, and single cases that
//! chance would rarely meet.

use std::sync::Arc;

use anser_core::ports::log::{AppendError, Log};
use anser_core::ports::log_conformance::{LogFactory, check_log};
use anser_core::record::{Record, RecordHeader};
use anser_embedded::log::{LocalLog, LogOptions, OpenError, SteppedLog};
use anser_model::{N, Reign, Slot, Timeline};
use anser_sim::chance::SimRandom;
use anser_sim::clock::SimClock;
use anser_sim::crashes::{CrashConfig, enumerate};
use anser_sim::disk::{FULL_FOR_OPERATIONS, Fault, SimDisk, Survival};
use bytes::Bytes;

const TIMELINE: Timeline = Timeline(7);
const SEGMENT_BYTES: u64 = 16 * 1024;
const BLOCK_FULL_BYTES: usize = 1024;

fn options() -> LogOptions {
    let mut options = LogOptions::new(1);
    options.segment_bytes = SEGMENT_BYTES;
    options.block_full_bytes = BLOCK_FULL_BYTES;
    options.new_timeline = Some(TIMELINE);
    options
}

fn try_open(disk: &SimDisk, seed: u64) -> Result<SteppedLog, OpenError> {
    let random = Arc::new(SimRandom::new(seed));
    SteppedLog::open(Arc::new(disk.clone()), options(), random, &SimClock::default())
}

fn open(disk: &SimDisk, seed: u64) -> SteppedLog {
    try_open(disk, seed).expect("the log opens")
}

fn record(slot: u8, reign: u64, after: Option<u64>, n: u64, bytes: usize) -> Record {
    let header = RecordHeader {
        timeline: TIMELINE,
        slot: Slot(slot),
        reign: Reign(reign),
        opens_after: after.map(Reign),
        first_n: N(n),
        count: 1,
        must_understand: false,
    };
    Record { header, payload: Bytes::from(vec![reign as u8; bytes]) }
}

fn must_commit(log: &mut SteppedLog, records: &[Record]) {
    let outcomes = log.commit(records);
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

struct OnSimDisk(SimDisk);

impl LogFactory for OnSimDisk {
    fn timeline(&self) -> Timeline {
        TIMELINE
    }

    fn open(&self) -> Arc<dyn Log> {
        let random = Arc::new(SimRandom::new(self.0.operations()));
        let disk = Arc::new(self.0.clone());
        Arc::new(
            LocalLog::open(disk, options(), random, Arc::new(SimClock::default())).expect("the log opens"),
        )
    }
}

#[test]
fn the_suite_of_the_port_passes() {
    check_log(&mut || Box::new(OnSimDisk(SimDisk::new(1))));
}

#[test]
fn ten_thousand_crashes_lose_nothing() {
    let mut config = CrashConfig::quick();
    config.points = 10_000;
    let report = enumerate(&config);
    assert!(report.is_well(), "{:#?}", report.failures);
    assert!(report.points >= config.points && report.by_fault.len() == 8, "{:?}", report.by_fault);
}

#[test]
fn a_report_is_the_same_whatever_the_threads_do() {
    let config = CrashConfig { points: 1, ..CrashConfig::quick() };
    let one = CrashConfig { threads: 1, ..config.clone() };
    let three = CrashConfig { threads: 3, ..config };
    assert_eq!(enumerate(&one), enumerate(&three));
}

/// A whole block that a crash left behind must not come back when what is written anew ends where it
/// begins: the clearing of it may itself have been lost with a failed sync.
#[test]
fn a_block_left_behind_never_comes_back() {
    let mut left_behind = 0;
    for seed in 0..400 {
        let disk = SimDisk::new(seed);
        let mut log = open(&disk, seed);
        must_commit(&mut log, &[record(0, 11, Some(0), 1, 10), record(1, 12, Some(0), 1, 10)]);
        // Two blocks in one group, and the power goes before the sync.
        disk.plan(1, Fault::Crash);
        let outcomes = log.commit(&[record(0, 11, None, 2, 1_000), record(1, 12, None, 2, 100)]);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(AppendError::Broken(_)))));
        let disk = disk.crashed(Survival::Torn(seed));

        // The sync of the clearing fails; the next process sees zeros where the medium has none.
        for operation in 0..40 {
            let disk = disk.killed();
            disk.plan(operation, Fault::IoError);
            if try_open(&disk, seed).is_ok() {
                break;
            }
            let disk = disk.killed();
            let mut log = open(&disk, seed + 1_000);
            if log.heads()[0].last != N(1) {
                continue;
            }
            left_behind += 1;
            assert_eq!(log.heads()[1].last, N(1), "the second block alone is nothing");
            // With the seal that the recovery wrote, two sectors end where the second block began.
            must_commit(&mut log, &[record(0, 21, Some(11), 2, 600)]);
            let log = open(&disk.crashed(Survival::Nothing), seed + 2_000);
            assert_eq!((log.heads()[0].last, log.heads()[1].last), (N(2), N(1)), "seed {seed}.{operation}");
        }
    }
    assert!(left_behind > 100, "the case was met {left_behind} times");
}

#[test]
fn a_full_disk_refuses_what_does_not_fit_and_goes_on_when_there_is_space() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk, 1);
    must_commit(&mut log, &[record(0, 11, Some(0), 1, 10), record(1, 12, Some(0), 1, 10)]);
    disk.plan(0, Fault::NoSpace);
    let large = 12_000;
    let outcomes = log.commit(&[
        record(0, 11, None, 2, large),
        record(1, 12, None, 2, 100),
        record(0, 11, None, 3, 10),
        record(1, 12, None, 3, large),
    ]);
    assert!(matches!(&outcomes[0], Err(AppendError::NoSpace(_))), "{outcomes:?}");
    assert_eq!(outcomes[1], Ok(()), "what fits still lands");
    assert!(matches!(&outcomes[2], Err(AppendError::Fenced { last: N(1), .. })), "{outcomes:?}");
    assert!(matches!(&outcomes[3], Err(AppendError::NoSpace(_))), "{outcomes:?}");
    assert_eq!(log.read(Slot(1), N(1), usize::MAX).expect("reads go on").len(), 2);

    // The engine opens anew, with the same process, as soon as there is space.
    while disk.operations() < 2 * FULL_FOR_OPERATIONS + 20 {
        let _ = log.commit(&[record(9, 13, Some(0), 1, large)]);
        if log.heads()[9].last == N(1) {
            break;
        }
    }
    must_commit(&mut log, &[record(0, 21, Some(11), 2, 10), record(0, 21, None, 3, large)]);
    drop(log);
    let log = open(&disk.crashed(Survival::Nothing), 2);
    assert_eq!((log.heads()[0].last, log.heads()[1].last), (N(3), N(2)));
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk, 1);
    must_commit(&mut log, &[record(0, 11, Some(0), 1, 10)]);
    disk.plan(1, Fault::IoError);
    assert!(matches!(&log.commit(&[record(0, 11, None, 2, 10)])[..], [Err(AppendError::Broken(_))]));
    let operations = disk.operations();
    assert!(matches!(&log.commit(&[record(0, 11, None, 2, 10)])[..], [Err(AppendError::Broken(_))]));
    assert!(log.seal().is_err() && log.trim(&[]).is_err());
    assert_eq!(disk.operations(), operations, "the disk is not touched any more");
    assert_eq!(log.read(Slot(0), N(1), usize::MAX).expect("reads go on").len(), 1);
}
