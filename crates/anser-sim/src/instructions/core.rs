//! What the slot engine does for one message, alone: its log takes everything at once, and its stores too.

use anser_core::engine::{
    Answer, Effect, EngineConfig, Fetch, Fetched, Input, Now, Query, Released, ReplyTo, SlotEngine, Start,
};
use anser_core::ports::history::HistoryBatch;
use anser_core::ports::index::IndexBatch;
use anser_core::ports::log::SlotHead;
use anser_core::record::Record;
use anser_model::{
    AccountId, Actor, ClientId, Command, ConversationId, DeviceId, Intent, Message, N, Reign, Seq, Slot,
    SlotKey, Timeline, UnixMillis,
};

const SLOT: Slot = Slot(7);
const TIMELINE: Timeline = Timeline(1);
/// One of the people: the system itself is looked for in another way.
const ME: AccountId = AccountId(7);
/// What one append takes together.
const TOGETHER: u64 = 16;
/// As of a calm chat.
const TEXT: &str = "Shall we meet at the station at seven? 那我在东门等你 👋";
/// Conversations of the slot.
const CONVERSATIONS: u64 = 64;
/// Messages from the one fold to the next.
const FOLDED_TOGETHER: u64 = 1_024;
const PAGE: usize = 20;

/// An engine and the world around it, in which nothing fails.
struct Bench {
    engine: SlotEngine,
    now: Now,
    minted: u64,
    effects: Vec<Effect>,
    answered: u64,
    /// Of the newest durable fact.
    newest: N,
    /// What an opening reads back; nobody reads what came later.
    opening: Option<Vec<Record>>,
}

impl Bench {
    fn new() -> Bench {
        let config = EngineConfig {
            slot: SLOT,
            timeline: TIMELINE,
            slot_key: SlotKey::new([9; 16]),
            conversations_kept: 2 * CONVERSATIONS as usize,
            leased: false,
        };
        let wall = UnixMillis(1_800_000_000_000);
        let mut bench = Bench {
            engine: SlotEngine::new(config),
            now: Now { wall, monotonic_ms: 0 },
            minted: 0,
            effects: Vec::new(),
            answered: 0,
            newest: N(0),
            opening: Some(Vec::new()),
        };
        let head = SlotHead { slot: SLOT, first: N(1), last: N(0), reign: Reign(0) };
        let start = Start { head, index_folded: N(0), history_folded: N(0), nonce: Reign(1 << 40) };
        bench.give(Input::Start(start));
        bench.settle();
        bench.opening = None;
        for peer in 0..CONVERSATIONS {
            let command = bench.says(peer);
            bench.give(command);
            bench.settle();
        }
        bench
    }

    fn give(&mut self, input: Input) {
        self.engine.step(input, self.now, &mut self.effects);
    }

