//! Which seqs of a conversation are held: islands of contiguous seqs.

/// Islands, ascending, at least one missing seq between any two.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// From saved islands, in any order.
    pub fn from_islands(islands: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut ranges = Ranges::default();
        islands.into_iter().for_each(|(low, high)| ranges.insert(low, high));
        ranges
    }

    /// The islands, ascending, both ends included.
    pub fn islands(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// Adds `low..=high`; nothing when it is empty.
    pub fn insert(&mut self, low: u64, high: u64) {
        if low > high {
            return;
        }
        // Islands that touch or overlap the new one lie in first..last.
        let first = self.0.partition_point(|&(_, island_high)| island_high.saturating_add(1) < low);
        let last = self.0.partition_point(|&(island_low, _)| island_low <= high.saturating_add(1));
        let mut merged = (low, high);
        if first < last {
            merged = (low.min(self.0[first].0), high.max(self.0[last - 1].1));
        }
        self.0.splice(first..last, [merged]);
    }

    /// Takes `low..=high` out.
    pub fn remove(&mut self, low: u64, high: u64) {
        if low > high {
            return;
        }
        for (from, to) in std::mem::take(&mut self.0) {
            if from < low {
                self.0.push((from, to.min(low - 1)));
            }
            if to > high {
                self.0.push((from.max(high + 1), to));
            }
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a seq is held.
    pub fn contains(&self, seq: u64) -> bool {
        let index = self.0.partition_point(|&(_, high)| high < seq);
        self.0.get(index).is_some_and(|&(low, _)| low <= seq)
    }

    /// The missing seqs right below `seq`, both ends included: from the end of the island below it (or
    /// `floor`) to `seq − 1`. None when `seq − 1` is held or lies below `floor`.
    pub fn gap_below(&self, seq: u64, floor: u64) -> Option<(u64, u64)> {
        let high = seq.checked_sub(1)?;
        if high < floor || self.contains(high) {
            return None;
        }
        let below = self.0.partition_point(|&(_, island_high)| island_high < high);
        let low = below.checked_sub(1).map_or(floor, |index| floor.max(self.0[index].1 + 1));
        Some((low, high))
    }

    /// Forgets everything below `seq`.
    pub fn forget_below(&mut self, seq: u64) {
        self.0.retain(|&(_, high)| high >= seq);
        if let Some(first) = self.0.first_mut() {
            first.0 = first.0.max(seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain set of seqs.
        #[test]
        fn islands_equal_a_set(inserts in prop::collection::vec((1u64..60, 0u64..8), 0..30), floor in 1u64..60) {
            let mut ranges = Ranges::default();
            let mut held = BTreeSet::new();
            for (low, length) in inserts {
                ranges.insert(low, low + length);
                held.extend(low..=low + length);
            }
            let from_islands = |ranges: &Ranges| {
                ranges.islands().iter().flat_map(|&(low, high)| low..=high).collect::<BTreeSet<_>>()
            };
            prop_assert_eq!(&from_islands(&ranges), &held);
            prop_assert!(ranges.islands().windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            for seq in 1..80 {
                prop_assert_eq!(ranges.contains(seq), held.contains(&seq));
                let missing = (floor..seq).rev().take_while(|below| !held.contains(below)).collect::<Vec<_>>();
                let expected = missing.last().map(|&low| (low, seq - 1));
                prop_assert_eq!(ranges.gap_below(seq, floor), expected);
            }
            ranges.forget_below(floor);
            held.retain(|&seq| seq >= floor);
            prop_assert_eq!(from_islands(&ranges), held);
        }
    }

    #[test]
    fn the_ends_of_the_number_line_hold() {
        let mut ranges = Ranges::default();
        ranges.insert(u64::MAX, u64::MAX);
        ranges.insert(0, 0);
        ranges.insert(5, 4);
        assert_eq!(ranges.islands(), [(0, 0), (u64::MAX, u64::MAX)]);
        ranges.insert(0, u64::MAX);
        assert_eq!(ranges.islands(), [(0, u64::MAX)]);
        assert_eq!(ranges.gap_below(0, 0), None);
    }
}
