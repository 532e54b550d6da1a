//! What one decides for oneself, said a second time: seq by seq.

use anser_model::limits::HIDDEN_RANGES;
use anser_model::{Change, Command, ConversationKind, Intent, N, Refusal, Seq, Timeline};

use crate::plain::PlainConversation;

/// What stands against a command of this kind, in the order in which it is looked at.
pub(super) fn refusals(
    conversation: Option<&PlainConversation>,
    command: &Command,
    timeline: Timeline,
    newest: Seq,
) -> Vec<(bool, Refusal)> {
    let member = conversation.and_then(|known| known.members().get(&command.actor.account));
    let stranger = (member.is_none(), Refusal::NotFound);
    let foreign = |theirs: Timeline| (theirs != timeline, Refusal::ForeignTimeline);
    let beyond = |seq: Seq| (seq > newest, Refusal::BeyondHead { asked: seq.0, head: newest.0 });
    match &command.intent {
        Intent::DeliveredUpTo { seq, timeline: theirs } => {
            let direct = conversation.is_some_and(|known| known.kind() == Some(ConversationKind::Direct));
            vec![foreign(*theirs), stranger, beyond(*seq), (!direct, Refusal::WrongKind(""))]
        }
        Intent::MarkUnread(_) => vec![stranger],
        Intent::Hide { ranges, timeline: theirs } => {
            let last = ranges.parts().iter().map(|&(_, high)| high).max().unwrap_or_default();
            let mut after = member.map(|member| member.own.clone()).unwrap_or_default();
            if last <= newest {
                after.hidden.extend(seqs(ranges.parts()).map(|seq| (seq, N(1))));
            }
            let (would_have, limit) = (after.runs().len(), HIDDEN_RANGES);
            let too_many = (would_have > limit, Refusal::TooManyHidden { would_have, limit });
            vec![foreign(*theirs), stranger, beyond(last), too_many]
        }
        Intent::ClearHistory { seq, timeline: theirs } => vec![foreign(*theirs), stranger, beyond(*seq)],
        _ => unreachable!("called for these commands"),
    }
}

/// What a command of this kind that nothing stands against changes.
pub(super) fn changes(known: &PlainConversation, command: &Command) -> Vec<Change> {
    let member = command.actor.account;
    let (own, mark) = (&known.members()[&member].own, known.members()[&member].mark);
    match &command.intent {
        Intent::DeliveredUpTo { seq, .. } if *seq > own.delivered && *seq > mark => {
            vec![Change::DeliveredUpTo { member, seq: *seq }]
        }
        Intent::MarkUnread(marked) if *marked != own.marked_unread => {
            vec![Change::UnreadMarked { member, marked: *marked }]
        }
        Intent::Hide { ranges, .. } if seqs(ranges.parts()).any(|seq| !own.hides(seq, N(u64::MAX))) => {
            vec![Change::MessagesHidden { member, ranges: ranges.clone() }]
        }
        Intent::ClearHistory { seq, .. } if *seq > own.cleared_seq() => {
            vec![Change::HistoryCleared { member, seq: *seq, ordinal: known.ordinal_at(*seq) }]
        }
        _ => Vec::new(),
    }
}

fn seqs(ranges: &[(Seq, Seq)]) -> impl Iterator<Item = Seq> + '_ {
    ranges.iter().flat_map(|&(low, high)| (low.0..=high.0).map(Seq))
}
