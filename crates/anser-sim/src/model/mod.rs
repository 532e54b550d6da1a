//! The model: random commands against the real rules, beside a plain reading of rules and facts.
//!
//! A case is a function of its seed and number. After every command the two must agree: on whether it
//! is refused and with what, on the changes that it makes, on who is told, and on what everybody may
//! know then. A case that fails is shrunk to the commands that it takes.

mod own;
mod rules;
mod script;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anser_core::conversation::Conversation;
use anser_model::ConversationFact;

use crate::panics::caught;
use script::{Script, Step};
use world::{Outcome, World};

/// What the test command runs.
pub const QUICK_CASES: u64 = 10_000;
/// Cases that one thread takes at a time.
const CHUNK: u64 = 64;
/// Faults that a report keeps; the harness stops there.
const FAULTS_KEPT: usize = 5;

/// How much to try.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// Every case is a function of this and its number.
    pub seed: u64,
    /// The first case.
    pub first: u64,
    /// How many.
    pub cases: u64,
    /// Threads to use. The result does not depend on it, unless there are faults.
    pub threads: usize,
}

impl ModelConfig {
    /// [`QUICK_CASES`] of seed 1.
    pub fn quick() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        ModelConfig { seed: 1, first: 0, cases: QUICK_CASES, threads }
    }
}

/// What was tried and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelReport {
    /// Cases gone through.
    pub cases: u64,
    /// Commands.
    pub operations: u64,
    /// Commands that changed something.
    pub accepted: u64,
    /// Commands that asked for what was so already.
    pub unchanged: u64,
    /// Commands that were refused, by the name of the refusal.
    pub refused: BTreeMap<&'static str, u64>,
    /// Where the two differ.
    pub faults: Vec<CaseFault>,
}

/// A case in which the server and the plain maps differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseFault {
    /// The seed.
    pub seed: u64,
    /// The case.
    pub case: u64,
    /// In what they differ.
    pub what: String,
    /// The commands that it takes, in words.
    pub commands: Vec<String>,
}

impl CaseFault {
    /// The command that shows it again.
    pub fn command(&self) -> String {
        format!("cargo run --release -p anser-sim -- model --seed {} --case {}", self.seed, self.case)
    }
}

impl ModelReport {
    /// Whether the two agree.
    pub fn is_well(&self) -> bool {
        self.faults.is_empty()
    }

    fn note(&mut self, outcome: Outcome) {
        self.operations += 1;
        match outcome {
            Outcome::Accepted => self.accepted += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Refused(name) => *self.refused.entry(name).or_default() += 1,
        }
    }

    fn merge(&mut self, other: ModelReport) {
        self.cases += other.cases;
        self.operations += other.operations;
        self.accepted += other.accepted;
        self.unchanged += other.unchanged;
        for (name, count) in other.refused {
            *self.refused.entry(name).or_default() += count;
        }
        self.faults.extend(other.faults);
        self.faults.sort_by_key(|fault| fault.case);
        self.faults.truncate(FAULTS_KEPT);
    }
}

/// Goes through the cases.
pub fn run(config: &ModelConfig) -> ModelReport {
    let end = config.first.saturating_add(config.cases);
    let next = AtomicU64::new(config.first);
    let whole = Mutex::new(ModelReport::default());
    std::thread::scope(|scope| {
        for _ in 0..config.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let from = next.fetch_add(CHUNK, Ordering::Relaxed);
                    if from >= end {
                        return;
                    }
                    let mut part = ModelReport::default();
                    for case in from..end.min(from + CHUNK) {
                        play(config.seed, case, &mut part);
                    }
                    let mut whole = whole.lock().expect("no thread panics while it adds");
                    whole.merge(part);
                    if whole.faults.len() >= FAULTS_KEPT {
                        return;
                    }
                }
            });
        }
    });
    whole.into_inner().expect("no thread panicked while it added")
}

