//! A life of the history: flushes, merges, erasing, forgetting and reopening, with one fault, and what is found then.

mod ledger;

use std::sync::Arc;

use anser_core::ports::history::{FactRow, HistoryBatch, KeyRow};
use anser_embedded::history::{HistoryError, HistoryOptions, MANIFEST_FILE, SteppedHistory};
use anser_model::{ConversationId, N, Seq, Slot};
use bytes::Bytes;

use self::ledger::FoldLedger;
use super::finding::{Breach, Finding};
use super::point::{Point, Then, survivor};
use crate::chance::Chance;
use crate::disk::{Fault, SimDisk, Survival};

const SLOTS: [Slot; 3] = [Slot(0), Slot(7), Slot(255)];
const CIDS: [u8; 2] = [1, 2];
/// Seqs that rows of a conversation have: few, so that many are written again.
const SEQS: u64 = 9;
const STEPS: u64 = 16;
const OPEN_TRIES: u64 = 60;
/// A day, since 1970, around which keys are filed.
const DAY: u32 = 20_000;
/// Far after everything that was ever flushed.
const LATE_MS: u64 = 1 << 40;

/// A life up to its fault: many points begin with the same one.
pub(crate) struct StruckHistory {
    seed: u64,
    disk: SimDisk,
    ledger: FoldLedger,
}

/// A disk with a process on it.
struct World {
    disk: SimDisk,
    options: HistoryOptions,
}

/// One life of a history. `fault` strikes at the operation with that number. How many rows must be there.
pub(crate) fn live(seed: u64, fault: Option<(u64, Fault)>) -> Result<(SimDisk, usize), Finding> {
    live_on(seed, fault).map(|(disk, ledger)| (disk, ledger.kept()))
}

fn live_on(seed: u64, fault: Option<(u64, Fault)>) -> Result<(SimDisk, FoldLedger), Finding> {
    let world = World::new(SimDisk::new(seed), seed);
    if let Some((operation, fault)) = fault {
        world.disk.plan(operation, fault);
    }
    let mut life = Life { chance: Chance::of(&[seed, 3]), ledger: FoldLedger::default(), now_ms: 1, world };
    life.run()?;
    Ok((life.world.disk, life.ledger))
}

impl StruckHistory {
    /// Lives until the fault, or to the end where it is one that the process survives. `None` where
    /// the fault found nothing to strike.
    pub fn live(seed: u64, operation: u64, fault: Fault) -> Result<Option<Self>, Finding> {
        let (disk, ledger) = live_on(seed, Some((operation, fault)))?;
        Ok(disk.struck().is_some().then_some(StruckHistory { seed, disk, ledger }))
    }

    /// Goes through one point. Returns how many operations its first recovery took.
    pub fn go_through(&self, point: &Point) -> Result<u64, Finding> {
        let world = World::new(survivor(point, &self.disk), self.seed);
        let mut ledger = self.ledger.clone();
        match point.then {
            Then::Check => self.check(&world, &mut ledger),
            Then::Again(fault, at) => {
                world.disk.plan(at, fault);
                if let Some(history) = world.open()? {
                    // It may go down, or fail, at any time; what was told must be true all the same.
                    let checked = ledger.check(&history);
                    if world.disk.struck().is_none() {
                        checked?;
                    }
                }
                let disk = match fault {
                    Fault::Kill => world.disk.killed(),
                    _ => world.disk.crashed(Survival::Torn(point.survival + point.operation + 77)),
                };
                self.check(&World::new(disk, self.seed), &mut ledger)
            }
            Then::Rot(seed) => self.rot(&world, &mut ledger, seed),
        }
    }

    fn check(&self, world: &World, ledger: &mut FoldLedger) -> Result<u64, Finding> {
        let history = must_open(world)?;
        let operations = world.disk.operations();
        ledger.check(&history)?;
        drop(history);
        // Whoever opened it was told what is there: a power cut now must not change that.
        let world = World::new(world.disk.crashed(Survival::Nothing), self.seed);
        let mut history = must_open(&world)?;
        ledger.check(&history)?;
        world.disk.make_space();
        go_on(&mut history, ledger, self.seed)?;
        ledger.check(&history)?;
        ledger.check_erased(&world.disk)?;
        drop(history);
        let world = World::new(world.disk.crashed(Survival::Nothing), self.seed);
        let history = must_open(&world)?;
        ledger.check(&history)?;
        history.check().map_err(|error| Finding::new(Breach::Refused, error.to_string()))?;
        Ok(operations)
    }

