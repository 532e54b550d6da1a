//! A reign begins: `Opened` fences every earlier one, then the log says what landed, and the tail that
//! the stores do not hold yet is folded into memory again. A failed append comes back here. How a reign
//! ends is in [`super::reign`].

use std::collections::BTreeSet;
use std::sync::Arc;

use anser_model::{ConversationId, Fact, N, Refusal, Reign, SlotFact};

use super::cache::Cached;
use super::messages::{AskId, Effect, Fetch, Fetched, ReplyTo, Start};
use super::{FetchFor, LEASE_GRACE_MS, LEASE_MS, Phase, SlotEngine};
use crate::conversation::Conversation;
use crate::ports::StoreError;
use crate::ports::log::{AppendError, LogError};
use crate::record::{Record, RecordHeader};
use crate::rows::conversation_from;
use crate::storage::{StoredFact, decode_fact, encode_slot_fact, push_fact, split_facts};

/// What is known of the log's end while a reign begins.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// The reign in force before ours.
    after: Reign,
    /// n of the next record to read.
    from: N,
    /// n of the last durable fact.
    to: N,
    /// n of the first fact that the history did not hold when the reading began.
    tail_from: N,
    /// The slot was given to this owner: it opens after whoever rules. Else it goes on only if nobody
    /// opened meanwhile.
    given: bool,
    /// When the opening was sent, by the monotonic clock.
    sent_ms: u64,
    /// Whether the reign before ours ended by itself, as far as is known.
    closed: bool,
    /// n of our `Opened`, and when it was known to be durable, by the monotonic clock.
    opened: N,
    pub(super) resolved_ms: u64,
    /// The oldest n that the log had when the slot was given to this owner.
    first: N,
    /// Through which n events were released, or wait to be: what is found above it landed although that
    /// was not known, and is still to be told.
    pub(super) told: N,
    /// The opening could not be appended, and waits for another try.
    put_off: bool,
    /// Conversations to load, in the order asked for.
    loading: Vec<ConversationId>,
}

/// Why a slot cannot be ruled from what the log holds.
fn fatal(slot: anser_model::Slot, what: impl std::fmt::Display) -> Effect {
    Effect::Halt(format!("slot {slot}: {what}"))
}

impl SlotEngine {
    pub(super) fn start(&mut self, start: Start, effects: &mut Vec<Effect>) {
        assert!(matches!(self.phase, Phase::Idle), "an engine is started once");
        assert_eq!(start.head.slot, self.config.slot, "an engine is started with its own slot's head");
        self.index_folded = start.index_folded;
        self.history_folded = start.history_folded;
        self.durable = start.head.last;
        self.newest = start.head.last;
        self.replay.after = start.head.reign;
        self.replay.given = true;
        self.replay.first = start.head.first;
        self.next_nonce = Some(start.nonce);
        // An answer to a question of an earlier reign must not pass for one to ours.
        self.next_ask = start.nonce.0;
        if self.index_folded < self.history_folded || self.history_folded > start.head.last {
            self.stop_with("the stores hold more than the log: they belong to another history", effects);
        } else if self.history_folded.next() < start.head.first {
            let gap = format!(
                "the log was trimmed below n {}, but the history holds only up to n {}: the stores are \
                 older than the log",
                start.head.first, self.history_folded
            );
            self.stop_with(&gap, effects);
        } else {
            self.append_opened(effects);
        }
    }

    pub(super) fn stop_with(&mut self, what: &str, effects: &mut Vec<Effect>) {
        self.phase = Phase::Stopped;
        effects.push(fatal(self.config.slot, what));
    }

    /// Opens again after an append of unknown fate: under the next nonce, after the reign that failed.
    pub(super) fn reopen(&mut self, effects: &mut Vec<Effect>) {
        self.replay.after = self.reign;
        self.replay.given = false;
        self.next_nonce = Some(self.nonce_after(self.reign));
        self.append_opened(effects);
    }

    /// A nonce must differ from every earlier one; it follows from the reign before it and from where
    /// and when that ended.
    fn nonce_after(&self, reign: Reign) -> Reign {
        let last = self.next_nonce.unwrap_or_default();
        let mixed = self.config.slot_key.hash128(
            b"reign",
            &[
                &reign.0.to_le_bytes(),
                &last.0.to_le_bytes(),
                &self.newest.0.to_le_bytes(),
                &self.latest.0.to_le_bytes(),
            ],
        );
        Reign((mixed as u64).max(1))
    }

