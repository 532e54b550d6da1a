//! One point: a life, a fault at one of its operations, what survives, and what happens then.

use std::fmt;
use std::str::FromStr;

use anser_core::ports::log::LogError;
use anser_embedded::log::{OpenError, SteppedLog};

use super::finding::{Breach, Finding};
use super::ledger::Ledger;
use super::workload::{World, go_on, live};
use crate::chance::Chance;
use crate::disk::{Fault, SimDisk, Survival};

const SECTOR_BYTES: usize = 512;
const SEGMENT_HEADER_BYTES: usize = 8 * 1024;

/// Names a point within the life of a seed: `operation.fault.survival.then`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// At which operation of the life, from 0.
    pub operation: u64,
    /// What strikes there.
    pub fault: Fault,
    /// What of the unsynced writes survives; see [`Point::survival`].
    pub survival: u64,
    /// What is done to the recovery.
    pub then: Then,
}

/// What happens at or after the recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing: recover, compare, go on, crash, compare.
    Check,
    /// The recovery itself meets a fault at its operation with that number.
    Again(Fault, u64),
    /// A bit of what is known to have been synced is flipped.
    Rot(u64),
}

/// 0: the process alone died; 1 to 3: all, nothing, last writes; from there on: a seed for tearing.
const KILLED: u64 = 0;
/// How many survivals there are before the torn ones.
pub(crate) const TORN_FROM: u64 = 4;

/// The disk as the next start finds it.
pub(crate) fn survivor(point: &Point, disk: &SimDisk) -> SimDisk {
    match point.survival {
        KILLED => disk.killed(),
        1 => disk.crashed(Survival::Everything),
        2 => disk.crashed(Survival::Nothing),
        3 => disk.crashed(Survival::LastWrites),
        seed => disk.crashed(Survival::Torn(seed)),
    }
}

/// Every fault that can strike.
pub(crate) const FAULTS: [Fault; 6] =
    [Fault::Crash, Fault::Kill, Fault::IoError, Fault::NoSpace, Fault::StaysFull, Fault::ShortWrite];

pub(crate) fn name_of(fault: Fault) -> &'static str {
    match fault {
        Fault::Crash => "crash",
        Fault::Kill => "kill",
        Fault::IoError => "eio",
        Fault::NoSpace => "enospc",
        Fault::StaysFull => "full",
        Fault::ShortWrite => "short",
    }
}

fn fault_named(name: &str) -> Option<Fault> {
    FAULTS.into_iter().find(|&fault| name_of(fault) == name)
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.operation, name_of(self.fault), self.survival)?;
        match self.then {
            Then::Check => f.write_str(".check"),
            Then::Again(fault, at) => write!(f, ".{}-{at}", name_of(fault)),
            Then::Rot(seed) => write!(f, ".rot-{seed}"),
        }
    }
}

/// The text names no point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a point is written operation.fault.survival.then, as in 57.crash.4.check or 57.kill.0.rot-3")]
pub struct BadPoint;

impl FromStr for Point {
    type Err = BadPoint;

    fn from_str(text: &str) -> Result<Self, BadPoint> {
        let parts: Vec<&str> = text.split('.').collect();
        let [operation, fault, survival, then] = parts[..] else { return Err(BadPoint) };
        let then = match then.split_once('-') {
            None if then == "check" => Then::Check,
            Some(("rot", seed)) => Then::Rot(seed.parse().map_err(|_| BadPoint)?),
            Some((fault, at)) => {
                Then::Again(fault_named(fault).ok_or(BadPoint)?, at.parse().map_err(|_| BadPoint)?)
            }
            None => return Err(BadPoint),
        };
        Ok(Point {
            operation: operation.parse().map_err(|_| BadPoint)?,
            fault: fault_named(fault).ok_or(BadPoint)?,
            survival: survival.parse().map_err(|_| BadPoint)?,
            then,
        })
    }
}

/// A life up to its fault: many points begin with the same one.
pub(crate) struct Struck {
    seed: u64,
    disk: SimDisk,
    ledger: Ledger,
}

impl Struck {
    /// Lives until the fault, or to the end where it is one that the process survives. `None` where
    /// the fault found nothing to strike.
    pub fn live(seed: u64, operation: u64, fault: Fault) -> Result<Option<Self>, Finding> {
        let (disk, ledger) = live(seed, Some((operation, fault)))?;
        Ok(disk.struck().is_some().then_some(Struck { seed, disk, ledger }))
    }

    /// Goes through one point. Returns how many operations its first recovery took.
    pub fn go_through(&self, point: &Point) -> Result<u64, Finding> {
        let world = World::new(survivor(point, &self.disk), self.seed ^ point.operation);
        let mut ledger = self.ledger.clone();
        match point.then {
            Then::Check => self.check(world, &mut ledger),
            Then::Again(fault, at) => {
                world.disk.plan(at, fault);
                let world = self.recover_under_fault(world, &mut ledger, point, fault)?;
                self.check(world, &mut ledger)
            }
            Then::Rot(seed) => self.rot(world, &mut ledger, seed),
        }
    }