    /// Flips a bit of a file that counts. Whoever reads everything must find it, and nobody may be served it.
    fn rot(&self, world: &World, ledger: &mut FoldLedger, seed: u64) -> Result<u64, Finding> {
        let history = must_open(world)?;
        let operations = world.disk.operations();
        ledger.check(&history)?;
        drop(history);
        let mut chance = Chance::of(&[seed, self.seed, 9]);
        let names = world.disk.names();
        let name = match chance.happens(1, 8) {
            true => MANIFEST_FILE,
            false => &names[chance.below(names.len() as u64) as usize],
        };
        let bytes = world.disk.peek(name).expect("it is listed").len();
        let (offset, bit) = (chance.below(bytes as u64) as usize, chance.below(8) as u8);
        world.disk.rot(name, offset, bit);
        let Ok(history) = world.try_open() else { return Ok(operations) };
        ledger.check_honest(&history)?;
        match history.check() {
            Err(_) => Ok(operations),
            Ok(_) => {
                let what = format!("bit {bit} of byte {offset} of {name} was flipped, and nobody was told");
                Err(Finding::new(Breach::Undetected, what))
            }
        }
    }
}

impl World {
    fn new(disk: SimDisk, seed: u64) -> Self {
        let mut options = HistoryOptions::usual();
        options.block_bytes = 150 + Chance::of(&[seed, 1]).below(400) as usize;
        options.tier_segments = 2 + Chance::of(&[seed, 2]).below(2) as usize;
        options.tier_segments_max = 4 * options.tier_segments;
        options.sync_step_bytes = 600;
        options.erase_gather_ms = 3;
        World { disk, options }
    }

    fn try_open(&self) -> Result<SteppedHistory, HistoryError> {
        SteppedHistory::open(Arc::new(self.disk.clone()), self.options.clone())
    }

    /// Opens the history, again and again while a fault that passes is in the way. `None` where the
    /// machine went down.
    fn open(&self) -> Result<Option<SteppedHistory>, Finding> {
        for tries in 0..OPEN_TRIES {
            if tries == OPEN_TRIES / 2 {
                self.disk.make_space();
            }
            match self.try_open() {
                Ok(history) => return Ok(Some(history)),
                Err(_) if self.disk.is_down() => return Ok(None),
                Err(HistoryError::NoSpace { .. }) if self.disk.is_full() || self.disk.struck().is_some() => {}
                Err(HistoryError::Reading { .. } | HistoryError::Writing { .. })
                    if self.disk.struck().is_some() => {}
                Err(error) => return Err(Finding::new(Breach::Refused, error.to_string())),
            }
        }
        Err(Finding::new(Breach::Refused, "the fault has passed, and still the history does not open"))
    }
}

fn must_open(world: &World) -> Result<SteppedHistory, Finding> {
    let opened = match world.try_open() {
        // Making a history needs space; opening one does not.
        Err(HistoryError::NoSpace { .. }) if world.disk.is_full() => {
            world.disk.make_space();
            world.try_open()
        }
        opened => opened,
    };
    opened.map_err(|error| Finding::new(Breach::Refused, error.to_string()))
}

/// What must be possible after any recovery: every slot folds on, and all that is due is merged and erased.
fn go_on(history: &mut SteppedHistory, ledger: &mut FoldLedger, seed: u64) -> Result<(), Finding> {
    let refused = |error: HistoryError| Finding::new(Breach::Refused, error.to_string());
    let mut chance = Chance::of(&[seed, 4]);
    let batches: Vec<HistoryBatch> =
        SLOTS.map(|slot| draw_batch(&mut chance, ledger, slot)).into_iter().collect();
    history.flush(batches.clone(), LATE_MS).map_err(refused)?;
    ledger.flushed(batches, true);
    while history.erase(2 * LATE_MS).map_err(refused)? {}
    while history.merge().map_err(refused)? {}
    while history.erase(2 * LATE_MS).map_err(refused)? {}
    Ok(())
}

/// What a slot folds next: some rows, some of them written again, some late, and keys of several days.
fn draw_batch(chance: &mut Chance, ledger: &FoldLedger, slot: Slot) -> HistoryBatch {
    let mut n = ledger.checkpoint(slot);
    let (mut facts, mut keys) = (Vec::new(), Vec::new());
    for _ in 0..1 + chance.below(5) {
        n = n.next();
        let cid = ConversationId([CIDS[chance.below(2) as usize]; 16]);
        let seq = Seq(1 + chance.below(SEQS));
        if facts.iter().any(|row: &FactRow| row.cid == cid && row.seq == seq) {
            continue;
        }
        let known = ledger.row(slot, cid, seq);
        if let Some(known) = known
            && chance.happens(1, 8)
        {
            // A late flush writes an older version, which changes nothing.
            if known.n > N(1) {
                let fact = body(slot, cid, seq, N(known.n.0 - 1));
                facts.push(FactRow { cid, seq, n: N(known.n.0 - 1), fact, replaces: true });
            }
            continue;
        }
        facts.push(FactRow { cid, seq, n, fact: body(slot, cid, seq, n), replaces: known.is_some() });
        let day = DAY + chance.below(5) as u32;
        keys.push(KeyRow { key: u128::from(chance.below(6)), day, n, seq, request_hash: n.0 });
    }
    HistoryBatch { slot, through: n, facts, keys }
}

