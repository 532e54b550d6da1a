//! The last n and the reign in force of all 256 slots.

use anser_core::record::RecordHeader;
use anser_model::{N, Reign, Slot};

/// A position of the whole log.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Heads(Box<[(N, Reign)]>);

impl Heads {
    /// Before anything was written.
    pub fn empty() -> Self {
        Heads(vec![(N(0), Reign(0)); Slot::COUNT].into_boxed_slice())
    }

    pub fn from_slots(slots: impl Iterator<Item = (N, Reign)>) -> Self {
        let heads = Heads(slots.collect());
        assert_eq!(heads.0.len(), Slot::COUNT, "every slot has a head");
        heads
    }

    pub fn last(&self, slot: Slot) -> N {
        self.0[slot.index()].0
    }

    pub fn reign(&self, slot: Slot) -> Reign {
        self.0[slot.index()].1
    }

    pub fn iter(&self) -> impl Iterator<Item = (N, Reign)> {
        self.0.iter().copied()
    }

    pub fn admits(&self, header: &RecordHeader) -> bool {
        header.follows(self.reign(header.slot), self.last(header.slot))
    }

    /// Moves on by a record that [`Heads::admits`].
    pub fn apply(&mut self, header: &RecordHeader) {
        assert!(self.admits(header), "only a record that follows is counted");
        self.0[header.slot.index()] = (header.last_n(), header.reign);
    }
}
