//! A world of slot engines over stores in memory, in which the order and the fate of every effect are
//! chosen by a seed.

use std::collections::{BTreeMap, HashMap, VecDeque};

use anser_core::engine::{
    Answer, Effect, EngineConfig, Event, Fetch, Fetched, Input, Now, Query, Released, ReplyTo, SlotEngine,
    Start, Typing,
};
use anser_core::ports::StoreError;
use anser_core::ports::history::{FactRow, HistoryBatch, KeyRow};
use anser_core::ports::index::{ConversationRow, ConversationRows, IndexBatch, MemberRow};
use anser_core::ports::log::{AppendError, SlotHead};
use anser_core::record::Record;
use anser_model::{
    AccountId, Command, ConversationId, N, Refusal, Reign, Seq, Slot, SlotKey, Timeline, UnixMillis,
};

pub const TIMELINE: Timeline = Timeline(77);

/// xorshift64*: a seed decides everything.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    pub fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

/// What survives a crash: the log and the stores.
#[derive(Default)]
pub struct Durable {
    pub log: Vec<Record>,
    last: N,
    reign: Reign,
    index_through: N,
    history_through: N,
    conversations: HashMap<ConversationId, ConversationRow>,
    members: BTreeMap<(ConversationId, AccountId), MemberRow>,
    facts: BTreeMap<(ConversationId, Seq), FactRow>,
    keys: HashMap<(u32, u128), KeyRow>,
}

impl Durable {
    fn append(&mut self, record: Record) -> Result<(), AppendError> {
        if !record.header.follows(self.reign, self.last) {
            return Err(AppendError::Fenced {
                slot: record.header.slot,
                in_force: self.reign,
                last: self.last,
            });
        }
        self.last = record.header.last_n();
        self.reign = record.header.reign;
        self.log.push(record);
        Ok(())
    }

    /// Everything that the stores hold, as bytes.
    pub fn stored(&self) -> impl Iterator<Item = &[u8]> {
        let conversations = self.conversations.values().map(|row| &row.state);
        let members = self.members.values().map(|row| &row.state);
        let facts = self.facts.values().map(|row| &row.fact);
        conversations.chain(members).chain(facts).map(|bytes| &bytes[..])
    }

    fn flush_index(&mut self, batch: IndexBatch) {
        assert!(batch.through >= self.index_through);
        self.index_through = batch.through;
        for row in batch.conversations {
            self.conversations.insert(row.cid, row);
        }
        for row in batch.members {
            self.members.insert((row.cid, row.account), row);
        }
    }

    fn flush_history(&mut self, batch: HistoryBatch) {
        self.history_through = batch.through;
        for row in batch.facts {
            let known = self.facts.entry((row.cid, row.seq)).or_insert_with(|| row.clone());
            if row.n > known.n {
                *known = row;
            }
        }
        for key in batch.keys {
            self.keys.insert((key.day, key.key), key);
        }
    }

    fn rows(&self, cid: ConversationId) -> Option<ConversationRows> {
        let conversation = self.conversations.get(&cid)?.clone();
        let members = self
            .members
            .range((cid, AccountId(0))..=(cid, AccountId(u64::MAX)))
            .map(|(_, row)| row.clone())
            .collect();
        Some(ConversationRows { conversation, members })
    }

    fn fetch(&self, fetch: Fetch) -> Fetched {
        match fetch {
            Fetch::Conversations(cids) => {
                Fetched::Conversations(cids.into_iter().map(|cid| self.rows(cid)).collect())
            }
            Fetch::Key { day, key } => Fetched::Key(self.keys.get(&(day, key)).copied()),
            Fetch::Facts(ranges) => Fetched::Facts(
                ranges
                    .iter()
                    .flat_map(|r| {
                        self.facts.range((r.cid, r.low)..=(r.cid, r.high)).map(|(_, row)| row.clone())
                    })
                    .collect(),
            ),
            Fetch::Changes { account, after } => Fetched::Changes(
                self.members
                    .values()
                    .filter(|row| row.account == account)
                    .map(|row| (self.conversations[&row.cid].clone(), row.clone()))
                    .filter(|(conversation, member)| {
                        member.n > after
                            || member.present && conversation.n_shared.max(conversation.n_receipts) > after
                    })
                    .collect(),
            ),
        }
    }
}

/// How rough the world is: one in so many goes wrong; 0: nothing does.
#[derive(Clone, Copy)]
pub struct Roughness {
    pub append_unknown: u64,
    pub append_no_space: u64,
    pub store_unavailable: u64,
}

pub struct World {
    pub key: SlotKey,
    pub now: UnixMillis,
    pub dice: Dice,
    pub rough: Roughness,
    pub durable: HashMap<Slot, Durable>,
    engines: HashMap<Slot, SlotEngine>,
    /// Effects under way; appends of one slot resolve in order.
    appends: HashMap<Slot, VecDeque<Record>>,
    others: Vec<(Slot, Effect)>,
    inputs: HashMap<Slot, VecDeque<Input>>,
    pub answers: HashMap<u64, Result<Answer, Refusal>>,
    pub events: Vec<Event>,
    pub typings: Vec<Typing>,
    next_caller: u64,
    nonce: u64,
    pub crashes: u64,
    /// How often the history was asked for a key.
    pub keys_asked: u64,
}

