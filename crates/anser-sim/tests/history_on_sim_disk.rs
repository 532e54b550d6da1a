//! The history of segments on the simulated disk: the port's suite, and crashes after every operation.

use std::sync::Arc;

use anser_core::ports::history::{FactRow, History, HistoryBatch, KeyRow};
use anser_core::ports::history_conformance::{HistoryFactory, check_history};
use anser_embedded::history::{HistoryOptions, SegmentHistory, SteppedHistory};
use anser_model::{ConversationId, N, Seq, Slot};
use anser_sim::clock::SimClock;
use anser_sim::crashes::{CrashConfig, enumerate};
use anser_sim::disk::SimDisk;
use bytes::Bytes;

struct OnSimDisk(SimDisk);

impl HistoryFactory for OnSimDisk {
    fn open(&self) -> Arc<dyn History> {
        let (disk, clock) = (Arc::new(self.0.clone()), Arc::new(SimClock::default()));
        Arc::new(SegmentHistory::open(disk, HistoryOptions::usual(), clock).expect("the history opens"))
    }
}

#[test]
fn the_suite_of_the_port_passes() {
    check_history(&mut || Box::new(OnSimDisk(SimDisk::new(1))));
}

#[test]
fn ten_thousand_crashes_lose_nothing() {
    let mut config = CrashConfig::quick_history();
    config.points = 10_000;
    let report = enumerate(&config);
    assert!(report.is_well(), "{:#?}", report.failures);
    assert!(report.points >= config.points && report.by_fault.len() == 8, "{:?}", report.by_fault);
}

#[test]
fn a_report_is_the_same_whatever_the_threads_do() {
    let config = CrashConfig { points: 1, ..CrashConfig::quick_history() };
    let one = CrashConfig { threads: 1, ..config.clone() };
    let three = CrashConfig { threads: 3, ..config };
    assert_eq!(enumerate(&one), enumerate(&three));
}

/// However much a history holds, opening it reads the manifest, and of the segments that they are there.
#[test]
fn opening_reads_no_segment() {
    const FLUSHES: u64 = 30;
    let disk = SimDisk::new(1);
    let open = || SteppedHistory::open(Arc::new(disk.clone()), HistoryOptions::usual()).expect("it opens");
    let history = open();
    for n in 1..=FLUSHES {
        let (cid, seq, n) = (ConversationId([n as u8; 16]), Seq(n), N(n));
        let fact = FactRow { cid, seq, n, fact: Bytes::from(vec![7; 5_000]), replaces: false };
        let key = KeyRow { key: u128::from(n.0), day: 20_000, n, seq, request_hash: 1 };
        let batch = HistoryBatch { slot: Slot(3), through: n, facts: vec![fact], keys: vec![key] };
        history.flush(vec![batch], n.0).expect("it is folded");
    }
    drop(history);
    let before = disk.operations();
    drop(open());
    // Two segments of each flush, each opened and measured; the manifest; a listing and a sync of the folder.
    assert_eq!(disk.operations() - before, 2 * 2 * FLUSHES + 5);
}
