//! The crash enumerator finds the bugs that are planted in the log.
//! `cargo test --release -p anser-sim --features planted --test planted`
#![cfg(feature = "planted")]

use std::sync::Mutex;

use anser_model::planted::{Bug, plant};
use anser_sim::crashes::{Breach, CrashConfig, enumerate, show};

const POINTS: u64 = 5_000;

/// A bug is planted in the whole process: one test at a time.
static PLANTING: Mutex<()> = Mutex::new(());

fn config() -> CrashConfig {
    CrashConfig { points: POINTS, ..CrashConfig::quick() }
}

fn must_be_caught(bug: Bug, breach: Breach) {
    let _alone = PLANTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    plant(Some(bug));
    let report = enumerate(&config());
    assert!(report.count(breach) > 0, "{bug:?} shows as {breach:?}: {:?}", report.breaches);
    // Every failure is shown again by its seed and point alone, and only with the bug.
    for failure in &report.failures {
        let config = CrashConfig { seed: failure.seed, ..config() };
        plant(Some(bug));
        assert_eq!(show(&config, failure.point), Err(failure.finding.clone()));
        plant(None);
        assert_eq!(show(&config, failure.point), Ok(()));
    }
}

#[test]
fn without_a_bug_nothing_is_found() {
    let _alone = PLANTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    plant(None);
    let report = enumerate(&config());
    assert!(report.is_well(), "{:#?}", report.failures);
}

#[test]
fn a_skipped_fsync_is_caught() {
    must_be_caught(Bug::SkipFsync, Breach::Lost);
}

#[test]
fn unchecked_bytes_are_caught() {
    must_be_caught(Bug::TrustBytes, Breach::Altered);
}

#[test]
fn damage_cut_as_a_torn_tail_is_caught() {
    must_be_caught(Bug::CutDamage, Breach::Undetected);
}
