//! What one member decides for itself, and how far messages have come to its devices: facts without a seq.

use std::sync::Arc;

use anser_model::{AccountId, Change, Intervals, N, Role, Seq, SeqRanges, UnixMillis, Unread, planted};

use super::{Conversation, Member, Shared, Touched};
use crate::storage::StoredFact;

impl Conversation {
    /// Folds in a register of this kind.
    pub(super) fn apply_register(&mut self, stored: &Arc<StoredFact>, touched: &mut Touched) {
        touched.shared = false;
        match &stored.fact.change {
            Change::DeliveredUpTo { member, seq } => {
                let delivered = self.shared.delivered.entry(*member).or_default();
                *delivered = (*delivered).max(*seq);
                touched.shared = true;
                self.shared.n_receipts = stored.n;
            }
            Change::UnreadMarked { member, marked } => {
                self.of(*member, touched, |member| member.marked_unread = *marked);
            }
            Change::MessagesHidden { member, ranges } => self.of(*member, touched, |member| {
                ranges.parts().iter().for_each(|&(low, high)| member.hidden.insert(low, high));
                member.hidden.remove_up_to(member.cleared);
            }),
            Change::HistoryCleared { member, seq, ordinal } => self.of(*member, touched, |member| {
                member.cleared = member.cleared.max(*seq);
                member.hidden.remove_up_to(member.cleared);
                if !planted!(ClearForgetsBase) {
                    member.unread.raise_base(*seq, *ordinal);
                }
            }),
            _ => unreachable!("called for these registers"),
        }
    }

    fn of(&mut self, account: AccountId, touched: &mut Touched, change: impl FnOnce(&mut Member)) {
        change(self.members.get_mut(&account).expect("only who is or was a member has registers"));
        touched.members.push(account);
    }
}

impl Shared {
    /// How far messages have come to devices of one of a direct conversation, by what those said.
    pub fn delivered_to(&self, account: AccountId) -> Seq {
        self.delivered.get(&account).copied().unwrap_or_default()
    }
}

impl Member {
    /// One who has done nothing yet; its role and when it joined are told by the fact by which it does.
    pub(crate) fn joined(intervals: Intervals) -> Self {
        Member {
            role: Role::Member,
            joined_at: UnixMillis(0),
            joined_seq: Seq(0),
            intervals,
            mark: Seq(0),
            unread: Unread::default(),
            marked_unread: false,
            cleared: Seq(0),
            hidden: SeqRanges::default(),
            newest_client_time: UnixMillis(0),
            n: N(0),
            tombstone: None,
        }
    }

    /// A message as this member is shown it: not at all if it has hidden or cleared it.
    pub(super) fn given(&self, message: &Arc<StoredFact>) -> Option<Arc<StoredFact>> {
        let is_given = |seq| seq > self.cleared && !self.hidden.contains(seq);
        message.fact.seq.filter(|&seq| is_given(seq)).and_then(|_| self.shown(message))
    }
}
