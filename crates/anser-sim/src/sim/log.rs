//! The log that the nodes append to: for a cluster a shared one that compares and sets, for one machine the
//! real one on its simulated disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use anser_core::ports::log::{AppendError, LogError, SlotHead};
use anser_core::record::Record;
use anser_embedded::log::{LogOptions, OpenError, SteppedLog};
use anser_model::{N, Reign, Slot, SlotKey, Timeline, UnixMillis};

use crate::chance::{Chance, SimRandom};
use crate::clock::SimClock;
use crate::disk::{Fault, SimDisk, Survival};

/// Bytes of a segment: small, so that a run fills several.
const SEGMENT_BYTES: u64 = 48 * 1024;
/// Bytes of a block.
const BLOCK_BYTES: usize = 8 * 1024;

/// A log that several nodes append to: a record lands where it follows, else nowhere.
#[derive(Default)]
pub(super) struct SharedLog {
    slots: BTreeMap<Slot, SharedSlot>,
}

#[derive(Default)]
struct SharedSlot {
    records: Vec<Record>,
    first: N,
    last: N,
    reign: Reign,
}

impl SharedLog {
    pub fn append(&mut self, record: &Record) -> Result<(), AppendError> {
        let slot = self.slots.entry(record.header.slot).or_default();
        let header = &record.header;
        if !header.follows(slot.reign, slot.last) {
            let (in_force, last) = (slot.reign, slot.last);
            return Err(AppendError::Fenced { slot: header.slot, in_force, last });
        }
        slot.last = header.last_n();
        slot.reign = header.reign;
        slot.records.push(record.clone());
        Ok(())
    }

    pub fn head(&self, slot: Slot) -> SlotHead {
        let nothing = SharedSlot::default();
        let known = self.slots.get(&slot).unwrap_or(&nothing);
        SlotHead { slot, first: known.first.max(N(1)), last: known.last, reign: known.reign }
    }

    pub fn read(&self, slot: Slot, from: N, limit_bytes: usize) -> Result<Vec<Record>, LogError> {
        let first = self.head(slot).first;
        if from < first {
            return Err(LogError::OutOfRange { slot, asked: from, first });
        }
        let records = self.slots.get(&slot).map(|slot| &slot.records[..]).unwrap_or_default();
        let begins = records.partition_point(|record| record.header.last_n() < from);
        let mut bytes = 0;
        let within = |record: &&Record| {
            let is_first = bytes == 0;
            bytes += record.encoded_len();
            is_first || bytes <= limit_bytes
        };
        Ok(records[begins..].iter().take_while(within).cloned().collect())
    }

    pub fn trim(&mut self, slot: Slot, below: N) {
        if let Some(slot) = self.slots.get_mut(&slot) {
            let gone = slot.records.partition_point(|record| record.header.last_n() < below);
            slot.records.drain(..gone);
            slot.first = slot.records.first().map_or(slot.last.next(), |record| record.header.first_n);
        }
    }
}

/// The log of one machine, and the disk that it lies on.
pub(super) struct OneMachine {
    disk: SimDisk,
    log: Option<SteppedLog>,
    seed: u64,
    starts: u64,
    fingerprint: u64,
    timeline: Timeline,
    /// The disk was made to fail since the process started.
    may_fail: bool,
}

impl OneMachine {
    pub fn new(seed: u64, slot_key: &SlotKey, timeline: Timeline) -> Self {
        let fingerprint = slot_key.fingerprint();
        OneMachine {
            disk: SimDisk::new(seed),
            log: None,
            seed,
            starts: 0,
            fingerprint,
            timeline,
            may_fail: false,
        }
    }

    /// Starts the process: opens the log.
    pub fn start(&mut self, now: UnixMillis) -> Result<(), OpenError> {
        self.starts += 1;
        self.may_fail = false;
        let mut options = LogOptions::new(self.fingerprint);
        options.segment_bytes = SEGMENT_BYTES;
        options.block_full_bytes = BLOCK_BYTES;
        options.new_timeline = Some(self.timeline);
        let random = Arc::new(SimRandom::new(Chance::of(&[self.seed, self.starts]).number()));
        self.log = Some(SteppedLog::open(Arc::new(self.disk.clone()), options, random, &SimClock::new(now))?);
        Ok(())
    }

    /// The process or the whole machine is gone.
    pub fn stop(&mut self, loses_power: bool) {
        self.log = None;
        self.disk = if loses_power {
            self.disk.crashed(Survival::Torn(Chance::of(&[self.seed, self.starts, 7]).number()))
        } else {
            self.disk.killed()
        };
    }

    /// Lets the disk fail at one of its next operations.
    pub fn plan(&mut self, after: u64, fault: Fault) {
        self.may_fail = true;
        self.disk.plan(after, fault);
    }

    /// Whether the disk was made to fail since the process started.
    pub fn may_fail(&self) -> bool {
        self.may_fail
    }

    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// The open log.
    pub fn log(&mut self) -> &mut SteppedLog {
        self.log.as_mut().expect("only a process that runs uses its log")
    }

    /// Whether a process has it open.
    pub fn is_open(&self) -> bool {
        self.log.is_some()
    }
}
