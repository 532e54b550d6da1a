//! The crash enumerator finds the bugs that are planted in the log.
//! `cargo test --release -p anser-sim --features planted --test planted`
#![cfg(feature = "planted")]

use anser_embedded::log::Planted;
use anser_sim::crashes::{Breach, CrashConfig, enumerate, show};

const POINTS: u64 = 5_000;

fn config(planted: Option<Planted>) -> CrashConfig {
    CrashConfig { points: POINTS, planted, ..CrashConfig::quick() }
}

fn must_be_caught(planted: Planted, breach: Breach) {
    let config = config(Some(planted));
    let report = enumerate(&config);
    assert!(report.count(breach) > 0, "{planted:?} shows as {breach:?}: {:?}", report.breaches);
    // Every failure is shown again by its seed and point alone, and only with the bug.
    for failure in &report.failures {
        let config = CrashConfig { seed: failure.seed, ..config.clone() };
        assert_eq!(show(&config, failure.point), Err(failure.finding.clone()));
        assert_eq!(show(&CrashConfig { planted: None, ..config }, failure.point), Ok(()));
    }
}

#[test]
fn without_a_bug_nothing_is_found() {
    let report = enumerate(&config(None));
    assert!(report.is_well(), "{:#?}", report.failures);
}

#[test]
fn a_skipped_fsync_is_caught() {
    must_be_caught(Planted::SkipFsync, Breach::Lost);
}

#[test]
fn unchecked_bytes_are_caught() {
    must_be_caught(Planted::TrustBytes, Breach::Altered);
}

#[test]
fn damage_cut_as_a_torn_tail_is_caught() {
    must_be_caught(Planted::CutDamage, Breach::Undetected);
}
