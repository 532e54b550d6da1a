//! Core nodes: the real slot engines, driven as the server drives them, each effect at a time and with a
//! fate of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anser_core::engine::{
    Answer, AskId, Effect, EngineConfig, Fetch, Input, Now, Query, Released, ReplyTo, SlotEngine, Start, Void,
};
use anser_core::fanout::{EdgeId, Routing};
use anser_core::ports::StoreError;
use anser_core::ports::log::{AppendError, LogError, SlotHead};
use anser_core::presence::Presence;
use anser_core::record::Record;
use anser_model::{Command, N, Refusal, Reign, Slot, UnixMillis};

use super::agenda::Happening;
use super::edge::ToEdge;
use super::plan::Shape;
use super::world::{BEGINNING, SLOT_KEY, TIMELINE, World};

/// How often engines are told that time goes on.
const TICK_MS: u64 = 200;
/// How often an owner asks the log whether it still rules.
const HEARTBEAT_MS: u64 = 1_000;
/// How often the log is trimmed.
const TRIM_MS: u64 = 10_000;
/// Bytes of records that are read at once: few, so that a tail takes several reads.
const READ_BYTES: usize = 2_000;
/// Conversations of a slot kept in memory, below which a seed draws: few, so that they are loaded again and
/// again, and what is shown comes from the stores.
const CONVERSATIONS_KEPT: u64 = 3;

/// One core process.
pub(super) struct Node {
    pub up: bool,
    /// Counts its starts: what is meant for an earlier one is lost.
    pub life: u32,
    pub rulers: BTreeMap<Slot, Ruler>,
    pending: Vec<(Slot, u64, Input)>,
    turn_is_due: bool,
    pub routing: Routing,
    pub presence: Presence,
    /// By how much its wall clock is off.
    pub clock_off_ms: i64,
    /// How much faster its monotonic clock runs, in millionths.
    pub drift: i64,
    stands_still_until: u64,
    /// What waits until it goes on, in order.
    held_up: Vec<Happening>,
    pub no_log_until: u64,
    /// Records of the coming group commit (one machine).
    pub committing: Vec<(Slot, u64, Record)>,
}

/// One slot that a node rules, or is about to.
pub(super) struct Ruler {
    pub engine: SlotEngine,
    /// Another engine of the slot has another one.
    pub serial: u64,
    /// Nobody ruled the slot before.
    is_first: bool,
    /// n of its opening, once it serves.
    pub serves_from: Option<N>,
    /// Appends under way, in the order in which they were sent, with the fate of those of which it is known.
    pub appends: VecDeque<(N, Option<Result<(), AppendError>>)>,
}

impl Node {
    pub fn new(drift: i64) -> Self {
        Node {
            up: false,
            life: 0,
            rulers: BTreeMap::new(),
            pending: Vec::new(),
            turn_is_due: false,
            routing: Routing::default(),
            presence: Presence::default(),
            clock_off_ms: 0,
            drift,
            stands_still_until: 0,
            held_up: Vec::new(),
            no_log_until: 0,
            committing: Vec::new(),
        }
    }

    fn clock(&self, now: u64) -> Now {
        let wall = (BEGINNING.0 + now).saturating_add_signed(self.clock_off_ms);
        let monotonic_ms = 1_000_000 + now.saturating_add_signed(now as i64 * self.drift / 1_000_000);
        Now { wall: UnixMillis(wall), monotonic_ms }
    }
}

impl World {
    /// Starts a core: it rules nothing yet.
    pub(super) fn start_node(&mut self, id: usize) {
        if self.nodes[id].up {
            return;
        }
        if let Some(machine) = &mut self.machine {
            if let Err(error) = machine.start(UnixMillis(BEGINNING.0 + self.now)) {
                return self.broken("the log does not open again", format!("{error}"));
            }
            self.read_what_survived();
        }
        let node = &mut self.nodes[id];
        node.up = true;
        node.life += 1;
        node.stands_still_until = 0;
        node.held_up.clear();
        let life = node.life;
        self.note(format_args!("core {id} starts"));
        self.tick_node(id, life);
        if self.plan.shape != Shape::OneMachine {
            self.heartbeat(id, life);
        }
        for slot in self.slots_in_use() {
            if self.directory.get(&slot) == Some(&id) {
                self.rule(id, slot);
            }
        }
        for edge in 0..self.edges.len() {
            self.link_later(edge, id);
        }
    }

