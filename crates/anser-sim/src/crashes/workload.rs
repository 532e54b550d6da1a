//! What the log is put through: a life of appends, reigns, rolls, trims, seals and restarts.

use std::sync::Arc;

use anser_core::record::{Record, RecordHeader};
use anser_embedded::log::{LogOptions, OpenError, SteppedLog};
use anser_model::{N, Reign, Slot, UnixMillis};
use bytes::Bytes;

use super::finding::{Breach, Finding};
use super::ledger::{Excuse, Ledger};
use crate::chance::{Chance, SimRandom};
use crate::clock::SimClock;
use crate::disk::{Fault, SECTOR_BYTES, SimDisk};

/// Steps of one life.
const STEPS: u64 = 32;
/// Records of one commit at most.
const COMMIT_RECORDS: u64 = 7;
/// A fault that passes lets the log open after so many tries.
const OPEN_TRIES: usize = 12;
const SLOTS: [Slot; 5] = [Slot(0), Slot(1), Slot(7), Slot(128), Slot(255)];
const SLOT_KEY: u64 = 0x5107;
/// A segment is its header and from this many bytes of blocks on.
const SEGMENT_BYTES: u64 = 8 * 1024 + 3 * 1024;
const SEGMENT_SPREAD_KIB: u64 = 9;
const BLOCK_FULL_BYTES: usize = 1024;
/// So that a commit is often more than one group.
const GROUP_BYTES: usize = 3 * 1024;
/// How much of the log's own bytes a malicious message repeats.
const STOLEN_SECTORS: usize = 3;

/// A disk with a process on it.
pub(crate) struct World {
    pub disk: SimDisk,
    random: Arc<SimRandom>,
    clock: SimClock,
    options: LogOptions,
}

impl World {
    pub fn new(disk: SimDisk, seed: u64) -> Self {
        let mut options = LogOptions::new(SLOT_KEY);
        options.segment_bytes = SEGMENT_BYTES + Chance::of(&[seed, 1]).below(SEGMENT_SPREAD_KIB) * 1024;
        options.block_full_bytes = BLOCK_FULL_BYTES;
        options.group_bytes = GROUP_BYTES;
        let random = Arc::new(SimRandom::new(Chance::of(&[seed, 2]).number()));
        World { disk, random, clock: SimClock::new(UnixMillis(1)), options }
    }

    pub fn try_open(&self) -> Result<SteppedLog, OpenError> {
        let disk = Arc::new(self.disk.clone());
        SteppedLog::open(disk, self.options.clone(), self.random.clone(), &self.clock)
    }

    /// Opens the log, again and again while a fault that passes is in the way. `None` where the
    /// machine went down.
    pub fn open(&self) -> Result<Option<SteppedLog>, Finding> {
        for tries in 0..OPEN_TRIES {
            if tries == OPEN_TRIES / 2 {
                self.disk.make_space();
            }
            match self.try_open() {
                Ok(log) => return Ok(Some(log)),
                Err(_) if self.disk.is_down() => return Ok(None),
                Err(OpenError::Io { .. } | OpenError::NoSpace(_)) if self.disk.struck().is_some() => {}
                Err(OpenError::NoSpace(_)) if self.disk.is_full() => {}
                Err(error) => return Err(Finding::new(Breach::Refused, error.to_string())),
            }
        }
        Err(Finding::new(Breach::Refused, "the fault has passed, and still the log does not open"))
    }
}

/// One life of a log. `fault` strikes at the operation with that number.
pub(crate) fn live(seed: u64, fault: Option<(u64, Fault)>) -> Result<(SimDisk, Ledger), Finding> {
    let world = World::new(SimDisk::new(seed), seed);
    if let Some((operation, fault)) = fault {
        world.disk.plan(operation, fault);
    }
    let mut life = Life { chance: Chance::of(&[seed, 3]), ledger: Ledger::default(), reigns: 0, world };
    life.run()?;
    Ok((life.world.disk, life.ledger))
}

/// What must be possible after any recovery: every slot gets a new reign and goes on.
pub(crate) fn go_on(log: &mut SteppedLog, ledger: &mut Ledger, seed: u64) -> Result<(), Finding> {
    let mut chance = Chance::of(&[seed, 4]);
    let mut records = Vec::new();
    for slot in SLOTS {
        let (last, after) = ledger.head(slot);
        let reign = Reign(chance.number() | 1);
        let mut header = RecordHeader {
            timeline: log.timeline(),
            slot,
            reign,
            opens_after: Some(after),
            first_n: last.next(),
            count: 1,
            must_understand: false,
        };
        records.push(Record { header, payload: Bytes::from_static(b"opened") });
        (header.opens_after, header.first_n, header.count) = (None, last.next().next(), 2);
        let payload = noise(&mut chance, 300);
        records.push(Record { header, payload });
    }
    let outcomes = log.commit(&records);
    ledger.note(&records, &outcomes, Excuse { struck: false, was_whole: true })
}

fn noise(chance: &mut Chance, bytes: u64) -> Bytes {
    let mut payload = vec![0; bytes as usize];
    chance.fill(&mut payload);
    Bytes::from(payload)
}

struct Life {
    world: World,
    chance: Chance,
    ledger: Ledger,
    reigns: u64,
}