    fn append_opened(&mut self, effects: &mut Vec<Effect>) {
        self.phase = Phase::Opening;
        self.replay.put_off = false;
        self.replay.sent_ms = self.monotonic_ms;
        let reign = self.next_nonce.expect("a reign is opened under a nonce");
        let mut payload = Vec::new();
        let opened = SlotFact::Opened { after: self.replay.after, at: self.latest };
        push_fact(&mut payload, &encode_slot_fact(&opened));
        let header = RecordHeader {
            timeline: self.config.timeline,
            slot: self.config.slot,
            reign,
            opens_after: Some(self.replay.after),
            first_n: self.durable.next(),
            count: 1,
            must_understand: true,
        };
        effects.push(Effect::Append(Record { header, payload: payload.into() }));
    }

    pub(super) fn opened(&mut self, through: N, result: Result<(), AppendError>, effects: &mut Vec<Effect>) {
        match result {
            Ok(()) => {
                let reign = self.next_nonce.take().expect("the nonce of the opening");
                self.reign_begins(reign, through, effects);
            }
            Err(AppendError::Fenced { in_force, last, .. }) => {
                if Some(in_force) == self.next_nonce {
                    // An earlier try has landed.
                    self.next_nonce = None;
                    self.reign_begins(in_force, last, effects);
                } else if !self.replay.given && in_force != self.replay.after {
                    self.deposed(effects);
                } else {
                    // Somebody opened meanwhile, or what was under way when we lost track has landed before
                    // us: open after it.
                    if in_force != self.replay.after {
                        self.next_nonce = Some(self.nonce_after(in_force));
                    }
                    self.replay.after = in_force;
                    self.durable = last;
                    self.newest = last;
                    self.append_opened(effects);
                }
            }
            Err(AppendError::NoSpace(_) | AppendError::Unknown(_)) => {
                self.replay.put_off = true;
                self.no_space_until_ms = self.monotonic_ms + super::NO_SPACE_BACKOFF_MS;
            }
            Err(AppendError::Broken(_)) => unreachable!("a broken log halts before"),
        }
    }

    fn reign_begins(&mut self, reign: Reign, opened: N, effects: &mut Vec<Effect>) {
        self.reign = reign;
        self.durable = opened;
        self.replay.opened = opened;
        self.replay.resolved_ms = self.monotonic_ms;
        self.verified_at_ms = self.replay.sent_ms;
        // The first reign follows nobody's.
        self.replay.closed = self.replay.after == Reign(0) || !self.replay.given;
        if self.replay.given {
            // Who was told of what came before by another owner is not known: edges have their sessions resync.
            self.replay.told = opened;
        }
        self.replay_tail(effects);
    }

    /// Tries an opening again that could not be appended.
    pub(super) fn retry_open(&mut self, effects: &mut Vec<Effect>) {
        if !self.replay.put_off {
            return;
        }
        assert!(matches!(self.phase, Phase::Opening), "only an opening is put off");
        if self.monotonic_ms >= self.no_space_until_ms {
            self.append_opened(effects);
        } else {
            for work in std::mem::take(&mut self.waiting) {
                self.refuse_now(work.reply, Refusal::StorageFull, effects);
            }
        }
    }

    /// Reads the tail back: everything above what the history holds.
    pub(super) fn replay_tail(&mut self, effects: &mut Vec<Effect>) {
        assert!(self.tail.is_empty() && self.conversations.is_empty(), "speculation was dropped before");
        self.newest = self.durable;
        // What the tail touches is loaded, and nothing else.
        self.complete_from = self.history_folded;
        self.replay.tail_from = self.history_folded.next();
        self.replay.from = self.replay.tail_from;
        if self.config.leased && !self.replay.closed {
            // What the reign before ended with tells whether its lease must be waited for.
            let before = N(self.replay.opened.0 - 1).max(self.replay.first);
            self.replay.from = self.replay.from.min(before);
        }
        self.replay.to = self.durable;
        self.read_on(effects);
    }

    fn read_on(&mut self, effects: &mut Vec<Effect>) {
        if self.replay.from > self.replay.to {
            self.load_tail(effects);
        } else {
            self.phase = Phase::Replaying;
            effects.push(Effect::ReadLog { from: self.replay.from });
        }
    }

