//! Commands: the client id is looked up before anything is refused, what is missing is fetched while
//! only this conversation waits, and then it is decided.

use std::collections::{BTreeSet, VecDeque};

use anser_model::change::CommandKey;
use anser_model::limits::{CLIENT_ID_ACCEPTED_MS, CLIENT_ID_FUTURE_MS, DAY_MS};
use anser_model::{
    AccountId, Actor, ClientId, Command, ConversationId, Fact, Intent, Refusal, UnixMillis, planted,
};

use super::cache::Cached;
use super::messages::{Accepted, Answer, AskId, Effect, Fetch, Fetched, Wanted, Work};
use super::queries::FACT_FETCHES;
use super::{
    ASK_TIMEOUT_MS, ENTERED_KEPT, FetchFor, PARKED_MS, PARKED_PER_CONVERSATION, PendingAsk, SlotEngine,
    TAIL_FACTS_MAX,
};
use crate::conversation::Conversation;
use crate::decide::{Context, decide, fact_wanted, joiners};
use crate::ports::StoreError;
use crate::ports::history::{FactRow, HistoryRange, KeyRow};
use crate::rows::conversation_from;
use crate::storage::decode_fact;

/// Work that waits for one conversation, in order; only the first has something under way.
#[derive(Debug, Default)]
pub(super) struct Parked {
    pub(super) queue: VecDeque<Work>,
    pub(super) fetching: bool,
    pub(super) asking: BTreeSet<AskId>,
}

/// What an attempt came to.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once, never stored")]
pub(super) enum Attempt {
    /// It was answered.
    Done,
    /// It needs something first.
    Wait(Work, Need),
}

/// What work needs before it can be done.
pub(super) enum Need {
    /// The conversation itself.
    Conversation,
    /// What the history remembers of its key.
    Key { day: u32, key: u128 },
    /// Facts of the history.
    Facts(Vec<HistoryRange>),
    /// The homes of these to know of this slot.
    Entered(Vec<AccountId>),
}

impl SlotEngine {
    /// Does work, or parks it behind what its conversation already waits for.
    pub(super) fn admit(&mut self, mut work: Work, effects: &mut Vec<Effect>) {
        let Some(cid) = work.cid() else { return self.sync(work, effects) };
        work.parked_ms = self.monotonic_ms;
        if let Some(parked) = self.parked.get_mut(&cid) {
            let waits_long =
                parked.queue.front().is_some_and(|first| first.parked_ms + PARKED_MS < self.monotonic_ms);
            if waits_long || parked.queue.len() >= PARKED_PER_CONVERSATION {
                return self.refuse_now(work.reply, Refusal::Overloaded, effects);
            }
            parked.queue.push_back(work);
            return;
        }
        if let Attempt::Wait(work, need) = self.attempt(cid, work) {
            let parked = Parked { queue: VecDeque::from([work]), ..Parked::default() };
            self.parked.insert(cid, parked);
            self.seek(cid, need, effects);
        }
    }

    fn attempt(&mut self, cid: ConversationId, work: Work) -> Attempt {
        if let Some(refusal) = work.failed {
            self.answer(work.reply, Err(refusal));
            return Attempt::Done;
        }
        let clock = self.clock;
        let Some(cached) = self.conversations.get_mut(&cid) else {
            return Attempt::Wait(work, Need::Conversation);
        };
        cached.used = clock;
        match &work.what {
            Wanted::Command(_) => self.attempt_command(cid, work),
            Wanted::Query(_) => self.attempt_query(cid, work),
        }
    }

