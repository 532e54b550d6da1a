//! The crash enumerator: after every I/O operation of a life, every fault, then recovery.
//!
//! A point is one life of the real log on the simulated disk, one fault at one of its operations,
//! one choice of what survived, a recovery by the real code, and the comparison with the senders'
//! ledger: every acknowledged record there exactly once with its bytes, nothing invented, what was
//! not acknowledged there wholly or not at all, the same again after a power cut, and appends go on.
//! The same for the history: flushes, merges and erasing, and in the end nothing left of what was replaced.

mod finding;
mod history;
mod ledger;
mod point;
mod workload;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub use finding::{Breach, Finding};
pub use point::{BadPoint, Point, Then};

use crate::chance::Chance;
use crate::disk::Fault;
use history::StruckHistory;
use point::{FAULTS, Struck, TORN_FROM, name_of};
use workload::live;

/// What the test command runs.
pub const QUICK_POINTS: u64 = 50_000;
/// The same of the history, of which a point takes longer.
pub const QUICK_HISTORY_POINTS: u64 = 40_000;
/// Failures that a report keeps; the rest are counted.
const FAILURES_KEPT: usize = 10;
/// Torn survivals of each crash, beside "all", "nothing" and "the last writes".
const TORN_SURVIVALS: u64 = 2;

/// What lives and crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Of {
    /// The log.
    #[default]
    Log,
    /// The history.
    History,
}

/// How much to enumerate.
#[derive(Debug, Clone)]
pub struct CrashConfig {
    /// Of what.
    pub of: Of,
    /// The first life's seed; lives follow one another from there.
    pub seed: u64,
    /// Lives are lived until at least so many points were gone through.
    pub points: u64,
    /// Threads to use. The result does not depend on it.
    pub threads: usize,
}

impl CrashConfig {
    /// [`QUICK_POINTS`] from seed 1 on.
    pub fn quick() -> Self {
        CrashConfig {
            of: Of::Log,
            seed: 1,
            points: QUICK_POINTS,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// [`QUICK_HISTORY_POINTS`] of the history.
    pub fn quick_history() -> Self {
        CrashConfig { of: Of::History, points: QUICK_HISTORY_POINTS, ..CrashConfig::quick() }
    }
}

/// What was enumerated and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CrashReport {
    /// Points gone through.
    pub points: u64,
    /// Lives lived, by their seeds.
    pub lives: u64,
    /// Operations at which a fault could strike.
    pub operations: u64,
    /// Points by the fault that struck, and by what happened to the recovery.
    pub by_fault: BTreeMap<&'static str, u64>,
    /// Broken promises by kind; empty is well.
    pub breaches: BTreeMap<Breach, u64>,
    /// The first failures.
    pub failures: Vec<Failure>,
}

/// A broken promise and how to see it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Of what.
    pub of: Of,
    /// The life.
    pub seed: u64,
    /// The point; `None` where the life itself went wrong before any point.
    pub point: Option<Point>,
    /// What was found.
    pub finding: Finding,
}

/// What the command needs besides the seed and the point, where the build has bugs to choose from.
const COMMAND_OPTIONS: &str = if cfg!(feature = "planted") { " --features planted" } else { "" };

impl Failure {
    /// The command that shows it again.
    pub fn command(&self) -> String {
        let point = self.point.map(|point| format!(" --point {point}")).unwrap_or_default();
        let of = match self.of {
            Of::Log => "",
            Of::History => " --history",
        };
        format!(
            "cargo run --release -p anser-sim{COMMAND_OPTIONS} -- crashes{of} --seed {}{point}",
            self.seed
        )
    }
}

impl CrashReport {
    /// Whether every promise was kept.
    pub fn is_well(&self) -> bool {
        self.breaches.is_empty()
    }

    /// How often one promise was broken.
    pub fn count(&self, breach: Breach) -> u64 {
        self.breaches.get(&breach).copied().unwrap_or(0)
    }

    fn add(&mut self, (of, seed): (Of, u64), point: Option<Point>, outcome: Result<(), Finding>) {
        if let Some(point) = point {
            self.points += 1;
            *self.by_fault.entry(name_of(point.fault)).or_default() += 1;
            match point.then {
                Then::Check => {}
                Then::Again(..) => *self.by_fault.entry("again in recovery").or_default() += 1,
                Then::Rot(_) => *self.by_fault.entry("rot").or_default() += 1,
            }
        }
        if let Err(finding) = outcome {
            *self.breaches.entry(finding.breach).or_default() += 1;
            self.failures.push(Failure { of, seed, point, finding });
        }
    }

    fn merge(&mut self, other: CrashReport) {
        self.points += other.points;
        self.operations += other.operations;
        for (fault, points) in other.by_fault {
            *self.by_fault.entry(fault).or_default() += points;
        }
        for (breach, count) in other.breaches {
            *self.breaches.entry(breach).or_default() += count;
        }
        self.failures.extend(other.failures);
        self.failures.truncate(FAILURES_KEPT);
    }
}

