//! Marks on their way, read or delivered: only the furthest of a conversation is asked for, one request at a time.

use std::collections::BTreeMap;

use anser_model::AccountId;
use anser_proto::v1;

use crate::session::command::{Lane, Ticket};

/// Two marks of one conversation are sent at least so many milliseconds apart: the server shows no more.
const MARK_INTERVAL_MS: u64 = 1_000;
/// Conversations whose marks may wait at once.
const MARKS_WAITING: usize = 5_000;
/// Askers that may wait for one mark.
const ASKERS_PER_MARK: usize = 64;

/// A mark that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Up to here.
    pub seq: u64,
    /// Who waits for it.
    pub tickets: Vec<Ticket>,
}

#[derive(Debug)]
struct Mark {
    target: v1::Target,
    in_flight: Option<Step>,
    waiting: Option<Step>,
    not_before_ms: u64,
    refusals: u32,
}

/// Marks of one kind on their way.
#[derive(Debug, Default)]
pub struct Marks(BTreeMap<Lane, Mark>);

impl Marks {
    /// Somebody wants the mark at `seq`. False when too much is waiting.
    pub fn want(&mut self, lane: Lane, target: v1::Target, seq: u64, ticket: Option<Ticket>) -> bool {
        if self.0.len() >= MARKS_WAITING && !self.0.contains_key(&lane) {
            return false;
        }
        let fresh = Mark { target, in_flight: None, waiting: None, not_before_ms: 0, refusals: 0 };
        let mark = self.0.entry(lane).or_insert(fresh);
        let step = mark.waiting.get_or_insert(Step { seq, tickets: Vec::new() });
        if ticket.is_some() && step.tickets.len() >= ASKERS_PER_MARK {
            return false;
        }
        step.seq = step.seq.max(seq);
        step.tickets.extend(ticket);
        true
    }

    /// The furthest seq that is wanted in a conversation.
    pub fn furthest(&self, lane: Lane) -> u64 {
        let steps = self.0.get(&lane).map(|mark| [&mark.in_flight, &mark.waiting]);
        steps.into_iter().flatten().flatten().map(|step| step.seq).max().unwrap_or_default()
    }

    /// Marks to send now.
    pub fn due(&self, now_ms: u64) -> Vec<Lane> {
        let due = self.0.iter().filter(|(_, mark)| {
            mark.in_flight.is_none() && mark.waiting.is_some() && mark.not_before_ms <= now_ms
        });
        due.map(|(&lane, _)| lane).collect()
    }

    /// When the next one is due.
    pub fn next_due_ms(&self) -> Option<u64> {
        let waiting = self.0.values().filter(|mark| mark.in_flight.is_none() && mark.waiting.is_some());
        waiting.map(|mark| mark.not_before_ms).min()
    }

    /// A due mark is sent: where, and up to which seq.
    pub fn start(&mut self, lane: Lane, now_ms: u64) -> Option<(v1::Target, u64)> {
        let mark = self.0.get_mut(&lane)?;
        let step = mark.waiting.take()?;
        let seq = step.seq;
        mark.in_flight = Some(step);
        mark.not_before_ms = now_ms.saturating_add(MARK_INTERVAL_MS);
        Some((mark.target.clone(), seq))
    }

    /// The answer of a mark in flight came: who waits for it.
    pub fn finish(&mut self, lane: Lane) -> Vec<Ticket> {
        let Some(mark) = self.0.get_mut(&lane) else { return Vec::new() };
        mark.refusals = 0;
        let tickets = mark.in_flight.take().map(|step| step.tickets).unwrap_or_default();
        if mark.waiting.is_none() {
            self.0.remove(&lane);
        }
        tickets
    }

    /// How often the mark was put off before.
    pub fn refusals(&self, lane: Lane) -> u32 {
        self.0.get(&lane).map_or(0, |mark| mark.refusals)
    }

    /// The mark in flight is to be asked for again at `until_ms`.
    pub fn put_off(&mut self, lane: Lane, until_ms: u64) {
        if let Some(mark) = self.0.get_mut(&lane) {
            mark.refusals = mark.refusals.saturating_add(1);
            mark.not_before_ms = mark.not_before_ms.max(until_ms);
            mark.lose_answer();
        }
    }

    /// The connection is lost: everything in flight is asked for again.
    pub fn lose_answers(&mut self) {
        self.0.values_mut().for_each(Mark::lose_answer);
    }

    /// One's own account is known now: marks named by a peer become a conversation's.
    pub fn settle_lanes(&mut self, own: AccountId) {
        for (lane, mark) in std::mem::take(&mut self.0) {
            match self.0.get_mut(&lane.settled(Some(own))) {
                Some(known) => known.merge(mark),
                None => {
                    self.0.insert(lane.settled(Some(own)), mark);
                }
            }
        }
    }

    /// Seqs of another history mean nothing: everybody who waits.
    pub fn clear(&mut self) -> Vec<Ticket> {
        let marks = std::mem::take(&mut self.0);
        let steps = marks.into_values().flat_map(|mark| [mark.in_flight, mark.waiting]);
        steps.flatten().flat_map(|step| step.tickets).collect()
    }
}

impl Mark {
    fn lose_answer(&mut self) {
        if let Some(lost) = self.in_flight.take() {
            self.wait_for(lost);
        }
    }

    fn wait_for(&mut self, step: Step) {
        match &mut self.waiting {
            Some(waiting) => {
                waiting.seq = waiting.seq.max(step.seq);
                waiting.tickets.extend(step.tickets);
            }
            None => self.waiting = Some(step),
        }
    }

    fn merge(&mut self, other: Mark) {
        [other.in_flight, other.waiting].into_iter().flatten().for_each(|step| self.wait_for(step));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: Lane = Lane::Peer(AccountId(9));

    #[test]
    fn marks_are_merged_and_spaced() {
        let mut marks = Marks::default();
        let target = v1::Target::peer(AccountId(9));
        assert!(marks.want(LANE, target.clone(), 5, Some(1)) && marks.want(LANE, target.clone(), 3, Some(2)));
        assert_eq!(marks.due(0), [LANE]);
        assert_eq!(marks.start(LANE, 0).unwrap().1, 5);
        marks.want(LANE, target, 8, Some(3));
        assert_eq!((marks.due(0), marks.furthest(LANE)), (vec![], 8));
        assert_eq!(marks.finish(LANE), [1, 2]);
        assert_eq!((marks.due(MARK_INTERVAL_MS - 1), marks.due(MARK_INTERVAL_MS)), (vec![], vec![LANE]));
        marks.start(LANE, MARK_INTERVAL_MS);
        marks.lose_answers();
        assert_eq!(marks.next_due_ms(), Some(2 * MARK_INTERVAL_MS));
        marks.settle_lanes(AccountId(1));
        assert_eq!(marks.clear(), [3]);
    }
}
