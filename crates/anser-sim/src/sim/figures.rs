//! What a run, or many of them, came to in figures.

use std::collections::BTreeMap;

use super::coverage::Coverage;

/// What happened, added up.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Simulated milliseconds, without those passed over.
    pub simulated_ms: u64,
    /// Milliseconds passed over in long absences.
    pub passed_ms: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// States reached.
    pub coverage: Coverage,
    /// Slots that came to another core.
    pub owner_changes: u64,
    /// Things done by people.
    pub acts: u64,
    /// Facts that became durable.
    pub facts: u64,
    /// Connections of devices.
    pub connections: u64,
}

impl Figures {
    /// Adds those of another run.
    pub fn add(&mut self, other: Figures) {
        self.simulated_ms += other.simulated_ms;
        self.passed_ms += other.passed_ms;
        for (fault, count) in other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        self.coverage.add(&other.coverage);
        self.owner_changes += other.owner_changes;
        self.acts += other.acts;
        self.facts += other.facts;
        self.connections += other.connections;
    }
}
