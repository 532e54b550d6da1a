//! Deciding ahead of the disk: facts become records, and answers wait for them in one ordered queue.

use std::collections::VecDeque;
use std::sync::Arc;

use anser_model::change::CommandKey;
use anser_model::{AccountId, Actor, Change, ConversationFact, ConversationId, N, Ordinal, Refusal, planted};

use super::messages::{Answer, Effect, Event, Released, ReplyTo, Typing, Void};
use super::{FACTS_PER_RECORD, NO_SPACE_BACKOFF_MS, Phase, RECORD_SOFT_BYTES, RECORDS_IN_FLIGHT, SlotEngine};
use crate::ports::log::AppendError;
use crate::record::{Record, RecordHeader};
use crate::storage::{StoredFact, encode_fact, push_fact};

/// What is decided and not yet durable.
#[derive(Debug, Default)]
pub(super) struct Pipeline {
    /// Encoded facts of the record that is being formed.
    forming: Vec<u8>,
    forming_count: u32,
    /// The last n of each record under way, oldest first, and when it was sent.
    in_flight: VecDeque<(N, u64)>,
    /// Answers and events, each with the n that must be durable first; never decreasing.
    held: VecDeque<(N, Released)>,
}

impl Pipeline {
    pub(super) fn is_full(&self) -> bool {
        self.in_flight.len() >= RECORDS_IN_FLIGHT
            || self.forming_count as usize >= FACTS_PER_RECORD
            || self.forming.len() >= RECORD_SOFT_BYTES
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.forming_count == 0
    }

    /// Everybody who is concerned by a fact is told once it is durable.
    pub(super) fn hold_event(
        &mut self,
        fact: Arc<StoredFact>,
        audience: Arc<[AccountId]>,
        void: Arc<[AccountId]>,
        origin: ReplyTo,
    ) {
        let (slot, n) = (fact.slot, fact.n);
        if !audience.is_empty() {
            self.hold(n, Released::Event(Event { fact, audience, origin }));
        }
        if !void.is_empty() {
            self.hold(n, Released::Void(Void { slot, accounts: void }));
        }
    }

    /// The others are told that somebody types once it is durable who they are.
    pub(super) fn hold_typing(&mut self, typing: Typing) {
        if !typing.audience.is_empty() {
            self.hold(typing.n, Released::Typing(typing));
        }
    }

    /// Nothing is under way, and nothing waits to be told.
    pub(super) fn is_settled(&self) -> bool {
        self.is_idle() && self.held.is_empty()
    }

    /// Nobody is told any more what became of it: it may have taken effect.
    pub(super) fn drop_held(&mut self, effects: &mut Vec<Effect>) {
        let answers = self.held.drain(..).filter_map(|(_, released)| match released {
            Released::Answer { reply, .. } => {
                Some(Released::Answer { reply, answer: Err(Refusal::UnknownOutcome) })
            }
            Released::Event(_) | Released::Void(_) | Released::Typing(_) => None,
        });
        let answers: Vec<Released> = answers.collect();
        if !answers.is_empty() {
            effects.push(Effect::Release(answers));
        }
    }

    fn hold(&mut self, wait_for: N, released: Released) {
        assert!(self.held.back().is_none_or(|&(last, _)| last <= wait_for), "answers wait in order");
        self.held.push_back((wait_for, released));
    }
}

impl SlotEngine {
    /// Makes a change a fact: numbers it, applies it, and holds its event.
    pub(super) fn record_change(
        &mut self,
        cid: ConversationId,
        actor: Actor,
        command: Option<CommandKey>,
        origin: ReplyTo,
        change: Change,
    ) -> Arc<StoredFact> {
        let at = self.now_in(&self.conversations[&cid]);
        let cached = self.conversations.get_mut(&cid).expect("a decision is made on a cached conversation");
        let shared = &cached.state.shared;
        let fact = ConversationFact {
            cid,
            at,
            author: actor.account,
            device: actor.device,
            author_profile_version: actor.profile_version,
            command,
            seq: change.is_sequenced().then(|| shared.head.next()),
            ordinal: Ordinal(shared.ordinal.0 + u64::from(change.is_countable())),
            rewritten: None,
            change,
        };
        self.newest = self.newest.next();
        let encoded = encode_fact(&fact);
        let stored = Arc::new(StoredFact { n: self.newest, slot: self.config.slot, fact, encoded });
        cached.apply(&stored);
        let audience = cached.state.audience(&stored.fact);
        push_fact(&mut self.pipeline.forming, &stored.encoded);
        self.pipeline.forming_count += 1;
        self.tail.push_back(stored.clone());
        let void = cached.state.void_for(&stored.fact);
        self.pipeline.hold_event(stored.clone(), audience, void, origin);
        stored
    }

    /// Answers as soon as everything decided so far is durable.
    pub(super) fn answer(&mut self, reply: ReplyTo, answer: Result<Answer, Refusal>) {
        self.pipeline.hold(self.newest, Released::Answer { reply, answer });
    }

    /// Answers a command that was done before, by the same rule.
    pub(super) fn answer_known(&mut self, reply: ReplyTo, answer: Result<Answer, Refusal>) {
        if planted!(DuplicateBeforeDurable) {
            return self.pipeline.held.push_front((N(0), Released::Answer { reply, answer }));
        }
        self.answer(reply, answer);
    }

    /// Refuses without looking at any state, so without waiting for it.
    pub(super) fn refuse_now(&mut self, reply: ReplyTo, refusal: Refusal, effects: &mut Vec<Effect>) {
        effects.push(Effect::Release(vec![Released::Answer { reply, answer: Err(refusal) }]));
    }