    fn attempt_command(&mut self, cid: ConversationId, work: Work) -> Attempt {
        let Wanted::Command(command) = &work.what else { unreachable!("called for commands") };
        let cached = &self.conversations[&cid];
        match self.look_up(cached, command, &work) {
            LookUp::New => {}
            LookUp::Known(answer) => {
                self.answer_known(work.reply, answer);
                return Attempt::Done;
            }
            LookUp::Need(need) => return Attempt::Wait(work, need),
        }
        if let Err(refusal) = self.check_before(cached, command) {
            self.answer(work.reply, Err(refusal));
            return Attempt::Done;
        }
        let missing: Vec<AccountId> = joiners(&cached.state, command)
            .into_iter()
            .filter(|account| !self.entered.contains(account) && !work.entered.contains(account))
            .filter(|_| !planted!(EnterLater))
            .collect();
        if !missing.is_empty() {
            return Attempt::Wait(work, Need::Entered(missing));
        }
        let named = match fact_wanted(&cached.state, command) {
            None => None,
            Some(seq) => match self.fact_at(cached, seq, work.facts.as_deref().unwrap_or_default()) {
                Some(fact) => Some(fact),
                None if work.fetches < FACT_FETCHES => {
                    let range = HistoryRange { cid, low: seq, high: seq, limit: 1, newest_first: false };
                    return Attempt::Wait(work, Need::Facts(vec![range]));
                }
                None => {
                    self.answer(work.reply, Err(Refusal::Unavailable));
                    return Attempt::Done;
                }
            },
        };
        let now = self.now_in(cached);
        let context = Context { timeline: self.config.timeline, now, named: named.as_deref() };
        match decide(&cached.state, command, context) {
            Err(refusal) => self.answer(work.reply, Err(refusal)),
            Ok(changes) => self.carry_out(cid, work, changes),
        }
        Attempt::Done
    }

    fn carry_out(&mut self, cid: ConversationId, work: Work, changes: Vec<anser_model::Change>) {
        let Wanted::Command(command) = work.what else { unreachable!("called for commands") };
        let key = command.client_id.map(|client_id| CommandKey {
            client_id,
            request_hash: command.intent.request_hash(&self.config.slot_key),
        });
        let last = changes.len().saturating_sub(1);
        let count = changes.len();
        let mut accepted = Accepted {
            cid,
            slot: self.config.slot,
            n: self.newest,
            seq: None,
            ordinal: self.conversations[&cid].state.shared.ordinal,
            at: self.latest,
            duplicate: false,
        };
        for (index, change) in changes.into_iter().enumerate() {
            let key = if index == last { key } else { None };
            let fact = self.record_change(cid, command.actor, key, work.reply, change);
            accepted = Accepted {
                n: fact.n,
                seq: fact.fact.seq,
                ordinal: fact.fact.ordinal,
                at: fact.fact.at,
                ..accepted
            };
        }
        // A fact that is not the answer is an event for its author too; see `Event::origin`.
        debug_assert!(count <= 2, "no command makes more than two facts");
        self.answer(work.reply, Ok(Answer::Accepted(accepted)));
    }

    /// What became of an earlier command under the same client id.
    fn look_up(&self, cached: &Cached, command: &Command, work: &Work) -> LookUp {
        let Some(client_id) = command.client_id.filter(|_| !planted!(IgnoreClientId)) else {
            return LookUp::New;
        };
        let sender = command.actor.account;
        // Who was never a member has had no effect here; but the system speaks where it is none.
        if sender != AccountId::SYSTEM {
            let Some(member) = cached.state.members.get(&sender) else { return LookUp::New };
            if client_id.minted_at() > member.newest_client_time {
                return LookUp::New;
            }
        }
        let hash = command.intent.request_hash(&self.config.slot_key);
        if let Some(fact) = cached.done_by(sender, client_id) {
            let key = fact.fact.command.expect("found by its command");
            return LookUp::known(key.request_hash == hash, || Accepted {
                cid: command.cid,
                slot: self.config.slot,
                n: fact.first_n(),
                seq: fact.fact.seq,
                ordinal: fact.fact.ordinal,
                at: fact.fact.at,
                duplicate: true,
            });
        }
        if cached.holds_all_like(sender, client_id) {
            return LookUp::New;
        }
        match &work.key {
            None => LookUp::Need(Need::Key {
                day: day_of(client_id),
                key: self.key_of(command.cid, sender, client_id),
            }),
            Some(None) => LookUp::New,
            Some(Some(row)) if row.request_hash != hash => LookUp::Known(Err(Refusal::ClientIdReused)),
            Some(Some(row)) => match &work.facts {
                None => LookUp::Need(Need::Facts(vec![HistoryRange {
                    cid: command.cid,
                    low: row.seq,
                    high: row.seq,
                    limit: 1,
                    newest_first: false,
                }])),
                Some(facts) => LookUp::Known(self.accepted_from(command, row, facts)),
            },
        }
    }