/// One case, from its script.
fn play(seed: u64, case: u64, report: &mut ModelReport) {
    report.cases += 1;
    let mut script = Script::new(seed, case);
    let mut world = World::default();
    let mut steps = Vec::new();
    while let Some(step) = script.next(&world.plain) {
        steps.push(step);
        let last = steps.last().expect("just added");
        match take(&mut world, last) {
            Ok(outcome) => report.note(outcome),
            Err(_) => {
                let (steps, what) = shrink(steps);
                let commands = steps.iter().map(Step::to_string).collect();
                report.faults.push(CaseFault { seed, case, what, commands });
                return;
            }
        }
    }
}

fn take(world: &mut World, step: &Step) -> Result<Outcome, String> {
    caught(|| world.step(step)).and_then(|outcome| outcome)
}

/// What some cases came to: facts and conversations for those who need well-formed ones.
pub(crate) fn samples(seed: u64, cases: u64) -> (Vec<ConversationFact>, Vec<Conversation>) {
    let mut facts = Vec::new();
    let mut conversations = Vec::new();
    for case in 0..cases {
        let mut script = Script::new(seed, case);
        let mut world = World::default();
        while let Some(step) = script.next(&world.plain) {
            world.step(&step).expect("a sample is of a case that is well");
        }
        let known = world.plain.conversations().flat_map(|known| known.facts());
        facts.extend(known.map(|(_, fact)| fact.clone()));
        conversations.extend(world.into_states());
    }
    (facts, conversations)
}

/// What goes wrong in these steps, if it does.
fn wrong(steps: &[Step]) -> Option<String> {
    let mut world = World::default();
    steps.iter().find_map(|step| take(&mut world, step).err())
}

/// Drops commands while what is left still goes wrong: halves first, single ones last.
fn shrink(mut steps: Vec<Step>) -> (Vec<Step>, String) {
    let mut what = wrong(&steps).expect("a case goes wrong each time");
    let mut size = steps.len().div_ceil(2);
    loop {
        let mut from = 0;
        let mut dropped = false;
        while from < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(from..fewer.len().min(from + size));
            match wrong(&fewer) {
                Some(other) => (steps, what, dropped) = (fewer, other, true),
                None => from += size,
            }
        }
        if size == 1 && !dropped {
            return (steps, what);
        }
        size = if dropped { size } else { size.div_ceil(2) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_reached_and_kept() {
        let config = ModelConfig { cases: 400, ..ModelConfig::quick() };
        let report = run(&config);
        assert!(report.is_well(), "{:#?}", report.faults);
        assert_eq!(report.cases, 400);
        let refused: Vec<&str> = report.refused.keys().copied().collect();
        assert_eq!(
            refused,
            [
                "already member",
                "beyond head",
                "edit too late",
                "foreign timeline",
                "no longer member",
                "no such member",
                "not allowed",
                "not found",
                "nothing to reply to",
                "recall too late",
                "too many members",
                "wrong kind",
            ]
        );
        assert!(report.accepted * 4 > report.operations, "{report:?}");
        assert!(report.unchanged > 0);
        assert_eq!(run(&ModelConfig { threads: 1, ..config }), report, "threads change nothing");
    }

    #[test]
    fn a_failing_case_is_shrunk_to_what_it_takes() {
        let mut script = Script::new(1, 0);
        let mut world = World::default();
        let mut steps = Vec::new();
        while let Some(step) = script.next(&world.plain) {
            take(&mut world, &step).expect("the case is well");
            steps.push(step);
        }
        assert_eq!(wrong(&steps), None);
        // A creation that comes twice is answered before the rules are asked, so they may panic.
        let creation =
            steps.iter().find(|step| step.to_string().contains(" makes group ")).expect("there is one");
        steps.push(creation.clone());
        let (left, what) = shrink(steps);
        assert!(what.contains("a retried creation is answered as a duplicate"), "{what}");
        assert_eq!(left.len(), 2, "{left:#?}");
    }
}
