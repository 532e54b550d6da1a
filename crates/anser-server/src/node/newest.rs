//! How far each slot has come, for whoever wants to know at once.

use std::sync::atomic::{AtomicU64, Ordering};

use anser_model::{N, Slot};

/// No n is as large.
const UNKNOWN: u64 = u64::MAX;

/// n of the newest fact decided, of each slot. A worker writes it before the fact is handed to the log, and so before it
/// looks up whom to tell: who enters the routing and then reads it is sent every fact above what it reads.
pub(super) struct Newest([AtomicU64; Slot::COUNT]);

impl Default for Newest {
    fn default() -> Self {
        Newest([const { AtomicU64::new(UNKNOWN) }; Slot::COUNT])
    }
}

impl Newest {
    pub(super) fn set(&self, slot: Slot, n: N) {
        self.0[slot.index()].store(n.0, Ordering::Release);
    }

    /// None while nobody rules the slot.
    pub(super) fn get(&self, slot: Slot) -> Option<N> {
        let n = self.0[slot.index()].load(Ordering::Acquire);
        (n != UNKNOWN).then_some(N(n))
    }
}