    pub(super) fn log_read(&mut self, result: Result<Vec<Record>, LogError>, effects: &mut Vec<Effect>) {
        if !matches!(self.phase, Phase::Replaying) {
            return;
        }
        match result {
            Err(error) if error.retry_helps() => effects.push(Effect::ReadLog { from: self.replay.from }),
            Err(LogError::OutOfRange { .. }) if self.config.leased => {
                self.stop_answering(effects);
                effects.push(Effect::Outdated);
            }
            Err(error) => self.stop_with(&error.to_string(), effects),
            Ok(records) => {
                for record in records {
                    if let Err(error) = self.replay_record(&record) {
                        let at = record.header.first_n;
                        return self
                            .stop_with(&format!("the record at n {at} cannot be read: {error}"), effects);
                    }
                }
                self.read_on(effects);
            }
        }
    }

    fn replay_record(&mut self, record: &Record) -> Result<(), String> {
        let header = &record.header;
        if header.first_n > self.replay.from || header.last_n() < self.replay.from {
            return Err(format!("n {} was to be read, not {}", self.replay.from, header.first_n));
        }
        let facts = split_facts(&record.payload).map_err(|error| error.to_string())?;
        if facts.len() != record.header.count as usize {
            return Err(format!("it holds {} facts and says {}", facts.len(), record.header.count));
        }
        for (index, encoded) in facts.into_iter().enumerate() {
            let n = N(record.header.first_n.0 + index as u64);
            if n < self.replay.from || n > self.replay.to {
                continue;
            }
            match decode_fact(&encoded).map_err(|error| error.to_string())? {
                Fact::Slot(SlotFact::Opened { at, .. }) => self.latest = self.latest.max(at),
                Fact::Slot(SlotFact::Closed { at }) => {
                    self.latest = self.latest.max(at);
                    self.replay.closed |= n.next() == self.replay.opened;
                }
                // Read for what stands behind it.
                Fact::Conversation(_) if n < self.replay.tail_from => {}
                Fact::Conversation(fact) => {
                    self.latest = self.latest.max(fact.at);
                    let slot = self.config.slot;
                    self.tail.push_back(Arc::new(StoredFact { n, slot, fact, encoded }));
                }
            }
        }
        self.replay.from = record.header.last_n().next();
        Ok(())
    }

    fn load_tail(&mut self, effects: &mut Vec<Effect>) {
        let cids: BTreeSet<ConversationId> = self.tail.iter().map(|fact| fact.fact.cid).collect();
        self.replay.loading = cids.into_iter().collect();
        if self.replay.loading.is_empty() {
            return self.rule(effects);
        }
        self.phase = Phase::Loading;
        let cids = self.replay.loading.clone();
        self.fetch(Fetch::Conversations(cids), FetchFor::Replay, effects);
    }

    pub(super) fn replay_loaded(&mut self, result: Result<Fetched, StoreError>, effects: &mut Vec<Effect>) {
        let rows = match result {
            Ok(Fetched::Conversations(rows)) => rows,
            Ok(_) => unreachable!("a fetch is answered in kind"),
            Err(error) if error.retry_helps() => return self.load_tail(effects),
            Err(error) => return self.stop_with(&error.to_string(), effects),
        };
        assert_eq!(rows.len(), self.replay.loading.len(), "rows come in the order asked for");
        for (cid, rows) in std::mem::take(&mut self.replay.loading).into_iter().zip(rows) {
            let state = match rows.map(|rows| conversation_from(self.config.slot, &rows)).transpose() {
                Ok(state) => state.unwrap_or_else(|| Conversation::vacant(cid)),
                Err(error) => {
                    return self.stop_with(&format!("the rows of {cid} cannot be read: {error}"), effects);
                }
            };
            if state.shared.n_newest > self.durable {
                return self.overtaken(effects);
            }
            self.conversations.insert(cid, Cached::new(state));
        }
        for fact in &self.tail {
            let cached = self.conversations.get_mut(&fact.fact.cid).expect("loaded above");
            if fact.n > cached.state.shared.n_newest {
                cached.apply(fact);
            } else {
                cached.remember(fact);
            }
            if fact.n > self.replay.told {
                let (audience, void) = (cached.state.audience(&fact.fact), cached.state.void_for(&fact.fact));
                // Nobody waits for its answer any more.
                let origin = ReplyTo::Slot { slot: fact.slot, ask: AskId(0) };
                self.pipeline.hold_event(fact.clone(), audience, void, origin);
            }
        }
        self.replay.told = self.durable;
        self.rule(effects);
    }

    fn rule(&mut self, effects: &mut Vec<Effect>) {
        self.drop_folded_tail();
        let wait_ms = if self.config.leased && !self.replay.closed { LEASE_MS + LEASE_GRACE_MS } else { 0 };
        self.replay.closed = true;
        self.phase = Phase::Succeeding { until_ms: self.replay.resolved_ms + wait_ms };
        self.succeed(effects);
    }
}