    /// Recovers with a fault under way; returns the world in which the next process starts.
    fn recover_under_fault(
        &self,
        world: World,
        ledger: &mut Ledger,
        point: &Point,
        fault: Fault,
    ) -> Result<World, Finding> {
        if let Some(log) = world.open()? {
            // It was told what is there, so from now on that must be there.
            ledger.check(&log)?;
        }
        let disk = match fault {
            Fault::Kill => world.disk.killed(),
            _ => world.disk.crashed(Survival::Torn(point.survival + point.operation + 77)),
        };
        Ok(World::new(disk, self.seed ^ 1))
    }

    fn check(&self, world: World, ledger: &mut Ledger) -> Result<u64, Finding> {
        let log = must_open(&world)?;
        let operations = world.disk.operations();
        ledger.check(&log)?;
        drop(log);
        // Whoever opened it was told what is there: a power cut now must not change that.
        let world = self.after_power_cut(&world, 2);
        let mut log = must_open(&world)?;
        ledger.check(&log)?;
        world.disk.make_space();
        go_on(&mut log, ledger, self.seed)?;
        ledger.check(&log)?;
        drop(log);
        let world = self.after_power_cut(&world, 3);
        let log = must_open(&world)?;
        ledger.check(&log)?;
        check_all(&log)?.map_or(Ok(operations), |why| {
            Err(Finding::new(Breach::Refused, format!("an undamaged log, once checked: {why}")))
        })
    }

    fn after_power_cut(&self, world: &World, salt: u64) -> World {
        World::new(world.disk.crashed(Survival::Nothing), self.seed ^ salt)
    }

    /// Flips a bit below the synced end: under an open log, which must not serve it, and before the next
    /// opening. That must refuse, or else whoever reads everything, or the check that follows a start,
    /// must find it, and nobody may be served it.
    fn rot(&self, world: World, ledger: &mut Ledger, seed: u64) -> Result<u64, Finding> {
        let log = must_open(&world)?;
        let operations = world.disk.operations();
        ledger.check(&log)?;
        let mut chance = Chance::of(&[seed, self.seed, 9]);
        let (name, synced_bytes) = place_to_rot(&world.disk, &mut chance);
        let (offset, bit) = (chance.below(synced_bytes as u64) as usize, chance.below(8) as u8);
        let log = match chance.happens(1, 2) {
            true => must_open(&world)?,
            false => log,
        };
        world.disk.rot(&name, offset, bit);
        log.forget_read();
        ledger.check_honest(&log)?;
        drop(log);
        let Ok(log) = world.try_open() else { return Ok(operations) };
        let reads_told = ledger.check_honest(&log)?;
        let told = check_all(&log)?;
        if told.is_some() != log.is_broken() {
            return Err(Finding::new(
                Breach::Misjudged,
                "the log is broken, and nobody was told, or the reverse",
            ));
        }
        if reads_told || told.is_some() {
            return Ok(operations);
        }
        let what = format!("bit {bit} of byte {offset} of {name} was flipped, and nobody was told");
        Err(Finding::new(Breach::Undetected, what))
    }
}

fn must_open(world: &World) -> Result<SteppedLog, Finding> {
    let opened = match world.try_open() {
        // Making a log needs space; opening one does not, or little.
        Err(OpenError::NoSpace(_)) if world.disk.is_full() => {
            world.disk.make_space();
            world.try_open()
        }
        opened => opened,
    };
    opened.map_err(|error| Finding::new(Breach::Refused, error.to_string()))
}

/// What the check that follows a start finds wrong.
fn check_all(log: &SteppedLog) -> Result<Option<LogError>, Finding> {
    for _ in 0..=log.segments() {
        match log.check_one() {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => return Ok(Some(error)),
        }
    }
    Err(Finding::new(Breach::Misjudged, "the check goes on for ever"))
}

/// A file and how many of its bytes the log can know to have been synced. A recovered log is sealed;
/// the seal itself holds nothing that could be lost.
fn place_to_rot(disk: &SimDisk, chance: &mut Chance) -> (String, usize) {
    let mut names = disk.names();
    names.retain(|name| name.ends_with(".segment"));
    let last = names.last().cloned().expect("a recovered log has a segment");
    if chance.happens(1, 16) {
        let name = "FORMAT".to_owned();
        let bytes = disk.peek(&name).expect("a recovered log has it").len();
        return (name, bytes);
    }
    // Half of the time the last one: there, a torn tail must be told from damage.
    let name = match chance.happens(1, 2) {
        true => last.clone(),
        false => names[chance.below(names.len() as u64) as usize].clone(),
    };
    let contents = disk.peek(&name).expect("it is listed");
    let written = contents.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
    let end = written.next_multiple_of(SECTOR_BYTES).max(SEGMENT_HEADER_BYTES);
    match name == last && end > SEGMENT_HEADER_BYTES {
        true => (name, end - SECTOR_BYTES),
        false => (name, end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_reads_back() {
        for text in ["57.crash.4.check", "0.kill.0.eio-12", "3.enospc.2.rot-9", "3.short.1.crash-0"] {
            assert_eq!(text.parse::<Point>().expect("parses").to_string(), text);
        }
        assert_eq!("57.crash.4".parse::<Point>(), Err(BadPoint));
    }
}
