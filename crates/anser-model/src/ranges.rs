//! Runs of seqs that one member has hidden from itself.

use crate::ids::Seq;

/// Ascending runs of seqs, both ends included, with at least one seq between any two.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeqRanges(Vec<(Seq, Seq)>);

impl SeqRanges {
    /// Rebuilds what was stored. `None` where no writer makes such a list.
    pub fn from_parts(parts: Vec<(Seq, Seq)>) -> Option<Self> {
        let proper = parts.iter().all(|&(low, high)| Seq(0) < low && low <= high && high < Seq(u64::MAX));
        let apart = parts.windows(2).all(|pair| pair[0].1.next() < pair[1].0);
        (proper && apart).then_some(SeqRanges(parts))
    }

    /// Ranges in any order, each from 1 on, as runs.
    pub fn gather(ranges: &[(Seq, Seq)]) -> Self {
        let mut gathered = SeqRanges::default();
        ranges.iter().for_each(|&(low, high)| gathered.insert(low, high));
        gathered
    }

    /// The runs as stored.
    pub fn parts(&self) -> &[(Seq, Seq)] {
        &self.0
    }

    /// How many runs there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds `low..=high`. Runs that touch become one.
    pub fn insert(&mut self, low: Seq, high: Seq) {
        assert!(Seq(0) < low && low <= high && high < Seq(u64::MAX), "a range of seqs that exist");
        let first = self.0.partition_point(|&(_, to)| to.next() < low);
        let last = self.0.partition_point(|&(from, _)| from <= high.next());
        let merged = match self.0[first..last] {
            [] => (low, high),
            [(from, _), ..] => (low.min(from), high.max(self.0[last - 1].1)),
        };
        self.0.splice(first..last, [merged]);
    }

    /// Takes everything up to `seq` out.
    pub fn remove_up_to(&mut self, seq: Seq) {
        self.0.retain(|&(_, high)| high > seq);
        if let Some((low, _)) = self.0.first_mut() {
            *low = (*low).max(seq.next());
        }
    }

    /// Whether a seq is in one of them.
    pub fn contains(&self, seq: Seq) -> bool {
        self.covers(seq, seq)
    }

    /// Whether all of `low..=high` is in one of them.
    pub fn covers(&self, low: Seq, high: Seq) -> bool {
        let at = self.0.partition_point(|&(_, to)| to < low);
        self.0.get(at).is_some_and(|&(from, to)| from <= low && high <= to)
    }

    /// What is left of ascending ranges without these runs.
    pub fn cut_out_of(&self, ranges: Vec<(Seq, Seq)>) -> Vec<(Seq, Seq)> {
        if self.0.is_empty() {
            return ranges;
        }
        let mut left = Vec::with_capacity(ranges.len());
        for (mut low, high) in ranges {
            let first = self.0.partition_point(|&(_, to)| to < low);
            for &(from, to) in self.0[first..].iter().take_while(|&&(from, _)| from <= high) {
                if low < from {
                    left.push((low, Seq(from.0 - 1)));
                }
                low = to.next();
            }
            if low <= high {
                left.push((low, high));
            }
        }
        left
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
        fn runs_are_a_set_of_seqs(
            ranges in prop::collection::vec((1u64..60, 0u64..9), 0..30),
            asked in prop::collection::vec((1u64..60, 0u64..20), 0..4),
            up_to in 0u64..70)
        {
            let ranges: Vec<(Seq, Seq)> = ranges.iter().map(|&(low, more)| (Seq(low), Seq(low + more))).collect();
            let mut runs = SeqRanges::gather(&ranges);
            let mut set: BTreeSet<u64> = ranges.iter().flat_map(|&(low, high)| low.0..=high.0).collect();
            for _ in 0..2 {
                prop_assert_eq!(SeqRanges::from_parts(runs.parts().to_vec()), Some(runs.clone()));
                for seq in 1..80 {
                    prop_assert_eq!(runs.contains(Seq(seq)), set.contains(&seq));
                }
                for &(low, more) in &asked {
                    let (low, high) = (low, low + more);
                    prop_assert_eq!(runs.covers(Seq(low), Seq(high)), (low..=high).all(|seq| set.contains(&seq)));
                    let left = runs.cut_out_of(vec![(Seq(low), Seq(high)), (Seq(high + 2), Seq(high + 9))]);
                    let left: Vec<u64> = left.iter().flat_map(|&(low, high)| low.0..=high.0).collect();
                    let asked = (low..=high).chain(high + 2..=high + 9);
                    prop_assert_eq!(left, asked.filter(|seq| !set.contains(seq)).collect::<Vec<_>>());
                }
                runs.remove_up_to(Seq(up_to));
                set.retain(|&seq| seq > up_to);
            }
        }
    }

    #[test]
    fn lists_that_no_writer_makes_are_refused() {
        let from = |parts: &[(u64, u64)]| {
            SeqRanges::from_parts(parts.iter().map(|&(low, high)| (Seq(low), Seq(high))).collect())
        };
        assert!(from(&[(1, 1), (3, 9)]).is_some());
        for impossible in [&[(0, 1)][..], &[(3, 2)], &[(1, 2), (3, 4)], &[(5, 6), (1, 2)], &[(1, u64::MAX)]] {
            assert_eq!(from(impossible), None, "{impossible:?}");
        }
    }
}