/// Enumerates. The report is a function of the configuration, whatever the threads do.
pub fn enumerate(config: &CrashConfig) -> CrashReport {
    let mut report = CrashReport::default();
    let mut seed = config.seed;
    while report.points < config.points {
        report.merge(enumerate_life(seed, config));
        report.lives += 1;
        seed += 1;
        if report.failures.len() >= FAILURES_KEPT {
            break;
        }
    }
    report
}

/// Goes through one point, or where `point` is `None`, through the undisturbed life of the seed.
pub fn show(config: &CrashConfig, point: Option<Point>) -> Result<(), Finding> {
    let Some(point) = point else { return live_whole(config.of, config.seed).map(|_| ()) };
    let struck = Life::live(config.of, config.seed, point.operation, point.fault)?;
    struck.map_or(Ok(()), |struck| struck.go_through(&point).map(|_| ()))
}

/// A life up to its fault.
enum Life {
    Log(Box<Struck>),
    History(Box<StruckHistory>),
}

impl Life {
    fn live(of: Of, seed: u64, operation: u64, fault: Fault) -> Result<Option<Life>, Finding> {
        Ok(match of {
            Of::Log => Struck::live(seed, operation, fault)?.map(|struck| Life::Log(Box::new(struck))),
            Of::History => {
                StruckHistory::live(seed, operation, fault)?.map(|struck| Life::History(Box::new(struck)))
            }
        })
    }

    fn go_through(&self, point: &Point) -> Result<u64, Finding> {
        match self {
            Life::Log(struck) => struck.go_through(point),
            Life::History(struck) => struck.go_through(point),
        }
    }
}

/// An undisturbed life. How many operations it took.
fn live_whole(of: Of, seed: u64) -> Result<u64, Finding> {
    let (disk, kept) = match of {
        Of::Log => live(seed, None).map(|(disk, ledger)| (disk, ledger.kept()))?,
        Of::History => history::live(seed, None)?,
    };
    assert!(kept > 0, "a life writes something");
    Ok(disk.operations())
}

/// All points of one seed, shared among threads by operation.
fn enumerate_life(seed: u64, config: &CrashConfig) -> CrashReport {
    let mut report = CrashReport::default();
    let life = (config.of, seed);
    let operations = match live_whole(config.of, seed) {
        Ok(operations) => operations,
        Err(finding) => {
            report.add(life, None, Err(finding));
            return report;
        }
    };
    let next = AtomicU64::new(0);
    let parts = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..config.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let operation = next.fetch_add(1, Ordering::Relaxed);
                    if operation >= operations {
                        return;
                    }
                    let part = enumerate_operation(life, operation);
                    parts.lock().expect("no thread panics while it adds").insert(operation, part);
                }
            });
        }
    });
    report.operations = operations;
    for part in parts.into_inner().expect("no thread panicked while it added").into_values() {
        report.merge(part);
    }
    report
}

fn enumerate_operation(life: (Of, u64), operation: u64) -> CrashReport {
    let mut report = CrashReport::default();
    for fault in FAULTS {
        let first = Point { operation, fault, survival: 0, then: Then::Check };
        let struck = match Life::live(life.0, life.1, operation, fault) {
            Ok(Some(struck)) => struck,
            Ok(None) => continue,
            Err(finding) => {
                report.add(life, Some(first), Err(finding));
                continue;
            }
        };
        for survival in survivals(fault, operation) {
            enumerate_survival(life, &struck, Point { survival, ..first }, &mut report);
        }
    }
    report
}

/// What may survive: for a crash of the machine each kind and some ways to tear; for the others the
/// living page cache and one way to tear at the end.
fn survivals(fault: Fault, operation: u64) -> Vec<u64> {
    let torn = |index| TORN_FROM + operation * TORN_SURVIVALS + index;
    match fault {
        Fault::Crash => (1..TORN_FROM).chain((0..TORN_SURVIVALS).map(torn)).collect(),
        Fault::Kill => vec![0],
        Fault::IoError | Fault::NoSpace | Fault::StaysFull | Fault::ShortWrite => vec![0, torn(0)],
    }
}

fn enumerate_survival(life: (Of, u64), struck: &Life, point: Point, report: &mut CrashReport) {
    let outcome = struck.go_through(&point);
    let operations = outcome.as_ref().copied().unwrap_or(1);
    report.add(life, Some(point), outcome.map(|_| ()));

    let mut chance = Chance::of(&[life.1, point.operation, point.survival]);
    let mut thens = vec![Then::Rot(chance.below(1_000_000))];
    if matches!(point.fault, Fault::Crash | Fault::Kill) {
        thens.push(Then::Again(Fault::Crash, chance.below(operations)));
        let other = FAULTS[chance.below(FAULTS.len() as u64) as usize];
        thens.push(Then::Again(other, chance.below(operations)));
    }
    for then in thens {
        let point = Point { then, ..point };
        report.add(life, Some(point), struck.go_through(&point).map(|_| ()));
    }
}
