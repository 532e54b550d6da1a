//! What one decides for oneself of a conversation, and how far the others have read.

use anser_core::engine::Marks;
use anser_model::limits::HIDDEN_RANGES_PER_COMMAND;
use anser_model::{Actor, Change, Command, Intent, Seq, SeqRanges, Timeline};
use anser_proto::v1::{self, client_frame::Request, event::Change as Wire};
use anser_proto::wire;

use super::{Wanted, bad, target};

pub(super) fn wanted(actor: Actor, request: Request) -> Result<Wanted, v1::Error> {
    let (named, intent) = match request {
        Request::DeliveredUpTo(it) => {
            let (seq, timeline) = (Seq(it.seq), Timeline(it.timeline));
            (it.r#in, Intent::DeliveredUpTo { seq, timeline })
        }
        Request::MarkUnread(it) => (it.r#in, Intent::MarkUnread(it.marked)),
        Request::Hide(it) => {
            let (ranges, timeline) = (ranges_of(&it.ranges)?, Timeline(it.timeline));
            (it.r#in, Intent::Hide { ranges, timeline })
        }
        Request::ClearHistory(it) => {
            let (seq, timeline) = (Seq(it.seq), Timeline(it.timeline));
            (it.r#in, Intent::ClearHistory { seq, timeline })
        }
        _ => unreachable!("called for these requests"),
    };
    let (cid, peer) = target(actor.account, "in", named)?;
    Ok(Wanted::Command(Command { actor, cid, peer, client_id: None, intent }))
}

fn ranges_of(ranges: &[v1::SeqRange]) -> Result<SeqRanges, v1::Error> {
    if ranges.is_empty() || ranges.len() > HIDDEN_RANGES_PER_COMMAND {
        let right = format!("1 to {HIDDEN_RANGES_PER_COMMAND} ranges, not {}", ranges.len());
        return Err(bad("ranges", &right));
    }
    if let Some(range) =
        ranges.iter().find(|range| range.low == 0 || range.low > range.high || range.high == u64::MAX)
    {
        let right = format!("low is above 0 and not above high, not {} to {}", range.low, range.high);
        return Err(bad("ranges", &right));
    }
    let ranges: Vec<(Seq, Seq)> = ranges.iter().map(|range| (Seq(range.low), Seq(range.high))).collect();
    Ok(SeqRanges::gather(&ranges))
}

pub(super) fn ranges(ranges: &SeqRanges) -> Vec<v1::SeqRange> {
    ranges.parts().iter().map(|(low, high)| v1::SeqRange { low: low.0, high: high.0 }).collect()
}

pub(super) fn event(change: &Change) -> Wire {
    match change {
        Change::DeliveredUpTo { member, seq } => {
            Wire::DeliveredMoved(v1::DeliveredMoved { member: member.0, seq: seq.0 })
        }
        Change::UnreadMarked { member: _, marked } => {
            Wire::UnreadMarked(v1::UnreadMarked { marked: *marked })
        }
        Change::MessagesHidden { member: _, ranges: hidden } => {
            Wire::MessagesHidden(v1::MessagesHidden { ranges: ranges(hidden) })
        }
        Change::HistoryCleared { member: _, seq, ordinal } => {
            Wire::HistoryCleared(v1::HistoryCleared { seq: seq.0, ordinal: ordinal.0 })
        }
        _ => unreachable!("called for these registers"),
    }
}

pub(super) fn marks(marks: &Marks) -> v1::MarkList {
    v1::MarkList {
        cid: wire::cid_bytes(marks.cid),
        marks: marks
            .marks
            .iter()
            .map(|mark| v1::MemberMark {
                account: mark.account.0,
                seq: mark.seq.0,
                joined_seq: mark.joined.0,
            })
            .collect(),
        slot: u32::from(marks.slot.0),
        n: marks.n.0,
    }
}
