//! The unread count of one conversation, kept exact by events between two heads.

use anser_model::limits::{OWN_SENDS_KEPT, UNREAD_MENTIONS_KEPT};
use anser_proto::v1;

/// unread = ordinal of the head − ordinal of the base − own sends past the base.
///
/// The server computes the same; here nothing panics, because the numbers come from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unread {
    base_seq: u64,
    base_ordinal: u64,
    /// (seq, ordinal) of own countable sends past the base, ascending; ordinal 0: not told.
    own_sends: Vec<(u64, u64)>,
    /// Messages past the base that mention the owner by name, ascending.
    mentions: Vec<u64>,
    /// The newest message past the base by which somebody else mentions everybody; 0: none.
    mention_all: u64,
}

impl Unread {
    /// As a head tells it.
    pub fn from_head(head: &v1::Head) -> Self {
        let ordinals = head.own_send_ordinals.iter().copied().chain(std::iter::repeat(0));
        let mut own_sends = head.own_sends.iter().copied().zip(ordinals).collect::<Vec<_>>();
        own_sends.retain(|&(seq, _)| seq > head.base_seq);
        own_sends.sort_unstable();
        own_sends.dedup_by_key(|&mut (seq, _)| seq);
        let mut mentions = head.mentions.clone();
        mentions.retain(|&seq| seq > head.base_seq);
        mentions.sort_unstable();
        mentions.dedup();
        Unread {
            base_seq: head.base_seq,
            base_ordinal: head.base_ordinal,
            own_sends,
            mentions,
            mention_all: head.mention_all_seq,
        }
    }

    /// Writes it into a head.
    pub fn write_to(&self, head: &mut v1::Head) {
        head.base_seq = self.base_seq;
        head.base_ordinal = self.base_ordinal;
        head.own_sends = self.own_sends.iter().map(|&(seq, _)| seq).collect();
        head.own_send_ordinals = self.own_sends.iter().map(|&(_, ordinal)| ordinal).collect();
        head.unread = self.count(head.ordinal);
        head.mentions.clone_from(&self.mentions);
        head.mention_all_seq = self.mention_all;
    }

    /// Everything up to `seq` counts as read; never back.
    pub fn raise_base(&mut self, seq: u64, ordinal: u64) {
        if seq > self.base_seq {
            self.base_seq = seq;
            self.base_ordinal = ordinal;
            self.own_sends.retain(|&(own, _)| own > seq);
            self.mentions.retain(|&mention| mention > seq);
            if self.mention_all <= seq {
                self.mention_all = 0;
            }
        }
    }

    /// Unread messages that mention the owner by name.
    pub fn mentions(&self) -> &[u64] {
        &self.mentions
    }

    /// The newest unread message by which somebody else mentions everybody.
    pub fn mention_all(&self) -> Option<u64> {
        (self.mention_all > 0).then_some(self.mention_all)
    }

    /// Somebody else's message at `seq` mentions the owner by name, or everybody.
    pub fn mentioned(&mut self, seq: u64, by_name: bool, all: bool) {
        if seq <= self.base_seq {
            return;
        }
        if by_name && self.mentions.last().is_none_or(|&last| last < seq) {
            self.mentions.push(seq);
            let excess = self.mentions.len().saturating_sub(UNREAD_MENTIONS_KEPT);
            self.mentions.drain(..excess);
        }
        if all {
            self.mention_all = self.mention_all.max(seq);
        }
    }

    /// The owner is no member any more: a mention of everybody is not for it.
    pub fn part(&mut self) {
        self.mention_all = 0;
    }

    /// One of one's own devices sent a countable message.
    pub fn own_send(&mut self, seq: u64, ordinal: u64) {
        let known = self.own_sends.last().is_some_and(|&(last, _)| last >= seq);
        if seq <= self.base_seq || known {
            return;
        }
        self.own_sends.push((seq, ordinal));
        if self.own_sends.len() <= OWN_SENDS_KEPT {
            return;
        }
        match self.own_sends[0] {
            // An older server did not tell where it stands: count it into the base, which leaves the
            // number as it is.
            (_, 0) => {
                self.own_sends.remove(0);
                self.base_ordinal = self.base_ordinal.saturating_add(1);
            }
            (cap, cap_ordinal) => self.raise_base(cap, cap_ordinal),
        }
    }

    /// How many are unread while the newest ordinal is `head_ordinal`.
    pub fn count(&self, head_ordinal: u64) -> u64 {
        head_ordinal.saturating_sub(self.base_ordinal).saturating_sub(self.own_sends.len() as u64)
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
        Uncounted,
        Read(u64),
        /// Rebuild from the head that a server would send now.
        Head,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Other),
            4 => Just(Step::Own),
            1 => Just(Step::Uncounted),
            1 => (0u64..300).prop_map(Step::Read),
            1 => Just(Step::Head),
        ]
    }

    proptest! {
        /// Against the model's own rule, and a recount of everything past the base.
        #[test]
        fn it_equals_the_server_s_count(steps in prop::collection::vec(step(), 0..300)) {
            use anser_model::{Ordinal, Seq};
            let mut unread = Unread::default();
            let mut server = anser_model::unread::Unread::default();
            let (mut seq, mut ordinal, mut mark) = (0u64, 0u64, 0u64);
            let mut ordinals = vec![0u64];
            for step in steps {
                match step {
                    Step::Other | Step::Own => {
                        seq += 1;
                        ordinal += 1;
                        ordinals.push(ordinal);
                        if matches!(step, Step::Own) {
                            unread.own_send(seq, ordinal);
                            server.own_send(Seq(seq), Ordinal(ordinal));
                        }
                    }
                    Step::Uncounted => {
                        seq += 1;
                        ordinals.push(ordinal);
                    }
                    Step::Read(to) => {
                        mark = mark.max(to.min(seq));
                        unread.raise_base(mark, ordinals[mark as usize]);
                        server.raise_base(Seq(mark), Ordinal(ordinals[mark as usize]));
                    }
                    Step::Head => {
                        let mut head = v1::Head { ordinal, ..v1::Head::default() };
                        unread.write_to(&mut head);
                        prop_assert_eq!(head.base_seq, server.base().0);
                        unread = Unread::from_head(&head);
                    }
                }
                prop_assert_eq!(unread.count(ordinal), server.count(Ordinal(ordinal)));
            }
        }
    }

    #[test]
    fn a_head_without_ordinals_keeps_the_number() {
        let own_sends = (1..=OWN_SENDS_KEPT as u64).collect();
        let head = v1::Head { own_sends, ordinal: 64, ..v1::Head::default() };
        let mut unread = Unread::from_head(&head);
        assert_eq!(unread.count(64), 0);
        unread.own_send(65, 65);
        assert_eq!(unread.count(65), 0);
        assert_eq!(unread.count(66), 1);
    }
}
