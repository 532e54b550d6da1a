//! Membership as intervals of seq: a former member sees what lay in its intervals and nothing after.

use crate::ids::Seq;

/// Ascending, disjoint intervals of seq, both ends included; the last may be open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Intervals(Vec<(Seq, Seq)>);

/// The end of an interval that has not ended.
const OPEN: Seq = Seq(u64::MAX);

impl Intervals {
    /// Rebuilds what was stored.
    pub fn from_parts(parts: Vec<(Seq, Seq)>) -> Self {
        assert!(parts.windows(2).all(|pair| pair[0].1 < pair[1].0), "intervals ascend and do not touch");
        Intervals(parts)
    }

    /// The intervals as stored; an open end is `u64::MAX`.
    pub fn parts(&self) -> &[(Seq, Seq)] {
        &self.0
    }

    /// Membership begins: everything from `from` is visible until it ends.
    pub fn begin(&mut self, from: Seq) {
        assert!(!self.is_open(), "a member joins once");
        self.0.retain(|&(low, _)| low < from);
        match self.0.last_mut() {
            Some((_, high)) if high.next() >= from => *high = OPEN,
            _ => self.0.push((from, OPEN)),
        }
    }

    /// Membership ends with the fact at `at`, which the one removed still sees.
    pub fn end(&mut self, at: Seq) {
        assert!(self.is_open(), "only a member leaves");
        if let Some((_, high)) = self.0.last_mut() {
            *high = at;
        }
    }

    /// Whether membership goes on.
    pub fn is_open(&self) -> bool {
        self.0.last().is_some_and(|&(_, high)| high == OPEN)
    }

    /// Whether one seq is visible.
    pub fn contains(&self, seq: Seq) -> bool {
        self.0.iter().any(|&(low, high)| low <= seq && seq <= high)
    }

    /// The newest seq that is visible while the conversation's newest is `head`; 0: none.
    pub fn newest(&self, head: Seq) -> Seq {
        self.0.last().map_or(Seq(0), |&(low, high)| if low > head { Seq(0) } else { high.min(head) })
    }

    /// The oldest seq that is visible; 0: none.
    pub fn oldest(&self) -> Seq {
        self.0.first().map_or(Seq(0), |&(low, _)| low)
    }

    /// The parts of `low..=high` that are visible, ascending.
    pub fn clip(&self, low: Seq, high: Seq) -> Vec<(Seq, Seq)> {
        self.0
            .iter()
            .map(|&(from, to)| (from.max(low), to.min(high)))
            .filter(|&(from, to)| from <= to)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_who_left_and_came_back_sees_both_stays() {
        let mut seen = Intervals::default();
        seen.begin(Seq(3));
        seen.end(Seq(5));
        assert!(!seen.is_open());
        assert_eq!(seen.newest(Seq(9)), Seq(5));
        seen.begin(Seq(8));
        let visible: Vec<u64> = (1..=9).filter(|&seq| seen.contains(Seq(seq))).collect();
        assert_eq!(visible, [3, 4, 5, 8, 9]);
        assert_eq!(seen.clip(Seq(1), Seq(8)), [(Seq(3), Seq(5)), (Seq(8), Seq(8))]);
    }

    #[test]
    fn coming_back_with_visible_history_opens_everything() {
        let mut seen = Intervals::default();
        seen.begin(Seq(3));
        seen.end(Seq(5));
        seen.begin(Seq(1));
        assert_eq!(seen.parts(), [(Seq(1), Seq(u64::MAX))]);
    }
}
