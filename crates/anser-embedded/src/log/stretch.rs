//! Stretches of the log that were read and checked, filed by slot. When all slots replay the same end
//! of the log, it is read and checked once and not 256 times.

use std::collections::VecDeque;
use std::sync::Arc;

use anser_core::record::Record;
use anser_model::{N, Slot};

/// Bytes of stretches that are kept: two segments, which is seconds of full load.
const KEPT_BYTES: u64 = 128 * 1024 * 1024;

/// The records of one stretch of one segment.
pub(crate) struct Stretch {
    /// Of the segment.
    pub number: u64,
    pub start: u64,
    pub stop: u64,
    /// By slot, then by n.
    records: Vec<Record>,
}

impl Stretch {
    /// `records` in log order.
    pub fn new(number: u64, (start, stop): (u64, u64), mut records: Vec<Record>) -> Self {
        records.sort_by_key(|record| record.header.slot);
        Stretch { number, start, stop, records }
    }

    /// Itself, if the records of each slot follow one another.
    pub fn in_order(self) -> Result<Self, String> {
        for pair in self.records.windows(2) {
            let (before, after) = (&pair[0].header, &pair[1].header);
            if before.slot == after.slot && after.first_n != before.last_n().next() {
                return Err(format!("n {} of slot {} is missing", before.last_n().next(), before.slot));
            }
        }
        Ok(self)
    }

    /// Its records of `slot` from the one that holds `from` on.
    pub fn of(&self, slot: Slot, from: N) -> &[Record] {
        let below = |record: &Record| (record.header.slot, record.header.last_n()) < (slot, from);
        let rest = &self.records[self.records.partition_point(below)..];
        &rest[..rest.partition_point(|record| record.header.slot == slot)]
    }
}

/// The stretches read last.
#[derive(Default)]
pub(crate) struct Stretches {
    /// Oldest first.
    kept: VecDeque<Arc<Stretch>>,
    bytes: u64,
}

impl Stretches {
    /// The one that covers exactly this.
    pub fn get(&self, number: u64, (start, stop): (u64, u64)) -> Option<Arc<Stretch>> {
        let covers = |kept: &&Arc<Stretch>| (kept.number, kept.start, kept.stop) == (number, start, stop);
        self.kept.iter().find(covers).cloned()
    }

    pub fn keep(&mut self, stretch: Arc<Stretch>) {
        self.bytes += stretch.stop - stretch.start;
        self.kept.push_back(stretch);
        while self.bytes > KEPT_BYTES {
            let oldest = self.kept.pop_front().expect("what has bytes is there");
            self.bytes -= oldest.stop - oldest.start;
        }
    }

    pub fn forget(&mut self) {
        *self = Stretches::default();
    }
}

#[cfg(test)]
mod tests {
    use anser_core::record::RecordHeader;
    use anser_model::{Reign, Timeline};
    use bytes::Bytes;

    use super::*;

    fn record(slot: u8, first_n: u64, count: u32) -> Record {
        let header = RecordHeader {
            timeline: Timeline(1),
            slot: Slot(slot),
            reign: Reign(1),
            opens_after: None,
            first_n: N(first_n),
            count,
            must_understand: false,
        };
        Record { header, payload: Bytes::new() }
    }

    #[test]
    fn a_slot_gets_its_own_records_from_the_one_that_holds_n() {
        let all = [record(7, 1, 3), record(3, 9, 1), record(7, 4, 2), record(255, 1, 1), record(3, 10, 5)];
        let stretch = Stretch::new(1, (0, 1), all.to_vec());
        assert_eq!(stretch.of(Slot(7), N(1)), [record(7, 1, 3), record(7, 4, 2)]);
        assert_eq!(stretch.of(Slot(7), N(4)), [record(7, 4, 2)]);
        assert_eq!(stretch.of(Slot(7), N(5)), [record(7, 4, 2)]);
        assert_eq!(stretch.of(Slot(7), N(6)), []);
        assert_eq!(stretch.of(Slot(3), N(12)), [record(3, 10, 5)]);
        assert_eq!(stretch.of(Slot(0), N(1)), []);
        assert_eq!(stretch.of(Slot(255), N(1)), [record(255, 1, 1)]);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut stretches = Stretches::default();
        let part = KEPT_BYTES / 4;
        for number in 1..=6 {
            stretches.keep(Arc::new(Stretch::new(number, (0, part), Vec::new())));
        }
        let there = |number| stretches.get(number, (0, part)).is_some();
        assert_eq!((1..=6).map(there).collect::<Vec<_>>(), [false, false, true, true, true, true]);
        assert!(stretches.get(6, (0, part - 1)).is_none(), "the end of the log has grown since");
    }
}