impl World {
    pub fn new(seed: u64, rough: Roughness) -> Self {
        World {
            key: SlotKey::new([9; 16]),
            now: UnixMillis(1_800_000_000_000),
            dice: Dice::new(seed),
            rough,
            durable: HashMap::new(),
            engines: HashMap::new(),
            appends: HashMap::new(),
            others: Vec::new(),
            inputs: HashMap::new(),
            answers: HashMap::new(),
            events: Vec::new(),
            typings: Vec::new(),
            next_caller: 0,
            nonce: 0,
            crashes: 0,
            keys_asked: 0,
        }
    }

    fn engine(&mut self, slot: Slot) {
        if self.engines.contains_key(&slot) {
            return;
        }
        let config = EngineConfig {
            slot,
            timeline: TIMELINE,
            slot_key: self.key,
            conversations_kept: 1,
            leased: false,
        };
        let durable = self.durable.entry(slot).or_default();
        self.nonce += 1;
        let start = Start {
            head: SlotHead { slot, first: N(1), last: durable.last, reign: durable.reign },
            index_folded: durable.index_through,
            history_folded: durable.history_through,
            nonce: Reign(self.nonce << 40),
        };
        self.engines.insert(slot, SlotEngine::new(config));
        self.inputs.entry(slot).or_default().push_back(Input::Start(start));
    }

    pub fn command(&mut self, command: Command) -> u64 {
        self.next_caller += 1;
        let slot = self.key.slot(command.cid);
        self.engine(slot);
        let reply = ReplyTo::Caller(self.next_caller);
        self.inputs.entry(slot).or_default().push_back(Input::Command { reply, command });
        self.next_caller
    }

    pub fn query(&mut self, slot: Slot, query: Query) -> u64 {
        self.next_caller += 1;
        self.engine(slot);
        let reply = ReplyTo::Caller(self.next_caller);
        self.inputs.entry(slot).or_default().push_back(Input::Query { reply, query });
        self.next_caller
    }

    /// Kills a slot's engine: of what was under way, any prefix may have landed.
    pub fn crash(&mut self, slot: Slot) {
        if self.engines.remove(&slot).is_none() {
            return;
        }
        self.crashes += 1;
        if std::env::var_os("ANSER_TRACE").is_some() {
            eprintln!("{slot} crashes");
        }
        let durable = self.durable.entry(slot).or_default();
        for record in self.appends.remove(&slot).unwrap_or_default() {
            if self.dice.one_in(2) || durable.append(record).is_err() {
                break;
            }
        }
        for (_, effect) in self.others.extract_if(.., |(owner, _)| *owner == slot) {
            match effect {
                Effect::FlushIndex(batch) if self.dice.one_in(2) => durable.flush_index(batch),
                Effect::FlushHistory(batch) if self.dice.one_in(2) => durable.flush_history(batch),
                _ => {}
            }
        }
        self.inputs.remove(&slot);
    }

    pub fn slots(&self) -> Vec<Slot> {
        let mut slots: Vec<Slot> = self.engines.keys().copied().collect();
        slots.sort();
        slots
    }

    /// Lets one thing happen. False when there is nothing left to happen.
    pub fn step(&mut self) -> bool {
        self.now = self.now.plus_ms(self.dice.roll(40));
        let mut ready: Vec<Slot> =
            self.inputs.iter().filter(|(_, queue)| !queue.is_empty()).map(|(&slot, _)| slot).collect();
        ready.sort();
        let mut appending: Vec<Slot> =
            self.appends.iter().filter(|(_, queue)| !queue.is_empty()).map(|(&slot, _)| slot).collect();
        appending.sort();
        let choices = ready.len() + appending.len() + self.others.len();
        if choices == 0 {
            return false;
        }
        let chosen = self.dice.roll(choices as u64) as usize;
        if chosen < ready.len() {
            self.feed(ready[chosen]);
        } else if chosen < ready.len() + appending.len() {
            self.resolve_append(appending[chosen - ready.len()]);
        } else {
            let (slot, effect) = self.others.swap_remove(chosen - ready.len() - appending.len());
            self.perform(slot, effect);
        }
        true
    }

    pub fn tick_all(&mut self) {
        for slot in self.slots() {
            self.inputs.entry(slot).or_default().push_back(Input::Tick);
        }
    }

    /// Until nothing is left to happen, with time going on.
    pub fn settle(&mut self) {
        for _ in 0..8 {
            self.now = self.now.plus_ms(1_500);
            self.tick_all();
            let mut bound = 200_000;
            while self.step() {
                bound -= 1;
                assert!(bound > 0, "the world does not come to rest");
            }
        }
    }