    /// Kills a core.
    pub(super) fn stop_node(&mut self, id: usize, loses_power: bool) {
        let node = &mut self.nodes[id];
        if !node.up {
            return;
        }
        node.up = false;
        node.rulers.clear();
        node.pending.clear();
        node.committing.clear();
        node.turn_is_due = false;
        node.routing = Routing::default();
        node.presence = Presence::default();
        if let Some(machine) = &mut self.machine {
            machine.stop(loses_power);
        }
        self.note(format_args!("core {id} is gone"));
        for edge in 0..self.edges.len() {
            self.unlink(edge, id);
        }
    }

    fn tick_node(&mut self, id: usize, life: u32) {
        let slots: Vec<(Slot, u64)> =
            self.nodes[id].rulers.iter().map(|(&slot, ruler)| (slot, ruler.serial)).collect();
        for (slot, serial) in slots {
            self.give_input(id, slot, serial, Input::Tick);
        }
        self.tell_presence(id);
        if self.now / TRIM_MS != (self.now + TICK_MS) / TRIM_MS {
            self.trim(id);
        }
        self.on_node(id, life, TICK_MS, move |world| world.tick_node(id, life));
    }

    fn heartbeat(&mut self, id: usize, life: u32) {
        let asked_at_ms = self.nodes[id].clock(self.now).monotonic_ms;
        let (there, back) = (self.log_delay(id), self.log_delay(id));
        if let (Some(there), Some(back)) = (there, back) {
            self.after(there, move |world| {
                let heads: Vec<SlotHead> =
                    world.slots_in_use().into_iter().map(|slot| world.shared.head(slot)).collect();
                world.on_node(id, life, back, move |world| {
                    for head in heads {
                        if let Some(ruler) = world.nodes[id].rulers.get(&head.slot) {
                            let serial = ruler.serial;
                            world.give_input(id, head.slot, serial, Input::Verified { asked_at_ms, head });
                        }
                    }
                });
            });
        }
        self.on_node(id, life, HEARTBEAT_MS, move |world| world.heartbeat(id, life));
    }

    fn trim(&mut self, id: usize) {
        let folded: Vec<(Slot, N)> =
            self.nodes[id].rulers.iter().map(|(&slot, ruler)| (slot, ruler.engine.folded())).collect();
        match &mut self.machine {
            Some(machine) => {
                // What cannot be trimmed now is trimmed later.
                let below: Vec<(Slot, N)> =
                    folded.iter().map(|&(slot, folded)| (slot, folded.next())).collect();
                _ = machine.log().trim(&below);
            }
            None => {
                for (slot, folded) in folded {
                    // A margin, as the server keeps one, for an owner that is just starting.
                    let kept = self.trimmed.insert(slot, folded.next()).unwrap_or_default();
                    self.shared.trim(slot, kept);
                }
            }
        }
    }

    /// Makes a core the owner of a slot, as far as it is concerned.
    pub(super) fn rule(&mut self, id: usize, slot: Slot) {
        self.serials += 1;
        let serial = self.serials;
        let config = EngineConfig {
            slot,
            timeline: TIMELINE,
            slot_key: SLOT_KEY,
            conversations_kept: (self.plan.seed % CONVERSATIONS_KEPT) as usize,
            leased: self.plan.shape != Shape::OneMachine,
        };
        let ruler = Ruler {
            engine: SlotEngine::new(config),
            serial,
            is_first: false,
            serves_from: None,
            appends: VecDeque::new(),
        };
        self.nodes[id].rulers.insert(slot, ruler);
        self.note(format_args!("core {id} is to rule slot {slot}"));
        self.find_start(id, slot, serial);
    }

    /// Reads where the slot stands, until that can be read.
    fn find_start(&mut self, id: usize, slot: Slot, serial: u64) {
        let life = self.nodes[id].life;
        let Some(delay) = self.log_delay(id) else {
            return self.on_node(id, life, 500, move |world| world.find_start(id, slot, serial));
        };
        self.on_node(id, life, delay, move |world| {
            let head = match &mut world.machine {
                Some(machine) => machine.log().heads()[slot.index()],
                None => world.shared.head(slot),
            };
            let (index_folded, history_folded) = world.stores.checkpoints(slot);
            let nonce = Reign(world.chance.number() | 1);
            if let Some(ruler) = world.nodes[id].rulers.get_mut(&slot).filter(|it| it.serial == serial) {
                ruler.is_first = head.reign == Reign(0);
                let start = Start { head, index_folded, history_folded, nonce };
                world.give_input(id, slot, serial, Input::Start(start));
            }
        });
    }

