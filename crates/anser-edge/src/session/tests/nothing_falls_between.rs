//! Whatever the order of facts, answers, syncs and overflows, a client that follows the rules of the cursor
//! ends with everything.

use std::collections::BTreeSet;

use super::super::QUEUE_BYTES_MAX;
use super::*;

const RUNS: u64 = 3_000;
const STEPS: u64 = 200;
const SLOTS: u64 = 3;

/// Numbers that look random and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// The cores' side: facts of each slot, and questions that were not answered yet.
struct World {
    newest: BTreeMap<u8, u64>,
    /// Slots that the home knows.
    entered: Vec<u8>,
    asked: Vec<(Slot, u32)>,
    asks_home: bool,
}

/// A client as docs/protocol.md has it: nothing moves the cursor of a slot that owes its heads.
#[derive(Default)]
struct Client {
    cursor: BTreeMap<u32, u64>,
    owing: Vec<u32>,
    /// Where events were missed: a sync has to be asked for.
    resync: BTreeSet<u32>,
    syncing: bool,
}

impl Client {
    fn take(&mut self, frame: Frame) {
        use v1::response::Result as Wire;
        match frame {
            Frame::Response(v1::Response { result: Some(Wire::Welcome(welcome)), .. }) => {
                (self.owing, self.resync) = (welcome.owing, BTreeSet::new());
            }
            Frame::Response(v1::Response { result: Some(Wire::SyncStarted(started)), .. }) => {
                (self.owing, self.syncing) = (started.owing, false);
            }
            Frame::Event(event) => {
                let is_missed = self.resync.contains(&event.slot);
                if is_missed || self.syncing || self.owing.contains(&event.slot) {
                    panic!("event {}.{} before the heads of its slot", event.slot, event.n);
                }
                let cursor = self.cursor.entry(event.slot).or_default();
                assert_eq!(event.n, *cursor + 1, "an event of slot {} is missing or told twice", event.slot);
                *cursor = event.n;
            }
            Frame::SyncHeads(heads) if heads.done && !self.syncing && !self.resync.contains(&heads.slot) => {
                self.owing.retain(|&slot| slot != heads.slot);
                let cursor = self.cursor.entry(heads.slot).or_default();
                *cursor = heads.n.max(*cursor);
            }
            Frame::SyncHeads(_) => {}
            Frame::Resync(resync) if resync.slots.is_empty() => self.resync.extend(0..SLOTS as u32),
            Frame::Resync(resync) => self.resync.extend(resync.slots),
            other => panic!("{other:?}"),
        }
    }

    fn saved(&self) -> v1::Cursor {
        v1::Cursor { timeline: 1, slots: self.cursor.clone().into_iter().collect() }
    }
}

struct Play {
    rig: Rig,
    world: World,
    client: Client,
    /// The shell knows at once how far slots have come.
    knows_newest: bool,
}

impl Play {
    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Query { slot, reply: ReplyTo::Sync { round, .. }, .. } => {
                    self.world.asked.push((slot, round));
                }
                Effect::AskCore { .. } => self.world.asks_home = true,
                Effect::AskLater { slot, round } => {
                    let effects = self.rig.give(Input::AskAgain { slot, round });
                    self.perform(effects);
                }
                Effect::Enter(_) | Effect::Ask(Question::Token(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn home(&mut self) {
        if std::mem::take(&mut self.world.asks_home) {
            let effects = self.rig.give(home(&self.world.entered));
            self.perform(effects);
        }
    }

    fn answer(&mut self, index: usize, refuse: bool) {
        let (slot, round) = self.world.asked.remove(index);
        let effects = if refuse {
            self.rig.give(refused(slot.0, round))
        } else {
            self.rig.heads(slot.0, round, self.world.newest.get(&slot.0).copied().unwrap_or(0))
        };
        self.perform(effects);
    }

    fn fact(&mut self, slot: u8, padding: usize) {
        if !self.world.entered.contains(&slot) {
            self.world.entered.push(slot);
        }
        let n = self.world.newest.entry(slot).or_default();
        *n += 1;
        let n = *n;
        self.decided(slot, n);
        self.rig.offer_bytes(slot, n, padding);
    }

    /// Known to the shell before anybody is told, where such things are known.
    fn decided(&mut self, slot: u8, n: u64) {
        if self.knows_newest {
            self.rig.shell.newest.insert(Slot(slot), N(n));
        }
    }

    fn read(&mut self) {
        for frame in self.rig.sent() {
            self.client.take(frame);
        }
    }

    fn sync(&mut self) {
        if !self.rig.session.is_busy() {
            self.client.resync.clear();
            self.client.syncing = true;
            let cursor = Some(self.client.saved());
            let effects = self.rig.ask(Request::Sync(v1::Sync { cursor }));
            self.perform(effects);
        }
    }
}

fn play(seed: u64) {
    let mut chance = Chance(seed);
    let world = World { newest: BTreeMap::new(), entered: Vec::new(), asked: Vec::new(), asks_home: false };
    let knows_newest = chance.below(2) == 0;
    let mut play = Play { rig: Rig::new(), world, client: Client::default(), knows_newest };
    for slot in 0..chance.below(SLOTS) {
        play.fact(slot as u8, 0);
    }
    let effects = play.rig.greet(hello());
    play.perform(effects);
    let effects = play.rig.give(Input::Verified(Ok(VERIFIED)));
    play.perform(effects);
    for _ in 0..STEPS {
        match chance.below(16) {
            0..=6 => {
                let padding = if chance.below(8) == 0 { QUEUE_BYTES_MAX / 3 } else { 0 };
                play.fact(chance.below(SLOTS) as u8, padding);
            }
            7 | 8 => play.home(),
            9..=11 if !play.world.asked.is_empty() => {
                let index = chance.below(play.world.asked.len() as u64) as usize;
                let refuse = chance.below(4) == 0;
                play.answer(index, refuse);
            }
            12 | 13 => play.read(),
            14 if !play.client.resync.is_empty() || chance.below(4) == 0 => {
                play.read();
                play.sync();
            }
            15 if chance.below(4) == 0 => {
                // The core lost its place in a slot: a fact of it is not told.
                let slot = chance.below(SLOTS) as u8;
                if let Some(n) = play.world.newest.get_mut(&slot) {
                    *n += 1;
                    let n = *n;
                    play.decided(slot, n);
                    play.rig.session.resync(&[Slot(slot)], &play.rig.shell);
                }
            }
            _ => {}
        }
    }
    // Everything is answered, and the client syncs as often as it is told to.
    for _ in 0..3 {
        play.home();
        while !play.world.asked.is_empty() {
            play.answer(0, false);
        }
        play.read();
        if !play.client.resync.is_empty() {
            play.sync();
        }
    }
    assert!(play.client.owing.is_empty() && play.client.resync.is_empty() && !play.client.syncing);
    for (slot, n) in &play.world.newest {
        assert_eq!(play.client.cursor.get(&u32::from(*slot)), Some(n), "slot {slot} fell behind");
    }
}

#[test]
fn nothing_falls_between_facts_and_syncs() {
    for seed in 1..=RUNS {
        if let Err(why) = std::panic::catch_unwind(|| play(seed)) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(why);
        }
    }
}
