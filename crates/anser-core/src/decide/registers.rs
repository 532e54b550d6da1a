//! What a member, present or former, decides for itself alone, and how far messages have come to its devices.
//! None of it needs a client id: what is true already leaves no fact.

use anser_model::limits::HIDDEN_RANGES;
use anser_model::{AccountId, Change, ConversationKind, Refusal, Seq, SeqRanges, Timeline};

use super::Context;
use crate::conversation::{Conversation, Member};

pub(super) fn delivered(
    conversation: &Conversation,
    actor: AccountId,
    seq: Seq,
    timeline: Timeline,
    context: Context<'_>,
) -> Result<Vec<Change>, Refusal> {
    let member = up_to(conversation, actor, seq, timeline, context)?;
    if conversation.shared.kind != Some(ConversationKind::Direct) {
        return Err(Refusal::WrongKind("only in a direct conversation is one told what was delivered"));
    }
    let known = conversation.shared.delivered_to(actor).max(member.mark);
    Ok(if seq > known { vec![Change::DeliveredUpTo { member: actor, seq }] } else { Vec::new() })
}

pub(super) fn mark_unread(
    conversation: &Conversation,
    actor: AccountId,
    marked: bool,
) -> Result<Vec<Change>, Refusal> {
    let member = conversation.members.get(&actor).ok_or(Refusal::NotFound)?;
    let is_news = member.marked_unread != marked;
    Ok(if is_news { vec![Change::UnreadMarked { member: actor, marked }] } else { Vec::new() })
}

pub(super) fn hide(
    conversation: &Conversation,
    actor: AccountId,
    ranges: &SeqRanges,
    timeline: Timeline,
    context: Context<'_>,
) -> Result<Vec<Change>, Refusal> {
    let newest = ranges.parts().last().map_or(Seq(0), |&(_, high)| high);
    let member = up_to(conversation, actor, newest, timeline, context)?;
    let mut hidden = member.hidden.clone();
    ranges.parts().iter().for_each(|&(low, high)| hidden.insert(low, high));
    hidden.remove_up_to(member.cleared);
    if hidden == member.hidden {
        return Ok(Vec::new());
    }
    if hidden.len() > HIDDEN_RANGES {
        return Err(Refusal::TooManyHidden { would_have: hidden.len(), limit: HIDDEN_RANGES });
    }
    Ok(vec![Change::MessagesHidden { member: actor, ranges: ranges.clone() }])
}

pub(super) fn clear(
    conversation: &Conversation,
    actor: AccountId,
    seq: Seq,
    timeline: Timeline,
    context: Context<'_>,
) -> Result<Vec<Change>, Refusal> {
    let member = up_to(conversation, actor, seq, timeline, context)?;
    if seq <= member.cleared {
        return Ok(Vec::new());
    }
    let ordinal = if seq == conversation.shared.head {
        conversation.shared.ordinal
    } else {
        context.named.expect("the fact up to which is cleared is prefetched").fact.ordinal
    };
    Ok(vec![Change::HistoryCleared { member: actor, seq, ordinal }])
}

/// One who is or was a member, and names a seq that is there for it.
fn up_to<'a>(
    conversation: &'a Conversation,
    actor: AccountId,
    seq: Seq,
    timeline: Timeline,
    context: Context<'_>,
) -> Result<&'a Member, Refusal> {
    if timeline != context.timeline {
        return Err(Refusal::ForeignTimeline);
    }
    let member = conversation.members.get(&actor).ok_or(Refusal::NotFound)?;
    let newest = member.intervals.newest(conversation.shared.head);
    if seq > newest {
        return Err(Refusal::BeyondHead { asked: seq.0, head: newest.0 });
    }
    Ok(member)
}

#[cfg(test)]
mod tests {
    use anser_model::{Actor, Command, ConversationId, DeviceId, Intent, Intervals, UnixMillis};

    use super::super::decide;
    use super::*;

    const ANN: AccountId = AccountId(1);
    const TIMELINE: Timeline = Timeline(1);

    /// Ann's own conversation, in which every other seq up to the limit of runs is hidden.
    fn full() -> Conversation {
        let mut conversation = Conversation::vacant(ConversationId::of_self(ANN));
        let mut intervals = Intervals::default();
        intervals.begin(Seq(1));
        let hidden: Vec<(Seq, Seq)> =
            (1..=HIDDEN_RANGES as u64).map(|run| (Seq(2 * run), Seq(2 * run))).collect();
        let member = Member { hidden: SeqRanges::gather(&hidden), ..Member::joined(intervals) };
        conversation.members.insert(ANN, member);
        conversation.shared.kind = Some(ConversationKind::OfSelf);
        conversation.shared.head = Seq(2_000);
        conversation
    }

    fn decided(conversation: &Conversation, intent: Intent) -> Result<Vec<Change>, Refusal> {
        let actor = Actor { account: ANN, device: DeviceId(1), profile_version: 1 };
        let command = Command { actor, cid: conversation.shared.cid, peer: None, client_id: None, intent };
        decide(conversation, &command, Context { timeline: TIMELINE, now: UnixMillis(0), named: None })
    }

    #[test]
    fn separate_runs_have_a_limit_and_those_that_touch_are_one() {
        let mut conversation = full();
        let hide = |low, high| Intent::Hide {
            ranges: SeqRanges::gather(&[(Seq(low), Seq(high))]),
            timeline: TIMELINE,
        };
        let too_many = Refusal::TooManyHidden { would_have: HIDDEN_RANGES + 1, limit: HIDDEN_RANGES };
        assert_eq!(decided(&conversation, hide(1_900, 1_901)), Err(too_many));
        assert_eq!(decided(&conversation, hide(4, 4)), Ok(Vec::new()), "it is hidden already");
        assert!(decided(&conversation, hide(3, 3)).is_ok_and(|changes| changes.len() == 1), "it touches two");
        let member = conversation.members.get_mut(&ANN).expect("a member");
        member.cleared = Seq(10);
        member.hidden.remove_up_to(Seq(10));
        assert_eq!(decided(&conversation, hide(3, 3)), Ok(Vec::new()), "it is cleared");
        assert!(decided(&conversation, hide(1_900, 1_901)).is_ok(), "there is room again");
    }

    #[test]
    fn what_is_cleared_is_cleared_once_and_delivered_is_of_two() {
        let mut conversation = full();
        conversation.members.get_mut(&ANN).expect("a member").cleared = Seq(10);
        let clear = |seq| Intent::ClearHistory { seq: Seq(seq), timeline: TIMELINE };
        assert_eq!(decided(&conversation, clear(10)), Ok(Vec::new()));
        assert_eq!(decided(&conversation, clear(2_000)).map(|changes| changes.len()), Ok(1));
        let delivered = Intent::DeliveredUpTo { seq: Seq(3), timeline: TIMELINE };
        assert!(matches!(decided(&conversation, delivered), Err(Refusal::WrongKind(_))));
    }
}
