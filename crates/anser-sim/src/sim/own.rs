//! What one decides for oneself, audited: no device shows what its person has hidden, and who has read what is
//! told to nobody who may not know.

use anser_client::session::Conversation;
use anser_model::{AccountId, Change, ConversationId, N, Seq};
use anser_proto::{v1, wire};

use super::audit::{Auditor, Found};
use crate::plain::PlainView;

impl Auditor {
    /// Whether an account has hidden or cleared what is at a seq, by facts up to an n.
    pub(super) fn hides(&self, cid: ConversationId, account: AccountId, seq: Seq, as_of: N) -> bool {
        self.plain.conversation(cid).is_some_and(|known| known.hides(account, seq, as_of))
    }

    /// Marks are told to those who are or were there, in a channel to those who ever had a role; and nobody has
    /// read further than the log says.
    pub(super) fn marks_may_be_told(&self, account: AccountId, list: &v1::MarkList) -> Found {
        self.may_know(account, &list.cid)?;
        let cid = wire::cid(&list.cid).expect("it is known");
        let known = self.plain.conversation(cid).expect("it is known");
        let is_channel = known.kind() == Some(anser_model::ConversationKind::Channel);
        if is_channel && !known.members()[&account].own.had_a_role {
            return Err((
                "a plain member is told who has read what in a channel",
                format!("{account}, {cid}"),
            ));
        }
        let wrong = list.marks.iter().find(|told| {
            let mark = known.members().get(&AccountId(told.account)).map(|member| member.mark.0);
            mark.is_none_or(|mark| told.seq > mark)
        });
        match wrong {
            Some(told) => Err(("somebody is told a mark that nobody set", format!("{told:?} of {cid}"))),
            None => Ok(()),
        }
    }
}

/// Whether a session shows the effect of a register.
pub(super) fn has_taken(seen: &Conversation, account: AccountId, n: N, change: &Change) -> bool {
    let head = seen.head();
    match change {
        Change::DeliveredUpTo { member, .. } if *member == account => true,
        Change::DeliveredUpTo { seq, .. } => head.peer_delivered >= seq.0,
        Change::MessagesHidden { ranges, .. } => {
            ranges.parts().iter().all(|&(low, high)| (low.0..=high.0).all(|seq| seen.is_hidden(seq)))
        }
        Change::HistoryCleared { seq, .. } => head.cleared_seq >= seq.0,
        // The last one wins: an older one may show in nothing.
        _ => seen.n() >= n.0,
    }
}

/// A head as a device shows it against the truth.
pub(super) fn is_true(cid: ConversationId, head: &v1::Head, view: &PlainView) -> Result<(), String> {
    let runs: Vec<(u64, u64)> = head.hidden.iter().map(|run| (run.low, run.high)).collect();
    let due: Vec<(u64, u64)> = view.hidden.iter().map(|&(low, high)| (low.0, high.0)).collect();
    let delivered = view.peer_delivered.map_or(0, |seq| seq.0);
    let seen = (head.marked_unread, head.cleared_seq, runs, head.peer_delivered, head.history_visible);
    let is = (view.marked_unread, view.cleared.0, due, delivered, view.history_visible);
    if seen != is {
        return Err(format!(
            "{cid}: marked unread, cleared, hidden, delivered, history visible are {is:?}, and seen as {seen:?}"
        ));
    }
    match head.avatar == view.avatar {
        true => Ok(()),
        false => Err(format!("{cid}: its picture is {:?}, and is seen as {:?}", view.avatar, head.avatar)),
    }
}
