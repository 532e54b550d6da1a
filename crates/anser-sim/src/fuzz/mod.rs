//! Fuzzing: every decoder, fed what was well formed once.
//!
//! An execution is a function of the seed, the target and its number. What a decoder reads joins the
//! pool that later inputs are made from, so damage adds up. Nothing may panic, take memory that its
//! input does not explain, or read back otherwise than it was written. (A stack that overflows ends
//! the process: run the target that was at work alone, with fewer executions.)

mod corpus;
mod log_folder;
mod memory;
mod mutate;
mod targets;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use targets::{TARGETS, Target, named};

use crate::chance::Chance;
use crate::panics::caught;
use memory::Memory;

/// What the test command runs, in all.
pub const QUICK_EXECUTIONS: u64 = 1_500_000;
/// Inputs that were read and that later ones are made from, beside the corpus.
const POOL: usize = 256;
/// Executions between two looks at the memory.
const LOOK_EVERY: u64 = 512;
/// Faults of one target that a report keeps; the target stops there.
const FAULTS_KEPT: usize = 3;
/// Tries to make a failing input smaller.
const SHRINK_TRIES: usize = 4_000;

/// How much to try.
#[derive(Debug, Clone)]
pub struct FuzzConfig {
    /// Every execution is a function of this, its target and its number.
    pub seed: u64,
    /// Executions in all, shared among the targets by what they cost.
    pub executions: u64,
    /// This target alone.
    pub target: Option<&'static Target>,
    /// Threads to use. The result does not depend on it.
    pub threads: usize,
}

impl FuzzConfig {
    /// [`QUICK_EXECUTIONS`] of seed 1.
    pub fn quick() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        FuzzConfig { seed: 1, executions: QUICK_EXECUTIONS, target: None, threads }
    }
}

/// What was tried and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FuzzReport {
    /// By target, in their order.
    pub targets: Vec<TargetReport>,
    /// The most memory that the process held, in KiB.
    pub peak_kib: u64,
}

/// What was tried on one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetReport {
    /// Its name.
    pub name: &'static str,
    /// Inputs tried.
    pub executions: u64,
    /// Inputs that were read; the rest were refused.
    pub read: u64,
    /// What went wrong.
    pub faults: Vec<InputFault>,
}

/// An input that should have been read or refused, and was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFault {
    /// The target's name.
    pub target: &'static str,
    /// What happened.
    pub what: String,
    /// The input, as small as it was made.
    pub input: Vec<u8>,
}

impl InputFault {
    /// The command that shows it again.
    pub fn command(&self) -> String {
        let (target, input) = (self.target, hex(&self.input));
        format!("cargo run --release -p anser-sim -- fuzz --target {target} --input {input}")
    }
}

impl FuzzReport {
    /// Whether every input was read or refused.
    pub fn is_well(&self) -> bool {
        self.faults().next().is_none()
    }

    /// What went wrong, in all targets.
    pub fn faults(&self) -> impl Iterator<Item = &InputFault> {
        self.targets.iter().flat_map(|target| &target.faults)
    }
}

/// Fuzzes.
pub fn run(config: &FuzzConfig) -> FuzzReport {
    let chosen: Vec<&'static Target> = match config.target {
        Some(target) => vec![target],
        None => TARGETS.iter().collect(),
    };
    let weights: u64 = chosen.iter().map(|target| target.weight).sum();
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(vec![None; chosen.len()]);
    let memory = Memory::now();
    std::thread::scope(|scope| {
        for _ in 0..config.threads.clamp(1, chosen.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(target) = chosen.get(index) else { return };
                    let executions = (config.executions * target.weight).div_ceil(weights);
                    let report = fuzz(target, config.seed, executions, &memory);
                    reports.lock().expect("no thread panics while it adds")[index] = Some(report);
                }
            });
        }
    });
    let reports = reports.into_inner().expect("no thread panicked while it added");
    FuzzReport { targets: reports.into_iter().flatten().collect(), peak_kib: Memory::now().resident_kib }
}

/// Gives a target one input. `Ok` says whether it was read.
///
/// # Errors
/// What should not have happened.
pub fn give(target: &Target, input: &[u8]) -> Result<bool, String> {
    caught(|| (target.check)(input)).and_then(|outcome| outcome)
}

