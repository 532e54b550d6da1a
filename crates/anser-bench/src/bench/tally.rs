//! Whether everybody was delivered everything that was acknowledged, once and in order: for conversations of
//! many, in a few bytes for each member.

use crate::talk::Faults;

/// What was acknowledged in one conversation, and what each member was delivered.
#[derive(Debug, Clone)]
pub struct Tally {
    acknowledged: Sum,
    /// Of those that each member said itself, and is not delivered.
    own: Vec<Sum>,
    delivered: Vec<Sum>,
    last_seq: Vec<u64>,
    reordered: u64,
}

/// Messages, as how many they are and a sum over which of them stands where: two runs that differ in one message,
/// or in its place, have different sums but for one case in 2^64.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    marks: u64,
}

impl Sum {
    fn add(&mut self, tag: u64, seq: u64) {
        self.count += 1;
        // The finaliser of SplitMix64: every bit of both numbers moves every bit of the mark.
        let mut mixed = tag.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seq.rotate_left(32);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        self.marks = self.marks.wrapping_add(mixed ^ (mixed >> 31));
    }

    fn without(self, other: Sum) -> Sum {
        Sum { count: self.count - other.count, marks: self.marks.wrapping_sub(other.marks) }
    }
}

impl Tally {
    /// Of so many members, by whom nothing was said yet.
    pub fn new(members: usize) -> Tally {
        Tally {
            acknowledged: Sum::default(),
            own: vec![Sum::default(); members],
            delivered: vec![Sum::default(); members],
            last_seq: vec![0; members],
            reordered: 0,
        }
    }

    /// A member's message was acknowledged at this seq.
    pub fn acknowledge(&mut self, author: usize, tag: u64, seq: u64) {
        self.acknowledged.add(tag, seq);
        self.own[author].add(tag, seq);
    }

    /// A message came to a member.
    pub fn deliver(&mut self, member: usize, tag: u64, seq: u64) {
        self.delivered[member].add(tag, seq);
        if seq <= self.last_seq[member] {
            self.reordered += 1;
        }
        self.last_seq[member] = self.last_seq[member].max(seq);
    }

    /// How many deliveries are still to come.
    pub fn missing(&self) -> u64 {
        let owed = |(own, delivered): (&Sum, &Sum)| {
            (self.acknowledged.count - own.count).saturating_sub(delivered.count)
        };
        self.own.iter().zip(&self.delivered).map(owed).sum()
    }

    /// What went wrong. A message that differs from what was acknowledged counts as lost.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults { reordered: self.reordered, ..Faults::default() };
        for (own, delivered) in self.own.iter().zip(&self.delivered) {
            let owed = self.acknowledged.without(*own);
            faults.doubled += delivered.count.saturating_sub(owed.count);
            faults.lost += owed.count.saturating_sub(delivered.count);
            faults.lost += u64::from(owed.count == delivered.count && owed.marks != delivered.marks);
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Tally {
        let mut tally = Tally::new(3);
        for (author, tag, seq) in [(0, 10, 2), (1, 11, 3), (0, 12, 4)] {
            tally.acknowledge(author, tag, seq);
        }
        for (member, tag, seq) in [(1, 10, 2), (2, 10, 2), (0, 11, 3), (2, 11, 3), (1, 12, 4)] {
            tally.deliver(member, tag, seq);
        }
        tally
    }

    #[test]
    fn everything_once_and_in_order_is_no_fault() {
        let mut tally = said();
        assert_eq!(tally.missing(), 1);
        tally.deliver(2, 12, 4);
        assert_eq!((tally.missing(), tally.faults()), (0, Faults::default()));
    }

    #[test]
    fn a_lost_one_a_doubled_one_and_another_one_are_noticed() {
        assert_eq!(said().faults(), Faults { lost: 1, ..Faults::default() });
        let mut tally = said();
        tally.deliver(2, 12, 4);
        tally.deliver(2, 12, 4);
        assert_eq!(tally.faults(), Faults { doubled: 1, reordered: 1, lost: 0 });
        let mut tally = said();
        tally.deliver(2, 13, 4);
        assert_eq!(tally.faults(), Faults { lost: 1, ..Faults::default() });
        let mut tally = said();
        tally.deliver(2, 12, 5);
        assert_eq!(tally.faults(), Faults { lost: 1, ..Faults::default() }, "at another place");
    }

    #[test]
    fn what_changed_places_is_noticed() {
        let mut tally = Tally::new(2);
        tally.acknowledge(0, 1, 2);
        tally.acknowledge(0, 2, 3);
        tally.deliver(1, 2, 3);
        tally.deliver(1, 1, 2);
        assert_eq!(tally.faults(), Faults { reordered: 1, ..Faults::default() });
    }
}
