//! The log without threads: each call does its I/O and returns. For simulators and offline tools.

use std::sync::Arc;

use anser_core::ports::clock::Clock;
use anser_core::ports::disk::Disk;
use anser_core::ports::log::{AppendError, LogError, SlotHead};
use anser_core::ports::random::Random;
use anser_core::record::Record;
use anser_model::{N, Slot, Timeline};

use super::error::OpenError;
use super::heart::Heart;
use super::options::LogOptions;
use super::recover::{Recovered, open};
use super::segment::SparesAtOnce;

/// The same log as [`super::LocalLog`], driven by hand: what a deterministic simulator needs.
/// Dropping it does nothing to the disk, as a kill would.
pub struct SteppedLog {
    heart: Heart,
    recovered: Recovered,
}

impl SteppedLog {
    /// Opens the log in `disk`, making it where there is none.
    ///
    /// # Errors
    /// Each [`OpenError`].
    pub fn open(
        disk: Arc<dyn Disk>,
        options: LogOptions,
        random: Arc<dyn Random>,
        clock: &dyn Clock,
    ) -> Result<SteppedLog, OpenError> {
        let (heart, recovered) = open(disk, options, random, clock, Box::new(SparesAtOnce))?;
        Ok(SteppedLog { heart, recovered })
    }

    /// Which history of the installation it holds.
    pub fn timeline(&self) -> Timeline {
        self.heart.timeline
    }

    /// What opening found.
    pub fn recovered(&self) -> Recovered {
        self.recovered
    }

    /// Appends a batch as the committer does with all that waits: in order, with as few syncs as can
    /// be. One outcome per record; what is `Ok` is durable.
    pub fn commit(&mut self, records: &[Record]) -> Vec<Result<(), AppendError>> {
        self.heart.commit(records)
    }

    /// Notes on the medium that all before is durable, as the committer does when it is idle.
    ///
    /// # Errors
    /// The medium failed: nothing is acknowledged any more.
    pub fn seal(&mut self) -> Result<(), LogError> {
        self.heart.seal().map_err(LogError::Broken)
    }

    /// As [`anser_core::ports::log::Log::heads`].
    pub fn heads(&self) -> Vec<SlotHead> {
        self.heart.catalogue.heads()
    }

    /// As [`anser_core::ports::log::Log::read`].
    ///
    /// # Errors
    /// As the port's.
    pub fn read(&self, slot: Slot, from: N, limit_bytes: usize) -> Result<Vec<Record>, LogError> {
        self.heart.catalogue.read(slot, from, limit_bytes)
    }

    /// As [`anser_core::ports::log::Log::trim`].
    ///
    /// # Errors
    /// As the port's.
    pub fn trim(&self, below: &[(Slot, N)]) -> Result<(), LogError> {
        self.heart.catalogue.trim(&*self.heart.disk, below)
    }

    /// Reads one segment through that nothing has been read of yet, as the check after a start does,
    /// newest first. Whether there was one.
    ///
    /// # Errors
    /// What is wrong with it: nothing is acknowledged any more.
    pub fn check_one(&self) -> Result<bool, LogError> {
        match self.heart.catalogue.newest_unread() {
            Some(number) => self.heart.catalogue.check(number).map(|()| true),
            None => Ok(false),
        }
    }

    /// Forgets what was kept of what was read, so that a read asks the medium again.
    pub fn forget_read(&self) {
        self.heart.catalogue.forget_read();
    }

    /// Whether the medium has failed, so that nothing is acknowledged any more.
    pub fn is_broken(&self) -> bool {
        self.heart.catalogue.broken().is_some()
    }

    /// How many segment files there are.
    pub fn segments(&self) -> usize {
        self.heart.catalogue.segments()
    }
}