    /// Feeds the engines everything that has come, and does nothing that they want.
    pub fn feed_all(&mut self) {
        for slot in self.slots() {
            while self.inputs.get(&slot).is_some_and(|queue| !queue.is_empty()) {
                self.feed(slot);
            }
        }
    }

    fn feed(&mut self, slot: Slot) {
        if std::env::var_os("ANSER_TRACE").is_some() {
            eprintln!("{slot} <- {:?}", self.inputs[&slot]);
        }
        let mut effects = Vec::new();
        let queue = self.inputs.get_mut(&slot).expect("ready");
        let batch = 1 + self.dice.roll(4) as usize;
        let Some(engine) = self.engines.get_mut(&slot) else {
            queue.clear();
            return;
        };
        for input in queue.drain(..batch.min(queue.len())) {
            engine.step(input, Now { wall: self.now, monotonic_ms: self.now.0 }, &mut effects);
        }
        engine.settle(&mut effects);
        for effect in effects {
            self.take(slot, effect);
        }
    }

    fn take(&mut self, slot: Slot, effect: Effect) {
        if std::env::var_os("ANSER_TRACE").is_some() {
            eprintln!("{slot} -> {effect:?}");
        }
        self.keys_asked += u64::from(matches!(effect, Effect::Fetch { fetch: Fetch::Key { .. }, .. }));
        match effect {
            Effect::Append(record) => self.appends.entry(slot).or_default().push_back(record),
            Effect::Release(released) => released.into_iter().for_each(|released| self.released(released)),
            Effect::Ask { ask, command } => {
                let to = self.key.slot(command.cid);
                self.engine(to);
                let reply = ReplyTo::Slot { slot, ask };
                self.inputs.entry(to).or_default().push_back(Input::Command { reply, command });
            }
            Effect::Halt(why) => panic!("halted: {why}"),
            other => self.others.push((slot, other)),
        }
    }

    fn released(&mut self, released: Released) {
        match released {
            Released::Event(event) => self.events.push(event),
            Released::Void(_) => {}
            Released::Typing(typing) => self.typings.push(typing),
            Released::Answer { reply: ReplyTo::Caller(caller), answer } => {
                assert!(self.answers.insert(caller, answer).is_none(), "answered once");
            }
            Released::Answer { reply: ReplyTo::Slot { slot, ask }, answer } => {
                let input = Input::Replied { ask, answer: answer.map(|_| ()) };
                self.inputs.entry(slot).or_default().push_back(input);
            }
            Released::Answer { reply: ReplyTo::Session { .. } | ReplyTo::Sync { .. }, .. } => {
                panic!("no sessions here")
            }
        }
    }

    fn resolve_append(&mut self, slot: Slot) {
        let record = self.appends.get_mut(&slot).and_then(VecDeque::pop_front).expect("chosen");
        let through = record.header.last_n();
        let unknown = self.rough.append_unknown > 0 && self.dice.one_in(self.rough.append_unknown);
        let no_space = self.rough.append_no_space > 0 && self.dice.one_in(self.rough.append_no_space);
        let result = if no_space {
            // What was queued behind it does not follow any more.
            Err(AppendError::NoSpace("a full disk".into()))
        } else if unknown {
            if self.dice.one_in(2) {
                let _ = self.durable.entry(slot).or_default().append(record);
            }
            Err(AppendError::Unknown("a time-out".into()))
        } else {
            self.durable.entry(slot).or_default().append(record)
        };
        self.inputs.entry(slot).or_default().push_back(Input::Appended { through, result });
    }

    fn perform(&mut self, slot: Slot, effect: Effect) {
        let fails = self.rough.store_unavailable > 0 && self.dice.one_in(self.rough.store_unavailable);
        let away = || StoreError::Unavailable("a broken cable".into());
        let durable = self.durable.entry(slot).or_default();
        let input = match effect {
            Effect::ReadLog { from } => Input::LogRead(Ok(durable
                .log
                .iter()
                .filter(|record| record.header.last_n() >= from)
                .take(2)
                .cloned()
                .collect())),
            Effect::Fetch { id, .. } if fails => Input::Fetched { fetch: id, result: Err(away()) },
            Effect::Fetch { id, fetch } => Input::Fetched { fetch: id, result: Ok(durable.fetch(fetch)) },
            Effect::FlushIndex(IndexBatch { through, .. })
            | Effect::FlushHistory(HistoryBatch { through, .. })
                if fails =>
            {
                Input::Flushed { through, result: Err(away()) }
            }
            Effect::FlushIndex(batch) => {
                let through = batch.through;
                durable.flush_index(batch);
                Input::Flushed { through, result: Ok(()) }
            }
            Effect::FlushHistory(batch) => {
                let through = batch.through;
                durable.flush_history(batch);
                Input::Flushed { through, result: Ok(()) }
            }
            _ => unreachable!("taken before"),
        };
        self.inputs.entry(slot).or_default().push_back(input);
    }
}
