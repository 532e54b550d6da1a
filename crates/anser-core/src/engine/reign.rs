//! How a reign is kept and how it ends. Where others may take the slot over, an owner answers only while
//! its lease lasts, counted from when it last asked the log and found itself in force; whoever opens
//! after it waits until that lease is over for certain.

use anser_model::{Refusal, Reign, SlotFact, planted};

use super::messages::{Effect, Released};
use super::{LEASE_MS, Phase, SlotEngine};
use crate::ports::log::SlotHead;
use crate::record::{Record, RecordHeader};
use crate::storage::{encode_slot_fact, push_fact};

impl SlotEngine {
    /// Whether nobody else can have answered yet, so that what is released now is the newest there is.
    pub(super) fn lease_holds(&self) -> bool {
        !self.config.leased || self.monotonic_ms < self.verified_at_ms + LEASE_MS || planted!(ReadPastLease)
    }

    /// Whether a fence under this reign means that the slot was taken over.
    pub(super) fn is_deposed_by(&self, in_force: Reign) -> bool {
        self.config.leased && in_force != self.reign
    }

    /// The log was asked who rules.
    pub(super) fn verified(&mut self, asked_at_ms: u64, head: SlotHead, effects: &mut Vec<Effect>) {
        let reign_is_known = matches!(
            self.phase,
            Phase::Replaying | Phase::Loading | Phase::Succeeding { .. } | Phase::Open | Phase::Closing
        );
        // What was asked before the reign began says nothing of it.
        if !reign_is_known || asked_at_ms < self.replay.resolved_ms {
            return;
        }
        if self.is_deposed_by(head.reign) {
            self.deposed(effects);
        } else {
            self.verified_at_ms = self.verified_at_ms.max(asked_at_ms);
        }
    }

    /// Another owner has begun.
    pub(super) fn deposed(&mut self, effects: &mut Vec<Effect>) {
        self.stop_answering(effects);
        effects.push(Effect::Deposed);
    }

    /// A store holds what this owner has not appended: somebody else has, and has folded it.
    pub(super) fn overtaken(&mut self, effects: &mut Vec<Effect>) {
        if self.config.leased {
            self.deposed(effects);
        } else {
            self.stop_with("the stores hold more than the log: they belong to another history", effects);
        }
    }

    /// Leaves everybody who waits with an answer that is true whatever became of it.
    pub(super) fn stop_answering(&mut self, effects: &mut Vec<Effect>) {
        self.abandon_speculation(&Refusal::UnknownOutcome, effects);
        self.pipeline.drop_held(effects);
        for work in std::mem::take(&mut self.waiting) {
            self.refuse_now(work.reply, Refusal::Unavailable, effects);
        }
        self.phase = Phase::Stopped;
    }

    /// The wait for the lease of the reign before is over, if it is.
    pub(super) fn succeed(&mut self, effects: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Succeeding { until_ms } if self.monotonic_ms >= until_ms) {
            self.phase = Phase::Open;
            self.admit_waiting(effects);
        }
    }

    /// Takes nothing new, finishes what was decided, and then ends the reign.
    pub(super) fn close(&mut self, effects: &mut Vec<Effect>) {
        self.closing = true;
        if !self.is_open() {
            if !matches!(self.phase, Phase::Stopped) {
                self.stop_answering(effects);
                effects.push(Effect::Closed);
            }
            return;
        }
        let parked = std::mem::take(&mut self.parked).into_values().flat_map(|parked| parked.queue);
        let refused: Vec<Released> = parked
            .chain(std::mem::take(&mut self.waiting))
            .map(|work| Released::Answer { reply: work.reply, answer: Err(Refusal::Unavailable) })
            .collect();
        effects.push(Effect::Release(refused));
        self.asks.clear();
        self.resumable.clear();
        self.fetches.retain(|_, fetch| !matches!(fetch.purpose, super::FetchFor::Parked(_)));
    }

    /// Appends `Closed` once nothing else is under way.
    pub(super) fn close_when_idle(&mut self, effects: &mut Vec<Effect>) {
        if !self.closing || !self.is_open() || !self.pipeline.is_settled() {
            return;
        }
        self.phase = Phase::Closing;
        let mut payload = Vec::new();
        push_fact(&mut payload, &encode_slot_fact(&SlotFact::Closed { at: self.latest }));
        let header = RecordHeader {
            timeline: self.config.timeline,
            slot: self.config.slot,
            reign: self.reign,
            opens_after: None,
            first_n: self.durable.next(),
            count: 1,
            must_understand: true,
        };
        effects.push(Effect::Append(Record { header, payload: payload.into() }));
    }

    /// The end is recorded, or another owner will wait for the lease: this one is done either way.
    pub(super) fn closed(&mut self, effects: &mut Vec<Effect>) {
        self.stop_answering(effects);
        effects.push(Effect::Closed);
    }
}
