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
