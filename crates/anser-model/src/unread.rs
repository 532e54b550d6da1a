//! Unread counts: a function of the log, never a counter that drifts.
//!
//! unread = ordinal(head) − ordinal(base) − the member's own countable sends past the base.

use crate::ids::{Ordinal, Seq};
use crate::limits::{OWN_SENDS_KEPT, UNREAD_MENTIONS_KEPT};
use crate::planted;

/// What a member's unread count follows from, besides the head.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unread {
    /// Everything up to here counts as read: the largest of mark, join and cap.
    base: Seq,
    /// Countable messages up to the base.
    base_ordinal: Ordinal,
    /// Own countable sends past the base, ascending, at most [`OWN_SENDS_KEPT`].
    own_sends: Vec<(Seq, Ordinal)>,
    /// Messages past the base that mention the member by name, ascending: the newest
    /// [`UNREAD_MENTIONS_KEPT`] of them.
    mentions: Vec<Seq>,
}

impl Unread {
    /// Rebuilds what was stored.
    pub fn from_parts(
        base: Seq,
        base_ordinal: Ordinal,
        own_sends: Vec<(Seq, Ordinal)>,
        mentions: Vec<Seq>,
    ) -> Self {
        debug_assert!(own_sends.is_sorted() && mentions.is_sorted());
        Unread { base, base_ordinal, own_sends, mentions }
    }

    /// The base.
    pub fn base(&self) -> Seq {
        self.base
    }

    /// Countable messages up to the base.
    pub fn base_ordinal(&self) -> Ordinal {
        self.base_ordinal
    }

    /// Own countable sends past the base.
    pub fn own_sends(&self) -> &[(Seq, Ordinal)] {
        &self.own_sends
    }

    /// Messages past the base that mention the member by name.
    pub fn mentions(&self) -> &[Seq] {
        &self.mentions
    }

    /// Somebody else's message mentions the member by name.
    pub fn mentioned(&mut self, seq: Seq) {
        assert!(self.mentions.last().is_none_or(|&last| last <= seq), "messages arrive in order");
        if seq > self.base && self.mentions.last() != Some(&seq) {
            self.mentions.push(seq);
            let excess = self.mentions.len().saturating_sub(UNREAD_MENTIONS_KEPT);
            self.mentions.drain(..excess);
        }
    }

    /// Moves the base up to `seq`; never back.
    pub fn raise_base(&mut self, seq: Seq, ordinal: Ordinal) {
        if seq > self.base {
            assert!(ordinal >= self.base_ordinal, "ordinals grow with seqs");
            self.base = seq;
            self.base_ordinal = ordinal;
            self.own_sends.retain(|&(own, _)| own > seq);
            if !planted!(MentionsOutliveMark) {
                self.mentions.retain(|&mention| mention > seq);
            }
        }
    }

    /// The member itself sent a countable message.
    pub fn own_send(&mut self, seq: Seq, ordinal: Ordinal) {
        assert!(self.own_sends.last().is_none_or(|&(last, _)| last < seq), "sends arrive in order");
        if seq <= self.base {
            return;
        }
        self.own_sends.push((seq, ordinal));
        if self.own_sends.len() > OWN_SENDS_KEPT {
            let (cap, cap_ordinal) = self.own_sends[0];
            self.raise_base(cap, cap_ordinal);
        }
    }

    /// How many messages are unread while the conversation's newest ordinal is `head`.
    pub fn count(&self, head: Ordinal) -> u64 {
        let past_base = head.0.checked_sub(self.base_ordinal.0).expect("the base never passes the head");
        past_base.checked_sub(self.own_sends.len() as u64).expect("own sends past the base are counted in it")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Other,
        Own,
        System,
        Read(u64),
    }

    proptest! {
        /// Against a recount of everything past the base.
        #[test]
        fn count_equals_a_recount(steps in prop::collection::vec(
            prop_oneof![
                4 => Just(Step::Other), 3 => Just(Step::Own), 1 => Just(Step::System),
                1 => (0u64..200).prop_map(Step::Read)
            ], 0..200))
        {
            let mut unread = Unread::default();
            let mut log: Vec<(bool, bool)> = Vec::new(); // (countable, own)
            let mut mark = 0usize;
            for step in steps {
                let ordinal = |log: &[(bool, bool)], to: usize| Ordinal(log[..to].iter().filter(|e| e.0).count() as u64);
                match step {
                    Step::Other => log.push((true, false)),
                    Step::System => log.push((false, false)),
                    Step::Own => {
                        log.push((true, true));
                        unread.own_send(Seq(log.len() as u64), ordinal(&log, log.len()));
                    }
                    Step::Read(to) => {
                        mark = mark.max((to as usize).min(log.len()));
                        unread.raise_base(Seq(mark as u64), ordinal(&log, mark));
                    }
                }
                let base = unread.base().0 as usize;
                prop_assert!(base >= mark);
                let expected = log[base..].iter().filter(|&&(countable, own)| countable && !own).count() as u64;
                prop_assert_eq!(unread.count(ordinal(&log, log.len())), expected);
                prop_assert!(unread.own_sends().len() <= OWN_SENDS_KEPT);
            }
        }
    }
}
