//! The history of segments on the simulated disk: the port's suite, and crashes after every operation.

use std::sync::Arc;

use anser_core::ports::history::History;
use anser_core::ports::history_conformance::{HistoryFactory, check_history};
use anser_embedded::history::{HistoryOptions, SegmentHistory};
use anser_sim::clock::SimClock;
use anser_sim::crashes::{CrashConfig, enumerate};
use anser_sim::disk::SimDisk;

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
