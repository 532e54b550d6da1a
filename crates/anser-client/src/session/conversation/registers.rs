//! What its owner decides for itself: what is hidden is held no more, on no device.

use anser_proto::v1::{self, ConversationKind, Role, event::Change};

use super::Conversation;
use crate::session::ranges::Ranges;

impl Conversation {
    /// Whether it is to be shown as unread: somebody said so, or something is.
    pub fn is_marked_unread(&self) -> bool {
        self.head.marked_unread
    }

    /// Whether its owner has hidden or cleared what is at a seq.
    pub fn is_hidden(&self, seq: u64) -> bool {
        let at = self.head.hidden.partition_point(|range| range.high < seq);
        seq <= self.head.cleared_seq || self.head.hidden.get(at).is_some_and(|range| range.low <= seq)
    }

    /// Up to where its messages have come to this device, if the other one of a direct conversation waits to
    /// be told: something of theirs is past what was read.
    pub fn to_acknowledge(&self) -> Option<u64> {
        let direct = self.head.kind() == ConversationKind::Direct && self.is_member() && !self.needs_head;
        let of_theirs = |last: &v1::Event| last.author == self.head.peer && last.seq > self.head.mark;
        let waits = self.unread() > 0 || self.head.last_message.as_ref().is_some_and(of_theirs);
        (direct && waits).then_some(self.head.seq)
    }

    /// Nobody is a member any more.
    pub(super) fn end(&mut self) {
        self.head.role = Role::Unspecified.into();
        self.head.member_count = 0;
        self.head.history_visible = false;
        self.unread.part();
    }

    pub(super) fn move_delivered(&mut self, moved: &v1::DeliveredMoved) {
        if moved.member == self.head.peer && self.head.kind() == ConversationKind::Direct {
            self.head.peer_delivered = self.head.peer_delivered.max(moved.seq);
        }
    }

    pub(super) fn hide(&mut self, ranges: &[v1::SeqRange]) {
        let all = self.head.hidden.iter().chain(ranges).map(|range| (range.low, range.high));
        self.set_hidden(Ranges::from_islands(all));
        self.forget_what_is_hidden();
    }

    pub(super) fn clear(&mut self, cleared: &v1::HistoryCleared) {
        self.head.cleared_seq = self.head.cleared_seq.max(cleared.seq);
        self.unread.raise_base(cleared.seq, cleared.ordinal);
        let left = self.head.hidden.iter().map(|range| (range.low, range.high));
        self.set_hidden(Ranges::from_islands(left));
        self.forget_what_is_hidden();
    }

    /// Past what is cleared: what lies below needs no word.
    fn set_hidden(&mut self, mut hidden: Ranges) {
        hidden.remove(0, self.head.cleared_seq);
        let runs = hidden.islands().iter().map(|&(low, high)| v1::SeqRange { low, high });
        self.head.hidden = runs.collect();
    }

    /// Nothing is left of it. What is hidden counts as held, since no page gives it; what is cleared lies below
    /// everything.
    pub(super) fn forget_what_is_hidden(&mut self) {
        if self.head.last_message.as_ref().is_some_and(|last| self.is_hidden(last.seq)) {
            self.head.last_message = None;
        }
        let cleared = self.head.cleared_seq;
        if cleared > 0 {
            self.ranges.remove(0, cleared);
            self.doubt.clear(0, cleared);
        }
        let mut facts = std::mem::take(&mut self.facts);
        facts.retain(|&seq, _| !self.is_hidden(seq));
        self.facts = facts;
    }

    /// What its owner has hidden and cleared: what a store is to forget.
    pub fn hidden(&self) -> Ranges {
        let runs = self.head.hidden.iter().map(|range| (range.low, range.high));
        let cleared = (self.head.cleared_seq > 0).then_some((1, self.head.cleared_seq));
        Ranges::from_islands(runs.chain(cleared))
    }

    /// Whether an event takes something away from what is held.
    pub(in crate::session) fn hides(event: &v1::Event) -> bool {
        matches!(&event.change, Some(Change::MessagesHidden(_) | Change::HistoryCleared(_)))
    }
}
