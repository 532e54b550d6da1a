//! The merged cursor: how far this client has come in each slot, and which slots still owe it heads.

use std::collections::BTreeMap;

use anser_model::{N, Slot, Timeline, planted};
use anser_proto::v1;

/// A set of slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotSet([u64; 4]);

impl SlotSet {
    /// Every slot.
    pub const ALL: SlotSet = SlotSet([u64::MAX; 4]);

    /// Puts a slot in.
    pub fn insert(&mut self, slot: Slot) {
        self.0[slot.index() / 64] |= 1 << (slot.index() % 64);
    }

    /// Takes a slot out; whether it was in.
    pub fn remove(&mut self, slot: Slot) -> bool {
        let was_in = self.contains(slot);
        self.0[slot.index() / 64] &= !(1 << (slot.index() % 64));
        was_in
    }

    /// Whether a slot is in.
    pub fn contains(&self, slot: Slot) -> bool {
        self.0[slot.index() / 64] & (1 << (slot.index() % 64)) != 0
    }

    /// Whether no slot is in.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// What is in either.
    pub fn union(self, other: SlotSet) -> SlotSet {
        let mut both = self;
        both.0.iter_mut().zip(other.0).for_each(|(mine, other)| *mine |= other);
        both
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = SlotSet::default();
        slots.into_iter().for_each(|slot| set.insert(slot));
        set
    }
}

/// For each slot, the largest n of which the client has everything.
///
/// Events and answers move it, but never in a slot that owes its heads: what it was missing before
/// them would be skipped for ever.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MergedCursor {
    timeline: Timeline,
    slots: BTreeMap<Slot, N>,
    owing: SlotSet,
}

impl MergedCursor {
    /// What was saved. Numbers that are no slots are left out.
    pub fn from_wire(wire: &v1::Cursor) -> Self {
        let slots =
            wire.slots.iter().filter_map(|(&slot, &n)| Some((anser_proto::wire::slot(slot).ok()?, N(n))));
        MergedCursor { timeline: Timeline(wire.timeline), slots: slots.collect(), owing: SlotSet::default() }
    }

    /// As Hello and Sync carry it.
    pub fn to_wire(&self) -> v1::Cursor {
        let slots = self.slots.iter().map(|(slot, n)| (u32::from(slot.0), n.0)).collect();
        v1::Cursor { timeline: self.timeline.0, slots }
    }

    /// The history that it counts in; 0 before the first Welcome.
    pub fn timeline(&self) -> Timeline {
        self.timeline
    }

    /// How far the client has come in a slot.
    pub fn n(&self, slot: Slot) -> N {
        self.slots.get(&slot).copied().unwrap_or_default()
    }

    /// Whether a slot owes its heads.
    pub fn owes(&self, slot: Slot) -> bool {
        self.owing.contains(slot)
    }

    /// Whether no slot owes anything.
    pub fn is_settled(&self) -> bool {
        self.owing.is_empty()
    }

    /// The server named these slots, and no others, as owing.
    pub fn set_owing(&mut self, owing: SlotSet) {
        self.owing = owing;
    }

    /// Events of these slots may have been missed.
    pub fn add_owing(&mut self, slots: SlotSet) {
        self.owing = self.owing.union(slots);
    }

    /// An event or an answer reported fact `n`. Whether the cursor moved.
    pub fn observe(&mut self, slot: Slot, n: N) -> bool {
        let owes = self.owes(slot) && !planted!(CursorBeforeSynced);
        if owes || n <= self.n(slot) {
            return false;
        }
        self.slots.insert(slot, n);
        true
    }

    /// The slot has said everything up to `n`. If it owed, this is its cursor even where the old one
    /// was larger: then the old one was of no use to the server.
    pub fn settle(&mut self, slot: Slot, n: N) {
        if self.owing.remove(slot) || n > self.n(slot) {
            self.slots.insert(slot, n);
        }
    }

    /// Another history begins: nothing of the old one counts.
    pub fn restart(&mut self, timeline: Timeline) {
        *self = MergedCursor { timeline, ..MergedCursor::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_n_counts() {
        let mut cursor = MergedCursor::default();
        assert!(cursor.observe(Slot(3), N(5)));
        assert!(!cursor.observe(Slot(3), N(4)));
        assert_eq!(cursor.n(Slot(3)), N(5));
        assert_eq!(cursor.n(Slot(200)), N(0));
    }

    #[test]
    fn nothing_moves_a_slot_that_owes() {
        let mut cursor = MergedCursor::default();
        cursor.set_owing([Slot(3), Slot(255)].into_iter().collect());
        assert!(!cursor.observe(Slot(3), N(9)));
        assert!(cursor.observe(Slot(4), N(9)));
        cursor.settle(Slot(3), N(7));
        assert!(!cursor.is_settled() && cursor.owes(Slot(255)));
        assert!(cursor.observe(Slot(3), N(8)));
        cursor.settle(Slot(255), N(0));
        assert!(cursor.is_settled());
    }

    #[test]
    fn a_settled_slot_may_step_back_only_when_it_owed() {
        let mut cursor = MergedCursor::default();
        cursor.observe(Slot(1), N(90));
        cursor.settle(Slot(1), N(80));
        assert_eq!(cursor.n(Slot(1)), N(90));
        cursor.add_owing(SlotSet::ALL);
        cursor.settle(Slot(1), N(80));
        assert_eq!(cursor.n(Slot(1)), N(80));
    }

    #[test]
    fn it_reads_back_and_forgets_another_history() {
        let mut cursor = MergedCursor::default();
        cursor.restart(Timeline(4));
        cursor.observe(Slot(0), N(1));
        assert_eq!(MergedCursor::from_wire(&cursor.to_wire()), cursor);
        cursor.restart(Timeline(5));
        assert_eq!(cursor.n(Slot(0)), N(0));
    }
}