    /// The answer of long ago, read back from the fact that it was.
    fn accepted_from(&self, command: &Command, row: &KeyRow, facts: &[FactRow]) -> Result<Answer, Refusal> {
        let fact = facts.first().and_then(|row| decode_fact(&row.fact).ok());
        let Some(Fact::Conversation(fact)) = fact else { return Err(Refusal::Unavailable) };
        Ok(Answer::Accepted(Accepted {
            cid: command.cid,
            slot: self.config.slot,
            n: row.n,
            seq: fact.seq,
            ordinal: fact.ordinal,
            at: fact.at,
            duplicate: true,
        }))
    }

    /// The keyed hash under which a command is remembered.
    pub(super) fn key_of(&self, cid: ConversationId, sender: AccountId, client_id: ClientId) -> u128 {
        self.config.slot_key.hash128(b"command", &[&cid.0, &sender.0.to_be_bytes(), client_id.as_bytes()])
    }

    /// The time by which a conversation is decided. A later owner's clock may lag, and what was told of the
    /// conversation before must not be newer.
    pub(super) fn now_in(&self, cached: &Cached) -> UnixMillis {
        self.latest.max(cached.state.shared.touched_at)
    }

    /// What is refused whatever the conversation holds.
    fn check_before(&self, cached: &Cached, command: &Command) -> Result<(), Refusal> {
        if let Some(client_id) = command.client_id {
            let (minted, now) = (client_id.minted_at(), self.now_in(cached));
            if minted.plus_ms(CLIENT_ID_ACCEPTED_MS) < now {
                return Err(Refusal::ClientIdTooOld);
            }
            if minted > now.plus_ms(CLIENT_ID_FUTURE_MS) {
                return Err(Refusal::ClientIdInFuture { ahead_ms: minted.0 - now.0 });
            }
        } else if needs_client_id(&command.intent) {
            return Err(Refusal::ClientIdMissing);
        }
        if self.monotonic_ms < self.no_space_until_ms {
            return Err(Refusal::StorageFull);
        }
        if self.tail.len() >= TAIL_FACTS_MAX {
            return Err(Refusal::Overloaded);
        }
        Ok(())
    }

    /// Sets out to get what the first of the parked needs.
    fn seek(&mut self, cid: ConversationId, need: Need, effects: &mut Vec<Effect>) {
        let fetch = match need {
            Need::Conversation => Fetch::Conversations(vec![cid]),
            Need::Key { day, key } => Fetch::Key { day, key },
            Need::Facts(ranges) => Fetch::Facts(ranges),
            Need::Entered(accounts) => return self.ask_homes(cid, accounts, effects),
        };
        self.parked.get_mut(&cid).expect("parked before").fetching = true;
        self.fetch(fetch, FetchFor::Parked(cid), effects);
    }

    fn ask_homes(&mut self, cid: ConversationId, accounts: Vec<AccountId>, effects: &mut Vec<Effect>) {
        for account in accounts {
            self.next_ask = self.next_ask.wrapping_add(1);
            let ask = AskId(self.next_ask);
            let deadline_ms = self.monotonic_ms + ASK_TIMEOUT_MS;
            self.asks.insert(ask, PendingAsk { cid, account, deadline_ms });
            self.parked.get_mut(&cid).expect("parked before").asking.insert(ask);
            let command = Command {
                actor: Actor::SYSTEM,
                cid: ConversationId::of_self(account),
                peer: Some(account),
                client_id: None,
                intent: Intent::Enter(self.config.slot),
            };
            effects.push(Effect::Ask { ask, command });
        }
    }