    /// Gives a command or a question to a core that somebody takes for the owner of its slot.
    pub(super) fn give(&mut self, id: usize, slot: Slot, input: Input) {
        if !self.nodes[id].up {
            return;
        }
        if !self.nodes[id].rulers.contains_key(&slot) && self.owner(slot) == id {
            self.rule(id, slot);
        }
        match self.nodes[id].rulers.get(&slot) {
            Some(ruler) => {
                let serial = ruler.serial;
                self.give_input(id, slot, serial, input);
            }
            None => self.refuse(id, input),
        }
    }

    fn refuse(&mut self, id: usize, input: Input) {
        if let Input::Command { reply, .. } | Input::Query { reply, .. } = input {
            self.answer(id, reply, Err(Refusal::Unavailable));
        }
    }

    pub(super) fn give_input(&mut self, id: usize, slot: Slot, serial: u64, input: Input) {
        self.nodes[id].pending.push((slot, serial, input));
        if !self.nodes[id].turn_is_due {
            self.nodes[id].turn_is_due = true;
            let life = self.nodes[id].life;
            let delay = self.chance.below(2);
            self.on_node(id, life, delay, move |world| world.turn(id));
        }
    }

    /// Feeds what came until nothing is left, and performs what follows.
    fn turn(&mut self, id: usize) {
        self.nodes[id].turn_is_due = false;
        let now = self.nodes[id].clock(self.now);
        let mut effects = Vec::new();
        let mut touched = BTreeSet::new();
        for (slot, serial, input) in std::mem::take(&mut self.nodes[id].pending) {
            let Some(mut ruler) = self.nodes[id].rulers.remove(&slot) else {
                self.refuse(id, input);
                continue;
            };
            if ruler.serial == serial {
                self.coverage.input(&input);
                self.heard(slot, &input);
                ruler.engine.step(input, now, &mut effects);
                touched.insert((slot, serial));
            } else {
                self.refuse(id, input);
            }
            self.nodes[id].rulers.insert(slot, ruler);
            self.perform_all(id, slot, &mut effects);
        }
        for (slot, serial) in touched {
            let ruler = self.nodes[id].rulers.get_mut(&slot).filter(|ruler| ruler.serial == serial);
            let Some(ruler) = ruler else { continue };
            ruler.engine.settle(&mut effects);
            let opens = ruler.engine.is_open() && ruler.serves_from.is_none();
            if opens {
                ruler.serves_from = Some(ruler.engine.durable());
            }
            let is_first = ruler.is_first;
            if opens {
                // Before anything of it is let go: an answer would move a cursor past what was missed.
                self.note(format_args!("core {id} rules slot {slot}"));
                self.reigns(slot, id);
                self.announce(id, slot, is_first);
            }
            self.perform_all(id, slot, &mut effects);
        }
    }