    /// Sends what was decided since the last call to the log, as one record.
    pub(super) fn submit(&mut self, effects: &mut Vec<Effect>) {
        if self.pipeline.forming_count == 0 {
            return;
        }
        let count = std::mem::take(&mut self.pipeline.forming_count);
        let payload = std::mem::take(&mut self.pipeline.forming).into();
        let first_n = N(self.newest.0 - u64::from(count) + 1);
        let header = RecordHeader {
            timeline: self.config.timeline,
            slot: self.config.slot,
            reign: self.reign,
            opens_after: None,
            first_n,
            count,
            must_understand: true,
        };
        assert_eq!(header.last_n(), self.newest, "a record holds everything decided and nothing else");
        self.pipeline.in_flight.push_back((self.newest, self.monotonic_ms));
        effects.push(Effect::Append(Record { header, payload }));
    }

    /// Lets go of everything whose n is durable, in order.
    pub(super) fn release(&mut self, effects: &mut Vec<Effect>) {
        if !self.lease_holds() {
            return;
        }
        let durable = if planted!(AckBeforeAppend) { self.newest } else { self.durable };
        let ready = self.pipeline.held.iter().take_while(|(wait_for, _)| *wait_for <= durable).count();
        if ready > 0 {
            let mut released: Vec<Released> = self.pipeline.held.drain(..ready).map(|(_, r)| r).collect();
            if planted!(AnswerOvertakesEvents) {
                released.sort_by_key(|released| !matches!(released, Released::Answer { .. }));
            }
            effects.push(Effect::Release(released));
        }
    }

    pub(super) fn appended(
        &mut self,
        through: N,
        result: Result<(), AppendError>,
        effects: &mut Vec<Effect>,
    ) {
        match (&self.phase, result) {
            (Phase::Stopped, _) => {}
            (_, Err(AppendError::Broken(why))) => {
                self.phase = Phase::Stopped;
                effects.push(Effect::Halt(why));
            }
            (Phase::Opening, result) => self.opened(through, result, effects),
            (Phase::Closing, _) => self.closed(effects),
            (Phase::Draining { .. }, result) => {
                self.pipeline.in_flight.pop_front();
                if result.is_err_and(|error| !matches!(error, AppendError::NoSpace(_))) {
                    self.phase = Phase::Draining { reopen: true };
                }
                self.drained(effects);
            }
            (_, Ok(())) => {
                let (oldest, sent_ms) = self.pipeline.in_flight.pop_front().expect("it was sent");
                assert_eq!(oldest, through, "appends resolve in order");
                self.verified_at_ms = self.verified_at_ms.max(sent_ms);
                assert!(through > self.durable, "durability only grows");
                self.durable = through;
                self.admit_waiting(effects);
            }
            (_, Err(AppendError::Fenced { in_force, .. })) if self.is_deposed_by(in_force) => {
                self.deposed(effects);
            }
            (_, Err(error)) => self.append_failed(through, error, effects),
        }
    }

    /// An append failed: everything that was decided ahead of it never happened, as far as is known.
    fn append_failed(&mut self, through: N, error: AppendError, effects: &mut Vec<Effect>) {
        let no_space = matches!(error, AppendError::NoSpace(_)) || planted!(UnknownIsFailed);
        let refusal = if no_space { Refusal::StorageFull } else { Refusal::UnknownOutcome };
        let oldest = self.pipeline.in_flight.pop_front();
        assert_eq!(oldest.map(|(n, _)| n), Some(through), "appends resolve in order");
        if no_space {
            self.no_space_until_ms = self.monotonic_ms + NO_SPACE_BACKOFF_MS;
        }
        self.release(effects);
        self.abandon_speculation(&refusal, effects);
        self.phase = Phase::Draining { reopen: !no_space };
        self.drained(effects);
    }

    /// Drops everything that rests on facts which are not durable, and answers whoever waits for it.
    pub(super) fn abandon_speculation(&mut self, refusal: &Refusal, effects: &mut Vec<Effect>) {
        let mut released = Vec::new();
        // What is durable is still to be told, and waits for nothing but the lease.
        self.replay.told = self.durable;
        let durable = self.durable;
        let told = self.pipeline.held.iter().take_while(|(wait_for, _)| *wait_for <= durable).count();
        for (_, held) in self.pipeline.held.drain(told..) {
            if let Released::Answer { reply, .. } = held {
                released.push(Released::Answer { reply, answer: Err(refusal.clone()) });
            }
        }
        for parked in std::mem::take(&mut self.parked).into_values() {
            for work in parked.queue {
                released.push(Released::Answer { reply: work.reply, answer: Err(Refusal::Unavailable) });
            }
        }
        for pending in std::mem::take(&mut self.fetches).into_values() {
            if let super::FetchFor::Changes { reply, .. } = pending.purpose {
                released.push(Released::Answer { reply, answer: Err(Refusal::Unavailable) });
            }
        }
        if !released.is_empty() {
            effects.push(Effect::Release(released));
        }
        self.pipeline.forming.clear();
        self.pipeline.forming_count = 0;
        self.asks.clear();
        self.resumable.clear();
        self.conversations.clear();
        self.tail.clear();
        self.newest = self.durable;
        self.flushing.abandon();
    }

    /// Once nothing of the old speculation is under way, the log says what is true.
    fn drained(&mut self, effects: &mut Vec<Effect>) {
        if !self.pipeline.in_flight.is_empty() {
            return;
        }
        match self.phase {
            Phase::Draining { reopen: true } => self.reopen(effects),
            Phase::Draining { reopen: false } => self.replay_tail(effects),
            _ => unreachable!("only a draining slot drains"),
        }
    }
}