    pub(super) fn replied(&mut self, ask: AskId, answer: Result<(), Refusal>, effects: &mut Vec<Effect>) {
        let Some(pending) = self.asks.remove(&ask) else { return };
        let Some(parked) = self.parked.get_mut(&pending.cid) else { return };
        parked.asking.remove(&ask);
        let first = parked.queue.front_mut().expect("somebody waits");
        match answer {
            Ok(()) => {
                first.entered.push(pending.account);
                if self.entered.len() >= ENTERED_KEPT {
                    self.entered.clear();
                }
                self.entered.insert(pending.account);
            }
            Err(refusal) => first.failed = Some(refusal),
        }
        if parked.asking.is_empty() {
            self.resume(pending.cid, effects);
        }
    }

    pub(super) fn expire_asks(&mut self, effects: &mut Vec<Effect>) {
        let expired: Vec<AskId> = self
            .asks
            .iter()
            .filter(|(_, ask)| ask.deadline_ms < self.monotonic_ms)
            .map(|(&id, _)| id)
            .collect();
        for ask in expired {
            self.replied(ask, Err(Refusal::Unavailable), effects);
        }
    }

    pub(super) fn parked_fetched(
        &mut self,
        cid: ConversationId,
        result: Result<Fetched, StoreError>,
        effects: &mut Vec<Effect>,
    ) {
        let slot = self.config.slot;
        let parked = self.parked.get_mut(&cid).expect("a fetch is for parked work");
        parked.fetching = false;
        let first = parked.queue.front_mut().expect("somebody waits");
        match result {
            Ok(Fetched::Conversations(mut rows)) => {
                assert_eq!(rows.len(), 1, "one conversation was asked for");
                let state = rows.pop().flatten().map(|rows| conversation_from(slot, &rows)).transpose();
                match state {
                    Ok(Some(state)) if state.shared.n_newest > self.durable => {
                        return self.overtaken(effects);
                    }
                    Ok(state) => {
                        let state = state.unwrap_or_else(|| Conversation::vacant(cid));
                        self.conversations.insert(cid, Cached::new(state));
                    }
                    Err(_) => first.failed = Some(Refusal::Unavailable),
                }
            }
            Ok(Fetched::Key(row)) => first.key = Some(row),
            Ok(Fetched::Facts(rows)) => {
                first.facts = Some(rows);
                first.fetches += 1;
            }
            Ok(Fetched::Changes(_)) => unreachable!("a fetch is answered in kind"),
            Err(_) => first.failed = Some(Refusal::Unavailable),
        }
        self.resume(cid, effects);
    }

    /// Goes on with what waits for a conversation, until something is missing again.
    pub(super) fn resume(&mut self, cid: ConversationId, effects: &mut Vec<Effect>) {
        while !self.flushing.is_wanted() && !self.pipeline.is_full() {
            let Some(parked) = self.parked.get_mut(&cid) else { return };
            if parked.fetching || !parked.asking.is_empty() {
                return;
            }
            let Some(work) = parked.queue.pop_front() else {
                self.parked.remove(&cid);
                return;
            };
            if let Attempt::Wait(work, need) = self.attempt(cid, work) {
                self.parked.get_mut(&cid).expect("parked above").queue.push_front(work);
                return self.seek(cid, need, effects);
            }
        }
        self.resumable.push(cid);
    }
}

/// What is known of a client id.
enum LookUp {
    New,
    Known(Result<Answer, Refusal>),
    Need(Need),
}

impl LookUp {
    fn known(same_request: bool, accepted: impl FnOnce() -> Accepted) -> Self {
        LookUp::Known(if same_request {
            Ok(Answer::Accepted(accepted()))
        } else {
            Err(Refusal::ClientIdReused)
        })
    }
}

/// The day under which a client id is filed.
pub(super) fn day_of(client_id: ClientId) -> u32 {
    (client_id.minted_at().0 / DAY_MS) as u32
}

fn needs_client_id(intent: &Intent) -> bool {
    !matches!(
        intent,
        Intent::ReadUpTo { .. }
            | Intent::DeliveredUpTo { .. }
            | Intent::MarkUnread(_)
            | Intent::Hide { .. }
            | Intent::ClearHistory { .. }
            | Intent::Enter(_)
            | Intent::RaiseCredentials { .. }
    )
}
