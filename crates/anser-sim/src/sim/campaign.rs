//! Many seeds, on several threads, and what they came to together.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::audit::Breach;
use super::figures::Figures;
use super::plan::Plan;
use super::run;
use super::world::Outcome;

/// Failures that are told of at most.
const FAILURES_TOLD: usize = 5;

/// Which seeds to go through.
#[derive(Debug, Clone, Copy)]
pub struct Campaign {
    /// The first seed.
    pub first: u64,
    /// How many.
    pub seeds: u64,
    /// Threads; the result does not depend on it.
    pub threads: usize,
}

/// A seed at which a promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What was broken.
    pub breach: Breach,
}

/// What many seeds came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Seeds gone through.
    pub seeds: u64,
    /// What happened in all of them.
    pub figures: Figures,
    /// How many seeds failed, by the promise that was broken.
    pub breaches: BTreeMap<&'static str, u64>,
    /// The first of them.
    pub failures: Vec<Failure>,
    /// The hash of all traces.
    pub trace: u64,
}

/// Seeds that are run twice, to see that the same one leaves the same trace.
const REPEATED: u64 = 6;

impl Campaign {
    /// Whether the first seeds leave the same trace a second time; else, which does not.
    ///
    /// # Errors
    /// The seed that does not.
    pub fn repeats(&self) -> Result<(), u64> {
        let trace = |seed| run(&Plan::draw(seed), false).trace;
        let mut seeds = self.first..self.first + self.seeds.min(REPEATED);
        seeds.find(|&seed| trace(seed) != trace(seed)).map_or(Ok(()), Err)
    }

    /// Goes through the seeds.
    pub fn run(&self) -> Report {
        let next = AtomicU64::new(self.first);
        let end = self.first + self.seeds;
        let mut report = thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads.max(1))
                .map(|_| {
                    scope.spawn(|| {
                        let mut report = Report::default();
                        loop {
                            let seed = next.fetch_add(1, Ordering::Relaxed);
                            if seed >= end {
                                return report;
                            }
                            report.take(seed, run(&Plan::draw(seed), false));
                        }
                    })
                })
                .collect();
            let mut whole = Report::default();
            for worker in workers {
                whole.add(worker.join().expect("a run catches what panics in it"));
            }
            whole
        });
        report.failures.sort_by_key(|failure| failure.seed);
        report.failures.truncate(FAILURES_TOLD);
        report
    }
}

impl Report {
    fn take(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        self.figures.add(outcome.figures);
        // Independent of which thread took which seed.
        self.trace ^= outcome.trace.wrapping_mul(seed | 1);
        if let Some(breach) = outcome.breach {
            *self.breaches.entry(breach.promise).or_default() += 1;
            self.failures.push(Failure { seed, breach });
        }
    }

    fn add(&mut self, other: Report) {
        self.seeds += other.seeds;
        self.figures.add(other.figures);
        self.trace ^= other.trace;
        for (promise, count) in other.breaches {
            *self.breaches.entry(promise).or_default() += count;
        }
        self.failures.extend(other.failures);
    }

    /// Whether every promise was kept.
    pub fn is_well(&self) -> bool {
        self.breaches.is_empty()
    }
}

thread_local! {
    /// Where a panic in a run was, and what it said.
    static PANICKED: RefCell<Option<String>> = const { RefCell::new(None) };
    static QUIET: RefCell<bool> = const { RefCell::new(false) };
}

/// Makes a panic of the product a breach, without a word on the terminal.
pub(super) fn quietly(run: impl FnOnce() -> Outcome) -> Outcome {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if QUIET.with_borrow(|quiet| *quiet) {
                PANICKED.with_borrow_mut(|said| *said = Some(panic.to_string()));
            } else {
                before(panic);
            }
        }));
    });
    QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(run));
    QUIET.set(false);
    outcome.unwrap_or_else(|_| {
        let how = PANICKED.take().unwrap_or_else(|| "a panic".into());
        Outcome { breach: Some(Breach { promise: "the product panics", how }), ..Outcome::default() }
    })
}