impl Life {
    fn run(&mut self) -> Result<(), Finding> {
        let Some(mut log) = self.world.open()? else { return Ok(()) };
        self.ledger.check(&log)?;
        for _ in 0..STEPS {
            match self.chance.below(20) {
                0 => self.trim(&log),
                1 => _ = log.seal(),
                // What it finds is told to every append from then on.
                2 => _ = log.check_one(),
                3 => self.read_some(&log)?,
                4 => self.world.disk.make_space(),
                5 => {
                    log = match self.restart(log)? {
                        Some(log) => log,
                        None => return Ok(()),
                    }
                }
                _ => self.commit(&mut log)?,
            }
            if self.world.disk.is_down() {
                return Ok(());
            }
            if log.is_broken() {
                // The process exits, as it must; the next one starts.
                log = match self.restart(log)? {
                    Some(log) => log,
                    None => return Ok(()),
                };
            }
        }
        Ok(())
    }

    fn restart(&mut self, log: SteppedLog) -> Result<Option<SteppedLog>, Finding> {
        drop(log);
        let Some(log) = self.world.open()? else { return Ok(None) };
        let checked = self.ledger.check(&log);
        // A read may have met the fault.
        match self.world.disk.is_down() {
            true => Ok(None),
            false if self.world.disk.struck() == Some(Fault::IoError) && checked.is_err() => {
                self.ledger.check(&log).map(|()| Some(log))
            }
            false => checked.map(|()| Some(log)),
        }
    }

    /// Reads from somewhere in a slot, as one does who reconnects.
    fn read_some(&mut self, log: &SteppedLog) -> Result<(), Finding> {
        let slot = SLOTS[self.chance.below(SLOTS.len() as u64) as usize];
        let head = log.heads()[slot.index()];
        let from = N(head.first.0 + self.chance.below(head.last.0 + 2 - head.first.0));
        let limit_bytes = self.chance.below(4_000) as usize;
        if self.chance.happens(1, 2) {
            log.forget_read();
        }
        match log.read(slot, from, limit_bytes) {
            Ok(read) => self.ledger.check_part(slot, from, &read),
            Err(_) if self.world.disk.struck().is_some() => Ok(()),
            Err(error) => Err(Finding::new(
                Breach::Refused,
                format!("slot {slot} cannot be read from n {from}: {error}"),
            )),
        }
    }

    fn trim(&mut self, log: &SteppedLog) {
        let below: Vec<(Slot, N)> = SLOTS
            .into_iter()
            .map(|slot| (slot, N(self.chance.below(self.ledger.head(slot).0.0 + 2))))
            .collect();
        below.iter().for_each(|&(slot, n)| self.ledger.may_forget(slot, n));
        // Where it fails, less is forgotten.
        let _ = log.trim(&below);
    }

    fn commit(&mut self, log: &mut SteppedLog) -> Result<(), Finding> {
        let mut expected = self.ledger.clone();
        let mut records = Vec::new();
        for _ in 0..1 + self.chance.below(COMMIT_RECORDS) {
            let record = self.draft(&expected, log);
            let follows = {
                let (last, reign) = expected.head(record.header.slot);
                record.header.follows(reign, last)
            };
            if follows {
                let whole = Excuse { struck: false, was_whole: true };
                expected.note(std::slice::from_ref(&record), &[Ok(())], whole)?;
            }
            records.push(record);
        }
        let was_whole = !log.is_broken();
        let outcomes = log.commit(&records);
        let struck = self.world.disk.struck().is_some();
        self.ledger.note(&records, &outcomes, Excuse { struck, was_whole })
    }

    /// A record that follows, most of the time.
    fn draft(&mut self, expected: &Ledger, log: &SteppedLog) -> Record {
        let slot = SLOTS[self.chance.below(SLOTS.len() as u64) as usize];
        let (last, in_force) = expected.head(slot);
        let opens = in_force == Reign(0) || self.chance.happens(1, 12);
        self.reigns += 1;
        let mut header = RecordHeader {
            timeline: log.timeline(),
            slot,
            reign: if opens { Reign(1000 + self.reigns) } else { in_force },
            opens_after: opens.then_some(in_force),
            first_n: last.next(),
            count: 1 + self.chance.below(4) as u32,
            must_understand: self.chance.happens(1, 4),
        };
        match self.chance.below(40) {
            0 => header.first_n = header.first_n.next(),
            1 => header.first_n = last.max(N(1)),
            2 => header.reign = Reign(999),
            3 => header.opens_after = Some(Reign(998)),
            _ => {}
        }
        Record { header, payload: self.payload() }
    }

    fn payload(&mut self) -> Bytes {
        match self.chance.below(16) {
            0 => Bytes::new(),
            1 => Bytes::from(vec![0; self.chance.below(2_000) as usize]),
            // What a person would send who knew the log's own bytes.
            2 => self.stolen(),
            3 | 4 => {
                let bytes = self.chance.below(3_000);
                noise(&mut self.chance, bytes)
            }
            _ => {
                let bytes = self.chance.below(400);
                noise(&mut self.chance, bytes)
            }
        }
    }

    fn stolen(&mut self) -> Bytes {
        let mut names = self.world.disk.names();
        names.retain(|name| name.ends_with(".segment"));
        if names.is_empty() {
            return Bytes::new();
        }
        let name = &names[self.chance.below(names.len() as u64) as usize];
        let contents = self.world.disk.peek(name).expect("it is listed");
        let sectors = (contents.len() / SECTOR_BYTES).saturating_sub(STOLEN_SECTORS) as u64;
        let start = SECTOR_BYTES * self.chance.below(sectors + 1) as usize;
        let stolen = &contents[start..(start + STOLEN_SECTORS * SECTOR_BYTES).min(contents.len())];
        // Shifted, so that some of it lies at a sector's beginning whatever comes before it.
        let shift = 8 * self.chance.below(SECTOR_BYTES as u64 / 8) as usize;
        Bytes::from([&vec![0; shift], stolen].concat())
    }
}