    fn perform_all(&mut self, id: usize, slot: Slot, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            self.coverage.effect(&effect);
            self.perform(id, slot, effect);
        }
    }

    fn perform(&mut self, id: usize, slot: Slot, effect: Effect) {
        let Some(serial) = self.nodes[id].rulers.get(&slot).map(|ruler| ruler.serial) else { return };
        let life = self.nodes[id].life;
        match effect {
            Effect::Append(record) => self.append(id, slot, serial, record),
            Effect::ReadLog { from } => {
                let delay = self.log_delay(id);
                let wait = delay.unwrap_or(1_000);
                self.on_node(id, life, wait, move |world| {
                    let read = match &mut world.machine {
                        Some(machine) => machine.log().read(slot, from, READ_BYTES),
                        None if delay.is_none() => Err(LogError::Unavailable("no road to the log".into())),
                        None => world.shared.read(slot, from, READ_BYTES),
                    };
                    world.give_input(id, slot, serial, Input::LogRead(read));
                });
            }
            Effect::Fetch { id: fetch, fetch: what } => self.fetch(id, slot, serial, fetch, what),
            Effect::FlushIndex(batch) => {
                let through = batch.through;
                self.flush(id, slot, serial, through, move |world| world.stores.flush_index(&batch));
            }
            Effect::FlushHistory(batch) => {
                let through = batch.through;
                self.flush(id, slot, serial, through, move |world| world.stores.flush_history(&batch));
            }
            Effect::Ask { ask, command } => self.ask(id, slot, ask, command),
            Effect::Release(released) => released.into_iter().for_each(|it| self.release(id, slot, it)),
            Effect::Halt(why) => {
                self.note(format_args!("core {id} halts: {why}"));
                if !self.may_halt(&why) {
                    self.broken("a core halts without cause", format!("core {id}: {why}"));
                }
                self.stop_node(id, false);
                self.after(1_500, move |world| world.start_node(id));
            }
            Effect::Deposed => {
                self.note(format_args!("core {id} is deposed from slot {slot}"));
                self.nodes[id].rulers.remove(&slot);
                // By one who was told earlier and came late: it takes the slot back.
                let wait = 500 + self.chance.below(2_000);
                self.on_node(id, life, wait, move |world| {
                    if world.owner(slot) == id && !world.nodes[id].rulers.contains_key(&slot) {
                        world.rule(id, slot);
                    }
                });
            }
            Effect::Outdated => {
                self.nodes[id].rulers.remove(&slot);
                self.rule(id, slot);
            }
            Effect::Closed => {
                self.note(format_args!("core {id} has closed slot {slot}"));
                self.nodes[id].rulers.remove(&slot);
                let owner = self.owner(slot);
                if self.nodes[owner].up && !self.nodes[owner].rulers.contains_key(&slot) {
                    self.rule(owner, slot);
                }
            }
        }
    }

    fn fetch(&mut self, id: usize, slot: Slot, serial: u64, fetch: anser_core::engine::FetchId, what: Fetch) {
        let life = self.nodes[id].life;
        let fails = self.store_fails();
        let delay = self.store_delay();
        // What is read is read somewhere on the way.
        let there = self.chance.below(delay + 1);
        self.on_node(id, life, there, move |world| {
            let result = match fails {
                true => Err(StoreError::Unavailable("the store is away".into())),
                false => Ok(world.stores.fetch(slot, what)),
            };
            world.on_node(id, life, delay - there, move |world| {
                world.give_input(id, slot, serial, Input::Fetched { fetch, result });
            });
        });
    }

    /// A flush lands, or not, or lands and nobody learns of it, or lands when it was given up long ago.
    fn flush(
        &mut self,
        id: usize,
        slot: Slot,
        serial: u64,
        through: N,
        land: impl FnOnce(&mut World) + 'static,
    ) {
        let life = self.nodes[id].life;
        let is_late = self.now < self.late_stores_until;
        let (delay, fails) = (self.store_delay(), self.store_fails() || is_late);
        if !fails {
            // A transaction of a process that is killed lands or not.
            let survives = self.chance.happens(1, 2);
            return self.after(delay, move |world| {
                if survives || world.nodes[id].life == life && world.nodes[id].up {
                    land(world);
                }
                world.on_node(id, life, 0, move |world| {
                    world.give_input(id, slot, serial, Input::Flushed { through, result: Ok(()) });
                });
            });
        }
        match self.chance.below(3) {
            0 if !is_late => {}
            1 if !is_late => self.after(delay, land),
            _ => {
                let late = delay + 1_000 + self.chance.below(6_000);
                self.after(late, land);
            }
        }
        let result = Err(StoreError::Unavailable("the store did not answer".into()));
        self.on_node(id, life, delay, move |world| {
            world.give_input(id, slot, serial, Input::Flushed { through, result });
        });
    }

    fn ask(&mut self, id: usize, slot: Slot, ask: AskId, command: Command) {
        let to = SLOT_KEY.slot(command.cid);
        let owner = self.owner(to);
        let asker = self.nodes[id].rulers[&slot].serial;
        self.asks.insert((slot, ask), (id, self.nodes[id].life, asker));
        if owner != id && self.happens_on_road(self.roads().ask_lost) {
            return self.fault("ask lost");
        }
        let delay = if owner == id { 0 } else { self.link_delay() };
        let reply = ReplyTo::Slot { slot, ask };
        self.after(delay, move |world| world.give(owner, to, Input::Command { reply, command }));
    }

    fn replied(&mut self, slot: Slot, ask: AskId, answer: Result<(), Refusal>) {
        let Some(&(id, life, serial)) = self.asks.get(&(slot, ask)) else { return };
        let twice = self.happens_on_road(self.roads().ask_twice);
        for _ in 0..1 + u32::from(twice) {
            let delay = self.link_delay();
            let answer = answer.clone();
            self.on_node(id, life, delay, move |world| {
                world.give_input(id, slot, serial, Input::Replied { ask, answer });
            });
        }
    }

    fn release(&mut self, id: usize, slot: Slot, released: Released) {
        match released {
            Released::Event(event) => {
                self.released_event(&event);
                for (edge, accounts) in self.nodes[id].routing.plan(&event.audience) {
                    let event = event.clone();
                    self.send_to_edge(id, usize::from(edge.0), ToEdge::Event { event, accounts });
                }
            }
            Released::Void(void) => {
                for (edge, accounts) in self.nodes[id].routing.plan(&void.accounts) {
                    let void = Void { slot: void.slot, accounts };
                    self.send_to_edge(id, usize::from(edge.0), ToEdge::Void(void));
                }
            }
            Released::Typing(typing) => {
                self.released_typing(&typing);
                for (edge, accounts) in self.nodes[id].routing.plan(&typing.audience) {
                    let typing = typing.clone();
                    self.send_to_edge(id, usize::from(edge.0), ToEdge::Typing { typing, accounts });
                }
            }
            Released::Answer { reply, answer } => {
                self.released_answer(slot, reply, &answer);
                if let (ReplyTo::Session { edge, session, .. }, Ok(Answer::Acquainted(found))) =
                    (reply, &answer)
                {
                    self.released_acquainted((edge, session), found);
                }
                self.answer(id, reply, answer);
            }
        }
    }

    fn answer(&mut self, id: usize, reply: ReplyTo, answer: Result<Answer, Refusal>) {
        match reply {
            ReplyTo::Session { edge, .. } | ReplyTo::Sync { edge, .. } => {
                self.send_to_edge(id, usize::from(edge), ToEdge::Answer { reply, answer });
            }
            ReplyTo::Caller(caller) => match self.callers.remove(&caller) {
                Some((edge, life, session)) => {
                    self.send_to_edge(id, edge, ToEdge::Told { life, session, answer });
                }
                None => self.told_world(caller, &answer),
            },
            ReplyTo::Slot { slot, ask } => self.replied(slot, ask, answer.map(|_| ())),
        }
    }

    /// Does something on a node later, if it lives on until then; it waits where the node stands still.
    pub(super) fn on_node(&mut self, id: usize, life: u32, ms: u64, then: impl FnOnce(&mut World) + 'static) {
        self.after(ms, move |world| {
            let node = &world.nodes[id];
            if !node.up || node.life != life {
                return;
            }
            if node.stands_still_until > 0 {
                return world.nodes[id].held_up.push(Box::new(then));
            }
            then(world);
        });
    }

    /// A core stands still: what comes to it waits.
    pub(super) fn stand_still(&mut self, id: usize, ms: u64) {
        let until = self.now + ms;
        self.nodes[id].stands_still_until = until;
        self.after(ms, move |world| {
            if world.nodes[id].stands_still_until == until {
                world.go_on(id);
            }
        });
    }

    /// It goes on, with what waited, in order.
    pub(super) fn go_on(&mut self, id: usize) {
        let life = self.nodes[id].life;
        self.nodes[id].stands_still_until = 0;
        for happening in std::mem::take(&mut self.nodes[id].held_up) {
            if self.nodes[id].up && self.nodes[id].life == life {
                happening(self);
            }
        }
    }

    /// A question of the world itself to the home of somebody.
    pub(super) fn command_of_the_world(&mut self, caller: u64, command: Command) {
        let slot = SLOT_KEY.slot(command.cid);
        let owner = self.owner(slot);
        self.give(owner, slot, Input::Command { reply: ReplyTo::Caller(caller), command });
    }

    /// Enters an account of an edge into a core's routing, or takes it out.
    pub(super) fn route(&mut self, id: usize, edge: usize, account: anser_model::AccountId, is_there: bool) {
        let (edge, now, node) = (EdgeId(edge as u16), self.now, &mut self.nodes[id]);
        if is_there && node.routing.enter(account, edge) {
            node.presence.came(account);
        }
        if !is_there && node.routing.leave(account, edge) {
            node.presence.left(account, now);
        }
    }

    /// Whether a query may be asked here and now of this slot.
    pub(super) fn query(&mut self, id: usize, slot: Slot, reply: ReplyTo, query: Query) {
        self.give(id, slot, Input::Query { reply, query });
    }
}