    /// Until nothing is left to be done.
    fn settle(&mut self) {
        loop {
            self.engine.settle(&mut self.effects);
            if self.effects.is_empty() {
                return;
            }
            for effect in std::mem::take(&mut self.effects) {
                self.perform(effect);
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Append(record) => {
                self.newest = record.header.last_n();
                if let Some(log) = &mut self.opening {
                    log.push(record);
                }
                self.give(Input::Appended { through: self.newest, result: Ok(()) });
            }
            Effect::FlushIndex(IndexBatch { through, .. })
            | Effect::FlushHistory(HistoryBatch { through, .. }) => {
                self.give(Input::Flushed { through, result: Ok(()) });
            }
            Effect::ReadLog { from } => {
                let log = self.opening.iter().flatten();
                let records = log.filter(|record| record.header.last_n() >= from).cloned().collect();
                self.give(Input::LogRead(Ok(records)));
            }
            // Nothing is ever looked for that was let go of: what is not in memory is new.
            Effect::Fetch { id, fetch } => {
                let fetched = match fetch {
                    Fetch::Conversations(cids) => Fetched::Conversations(cids.iter().map(|_| None).collect()),
                    Fetch::Key { .. } => Fetched::Key(None),
                    Fetch::Facts(_) => Fetched::Facts(Vec::new()),
                    Fetch::Changes { .. } => Fetched::Changes(Vec::new()),
                };
                self.give(Input::Fetched { fetch: id, result: Ok(fetched) });
            }
            Effect::Ask { ask, .. } => self.give(Input::Replied { ask, answer: Ok(()) }),
            Effect::Release(released) => {
                for released in released {
                    if let Released::Answer { answer, .. } = released {
                        self.take(answer.expect("nothing is refused here"));
                    }
                }
            }
            other => panic!("nothing here leads to {other:?}"),
        }
    }

    fn take(&mut self, answer: Answer) {
        self.answered += 1;
        match answer {
            Answer::Page(page) => assert_eq!(page.facts.len(), PAGE),
            Answer::Heads { heads, .. } => assert_eq!(heads.len(), 1),
            _ => {}
        }
    }

    fn command(&mut self, peer: u64) -> Command {
        self.minted += 1;
        // What is minted in one millisecond with something older may have to be looked for.
        self.now.wall = self.now.wall.plus_ms(1);
        self.now.monotonic_ms += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.minted.to_be_bytes());
        let peer = AccountId(1_000 + peer);
        let message = Message { kind: "text".into(), text: TEXT.into(), ..Message::default() };
        Command {
            actor: Actor { account: ME, device: DeviceId(1), profile_version: 1 },
            cid: ConversationId::direct(ME, peer),
            peer: Some(peer),
            client_id: Some(ClientId::mint(self.now.wall, random)),
            intent: Intent::Send(message),
        }
    }

    fn says(&mut self, peer: u64) -> Input {
        Input::Command { reply: ReplyTo::Caller(self.minted), command: self.command(peer) }
    }

    fn asks(&mut self, query: Query) {
        self.give(Input::Query { reply: ReplyTo::Caller(0), query });
        self.settle();
    }

    /// A second later what is durable is folded.
    fn fold(&mut self) {
        self.now.wall = self.now.wall.plus_ms(1_000);
        self.now.monotonic_ms += 1_000;
        self.give(Input::Tick);
        self.settle();
    }
}

pub(super) fn send(times: u64) {
    let mut bench = Bench::new();
    let before = bench.answered;
    for time in 0..times {
        let command = bench.says(time % CONVERSATIONS);
        bench.give(command);
        if time % TOGETHER == TOGETHER - 1 {
            bench.settle();
        }
        if time % FOLDED_TOGETHER == FOLDED_TOGETHER - 1 {
            bench.fold();
        }
    }
    bench.settle();
    assert_eq!(bench.answered - before, times, "each is answered once");
}

pub(super) fn send_again(times: u64) {
    let mut bench = Bench::new();
    let command = bench.command(0);
    let before = bench.answered;
    for _ in 0..times {
        bench.give(Input::Command { reply: ReplyTo::Caller(0), command: command.clone() });
        bench.settle();
    }
    assert_eq!(bench.answered - before, times, "each is answered once");
}

pub(super) fn page(times: u64) {
    let mut bench = Bench::new();
    for _ in 0..PAGE {
        let command = bench.says(0);
        bench.give(command);
    }
    bench.settle();
    let cid = ConversationId::direct(ME, AccountId(1_000));
    for _ in 0..times {
        let (after, before, changed_after) = (None, Some(Seq(u64::MAX)), N(0));
        bench.asks(Query::Page { account: ME, cid, after, before, changed_after, limit: PAGE });
    }
}

pub(super) fn sync(times: u64) {
    let mut bench = Bench::new();
    bench.fold();
    let command = bench.says(0);
    bench.give(command);
    bench.settle();
    let after = N(bench.newest.0 - 1);
    for _ in 0..times {
        bench.asks(Query::Changes { account: ME, after });
    }
}