/// Bytes that nothing else holds.
fn body(slot: Slot, cid: ConversationId, seq: Seq, n: N) -> Bytes {
    let name = format!("<{slot} {} {seq} {n}>", cid.0[0]);
    Bytes::from(name + &"\u{b7}".repeat((n.0 as usize * 7) % 40))
}

struct Life {
    world: World,
    chance: Chance,
    ledger: FoldLedger,
    now_ms: u64,
}

impl Life {
    fn run(&mut self) -> Result<(), Finding> {
        let Some(mut history) = self.world.open()? else { return Ok(()) };
        self.ledger.check(&history)?;
        for step in 0..STEPS {
            self.now_ms += 1;
            // It begins with something to merge.
            match if step < 2 { 15 } else { self.chance.below(16) } {
                0 => self.forget(&history)?,
                1 => self.world.disk.make_space(),
                2 => {
                    history = match self.restart(history)? {
                        Some(history) => history,
                        None => return Ok(()),
                    }
                }
                3..=5 => self.merge(&history)?,
                6..=8 => self.erase(&mut history)?,
                _ => self.flush(&history)?,
            }
            if self.world.disk.is_down() {
                return Ok(());
            }
            if history.is_broken() {
                // The process exits, as it must; the next one starts.
                history = match self.restart(history)? {
                    Some(history) => history,
                    None => return Ok(()),
                };
            }
        }
        Ok(())
    }

    fn restart(&mut self, history: SteppedHistory) -> Result<Option<SteppedHistory>, Finding> {
        drop(history);
        let Some(history) = self.world.open()? else { return Ok(None) };
        let checked = self.ledger.check(&history);
        // A read may have met the fault.
        match self.world.disk.is_down() {
            true => Ok(None),
            false if self.world.disk.struck() == Some(Fault::IoError) && checked.is_err() => {
                self.ledger.check(&history).map(|()| Some(history))
            }
            false => checked.map(|()| Some(history)),
        }
    }

    fn flush(&mut self, history: &SteppedHistory) -> Result<(), Finding> {
        let mut batches = Vec::new();
        for slot in SLOTS {
            if batches.is_empty() || self.chance.happens(1, 3) {
                batches.push(draw_batch(&mut self.chance, &self.ledger, slot));
            }
        }
        let was_whole = !history.is_broken();
        match history.flush(batches.clone(), self.now_ms) {
            Ok(()) => self.ledger.flushed(batches, true),
            // Promised: nothing landed, nor will it.
            Err(HistoryError::NoSpace { .. }) if self.is_struck() => {}
            Err(_) if self.is_struck() && was_whole => self.ledger.flushed(batches, false),
            Err(error) => return Err(Finding::new(Breach::Misjudged, format!("a flush: {error}"))),
        }
        Ok(())
    }

    fn forget(&mut self, history: &SteppedHistory) -> Result<(), Finding> {
        let day = DAY + self.chance.below(4) as u32;
        match history.forget_keys(day) {
            Ok(()) => self.ledger.forgot(day, true),
            Err(HistoryError::NoSpace { .. }) if self.is_struck() => {}
            Err(_) if self.is_struck() => self.ledger.forgot(day, false),
            Err(error) => return Err(Finding::new(Breach::Misjudged, format!("forgetting: {error}"))),
        }
        Ok(())
    }

    fn merge(&mut self, history: &SteppedHistory) -> Result<(), Finding> {
        self.excused(history.merge().map(drop))
    }

    fn erase(&mut self, history: &mut SteppedHistory) -> Result<(), Finding> {
        let erased = history.erase(self.now_ms).map(drop);
        self.excused(erased)
    }

    /// Merging changes nothing that anybody sees, whether it succeeds or not.
    fn excused(&self, outcome: Result<(), HistoryError>) -> Result<(), Finding> {
        match outcome {
            Err(error) if !self.is_struck() => {
                Err(Finding::new(Breach::Misjudged, format!("merging: {error}")))
            }
            _ => Ok(()),
        }
    }

    fn is_struck(&self) -> bool {
        self.world.disk.struck().is_some()
    }
}