fn fuzz(target: &'static Target, seed: u64, executions: u64, memory: &Memory) -> TargetReport {
    let mut report = TargetReport { name: target.name, executions: 0, read: 0, faults: Vec::new() };
    let mut pool = (target.corpus)();
    pool.extend(corpus::found(target.name));
    let seeds = pool.len();
    assert!(seeds > 0, "every target has a corpus");
    for number in 0..executions {
        let mut chance = Chance::of(&[seed, name_number(target.name), number]);
        let pick = |chance: &mut Chance| chance.below(pool.len() as u64) as usize;
        let input = match pool.get(number as usize).filter(|_| number < seeds as u64) {
            Some(whole) => whole.clone(),
            None => {
                let (whole, other) = (pick(&mut chance), pick(&mut chance));
                let mut input = mutate::damaged(&mut chance, &pool[whole], &pool[other], target.limit_bytes);
                (target.mend)(&mut chance, &mut input);
                input
            }
        };
        report.executions += 1;
        match give(target, &input) {
            Ok(false) => {}
            Ok(true) => {
                report.read += 1;
                if pool.len() < seeds + POOL {
                    pool.push(input);
                } else {
                    let index = seeds + chance.below(POOL as u64) as usize;
                    pool[index] = input;
                }
            }
            Err(what) => report.faults.push(shrink(target, input, what)),
        }
        if number % LOOK_EVERY == 0
            && let Some(what) = Memory::now().too_much_since(memory)
        {
            let what =
                format!("{what}, within {LOOK_EVERY} executions before number {number} of seed {seed}");
            report.faults.push(InputFault { target: target.name, what, input: Vec::new() });
        }
        if report.faults.len() >= FAULTS_KEPT {
            break;
        }
    }
    report
}

/// Drops bytes while the input still goes wrong.
fn shrink(target: &'static Target, mut input: Vec<u8>, mut what: String) -> InputFault {
    let mut size = input.len().div_ceil(2).max(1);
    let mut tries = 0;
    while tries < SHRINK_TRIES && !input.is_empty() {
        let mut from = 0;
        let mut dropped = false;
        while from < input.len() && tries < SHRINK_TRIES {
            let mut fewer = input.clone();
            fewer.drain(from..fewer.len().min(from + size));
            tries += 1;
            match give(target, &fewer) {
                Err(other) => (input, what, dropped) = (fewer, other, true),
                Ok(_) => from += size,
            }
        }
        if size == 1 && !dropped {
            break;
        }
        size = if dropped { size } else { size.div_ceil(2) };
    }
    InputFault { target: target.name, what, input }
}

/// The same number for the same name, whatever the order of the targets.
fn name_number(name: &str) -> u64 {
    name.bytes().fold(0, |number, byte| Chance::of(&[number, u64::from(byte)]).number())
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads [`hex`] back; white space is passed over.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    pairs.remainder().is_empty().then(|| pairs.map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_reads_its_corpus_and_refuses_much_of_the_rest() {
        for target in TARGETS {
            let seeds = (target.corpus)();
            let read = seeds.iter().filter(|seed| give(target, seed) == Ok(true)).count();
            assert!(read * 4 >= seeds.len(), "{} reads {read} of {} seeds", target.name, seeds.len());
        }
    }

    #[test]
    fn the_same_seed_finds_the_same_whatever_the_threads() {
        let config = FuzzConfig { executions: 20_000, ..FuzzConfig::quick() };
        let one = run(&FuzzConfig { threads: 1, ..config.clone() });
        assert!(one.is_well(), "{:#?}", one.faults().collect::<Vec<_>>());
        assert_eq!(run(&config).targets, one.targets);
        for target in &one.targets {
            assert!(target.read > 0 && target.read < target.executions, "{target:?}");
        }
    }

    #[test]
    fn a_fault_is_shrunk_and_shown_by_its_input() {
        fn check(input: &[u8]) -> Result<bool, String> {
            assert!(!input.contains(&7), "seven");
            Ok(true)
        }
        static SEVEN: Target = Target {
            name: "seven",
            weight: 1,
            limit_bytes: 64,
            corpus: || vec![vec![0; 32]],
            mend: |_, _| {},
            check,
        };
        let report = fuzz(&SEVEN, 1, 20_000, &Memory::now());
        assert_eq!(report.faults[0].input, [7]);
        assert!(report.faults[0].what.starts_with("panic: seven"), "{}", report.faults[0].what);
        assert!(report.faults[0].command().ends_with("--target seven --input 07"));
    }

    #[test]
    fn hexadecimal_reads_back() {
        assert_eq!(unhex(&hex(&[0, 255, 16])), Some(vec![0, 255, 16]));
        assert_eq!((unhex("0"), unhex("0g")), (None, None));
    }
}
