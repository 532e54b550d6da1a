//! What one decides for oneself, on paper: every hidden seq with the fact that hid it.

use std::collections::BTreeMap;

use anser_model::limits::HIDDEN_RANGES;
use anser_model::{AccountId, Change, ConversationFact, ConversationKind, N, Seq};

use super::conversation::{PlainConversation, require};

/// What one who is or was a member decided for itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnView {
    /// Whether it marked the conversation as unread, and has not read on since.
    pub marked_unread: bool,
    /// Every seq that it hid, with n of the first fact that says so.
    pub hidden: BTreeMap<Seq, N>,
    /// Up to where it cleared, and n of the fact that says so; the last is the furthest.
    pub cleared: Vec<(Seq, N)>,
    /// How far messages have come to its devices.
    pub delivered: Seq,
    /// Whether it was ever an admin or the owner.
    pub had_a_role: bool,
}

impl OwnView {
    /// Up to where it has cleared.
    pub fn cleared_seq(&self) -> Seq {
        self.cleared.last().map_or(Seq(0), |&(seq, _)| seq)
    }

    /// Whether it has hidden or cleared a seq, by facts up to an n.
    pub fn hides(&self, seq: Seq, as_of: N) -> bool {
        let cleared = self.cleared.iter().any(|&(up_to, n)| seq <= up_to && n <= as_of);
        cleared || self.hidden.get(&seq).is_some_and(|&n| n <= as_of)
    }

    /// What it has hidden past what it has cleared, in runs.
    pub fn runs(&self) -> Vec<(Seq, Seq)> {
        let mut runs: Vec<(Seq, Seq)> = Vec::new();
        for &seq in self.hidden.keys().filter(|&&seq| seq > self.cleared_seq()) {
            match runs.last_mut() {
                Some((_, high)) if high.0 + 1 == seq.0 => *high = seq,
                _ => runs.push((seq, seq)),
            }
        }
        runs
    }
}

impl PlainConversation {
    pub(super) fn take_own(&mut self, n: N, fact: &ConversationFact) -> Result<(), String> {
        let (head, kind, ordinal_at) = (self.head(), self.kind, |seq| self.ordinal_at(seq));
        let whose = match &fact.change {
            Change::DeliveredUpTo { member, .. }
            | Change::UnreadMarked { member, .. }
            | Change::MessagesHidden { member, .. }
            | Change::HistoryCleared { member, .. } => *member,
            _ => return Err("no register of one's own".into()),
        };
        require(fact.author == whose, || "one decides for oneself alone".into())?;
        let due = match &fact.change {
            Change::HistoryCleared { seq, .. } => Some(ordinal_at(*seq)),
            _ => None,
        };
        let Some(member) = self.members.get_mut(&whose) else {
            return Err("a register of one who was never a member".into());
        };
        let newest = member.last_stay().ended.unwrap_or(head);
        let within =
            |seq: Seq| require(seq <= newest, || format!("seq {seq} lies past {newest}, the newest"));
        match &fact.change {
            Change::DeliveredUpTo { seq, .. } => {
                within(*seq)?;
                require(kind == Some(ConversationKind::Direct), || "only between two".into())?;
                let known = member.own.delivered.max(member.mark);
                require(*seq > known, || format!("what has come does not pass {known}"))?;
                member.own.delivered = *seq;
                self.receipts_n = n;
                return Ok(());
            }
            Change::UnreadMarked { marked, .. } => {
                require(member.own.marked_unread != *marked, || "it is so already".into())?;
                member.own.marked_unread = *marked;
            }
            Change::MessagesHidden { ranges, .. } => {
                let mut is_news = false;
                for &(low, high) in ranges.parts() {
                    within(high)?;
                    for seq in (low.0..=high.0).map(Seq) {
                        is_news |= !member.own.hides(seq, n);
                        member.own.hidden.entry(seq).or_insert(n);
                    }
                }
                require(is_news, || "all of it is hidden already".into())?;
                let runs = member.own.runs().len();
                require(runs <= HIDDEN_RANGES, || format!("{runs} runs are too many"))?;
            }
            Change::HistoryCleared { seq, ordinal, .. } => {
                within(*seq)?;
                require(Some(*ordinal) == due, || format!("up to there {due:?} messages count"))?;
                require(*seq > member.own.cleared_seq(), || "it is cleared already".into())?;
                member.own.cleared.push((*seq, n));
            }
            _ => return Err("no register of one's own".into()),
        }
        member.marked_n = n;
        Ok(())
    }

    /// Whether an account has hidden or cleared what is at a seq, by facts up to an n.
    pub fn hides(&self, account: AccountId, seq: Seq, as_of: N) -> bool {
        self.members.get(&account).is_some_and(|member| member.own.hides(seq, as_of))
    }
}
