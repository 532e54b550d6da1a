//! Erasing: what was recalled or edited leaves the older segments within a promised time.
//!
//! A flush says which of its rows replace those of an earlier one; its segment lists them, and the manifest
//! says since when. Older versions are found by lookup, and the segments that hold them are written anew without
//! them, one at a time: a version goes only while a newer one is in another segment that is durable.

use std::collections::BTreeMap;

use anser_model::planted;

use super::error::HistoryError;
use super::merge::Pause;
use super::options::ERASE_BYTES_PER_SECOND;
use super::rows::{Address, Kind};
use super::store::Store;
use super::version::{Segment, Version, superseded};

/// A segment is written anew for its forgotten keys once the oldest were forgotten so many days ago.
const FORGOTTEN_DAYS: u32 = 7;
/// So far erasing may be ahead of its pace: what is small is done at once.
const AHEAD_MS: u64 = 5_000;

/// What is being erased.
#[derive(Default)]
pub(crate) struct Erasing {
    plan: Option<Plan>,
    /// By this instant of the monotonic clock, what was read and written is spread over time as it may be.
    paid_ms: u64,
}

/// What one segment's list comes to.
struct Plan {
    /// The segment with the list.
    of: u64,
    /// What is still to be written anew, and without which rows.
    left: BTreeMap<u64, Vec<Address>>,
    /// One of those was merged away meanwhile, so the list must be looked up again.
    is_stale: bool,
}

impl Erasing {
    /// Does one piece of what is due, if anything is. Whether something was.
    pub fn step(
        &mut self,
        store: &Store,
        (now_ms, monotonic_ms): (u64, u64),
        pause: Pause<'_>,
    ) -> Result<bool, HistoryError> {
        if monotonic_ms.saturating_add(AHEAD_MS) < self.paid_ms {
            return Ok(false);
        }
        let mut bytes = 0;
        let done = self.piece(store, now_ms, &mut bytes, pause);
        // Reading and writing for this may take but a part of what the disk can do.
        self.paid_ms = self.paid_ms.max(monotonic_ms) + bytes * 1_000 / ERASE_BYTES_PER_SECOND;
        done
    }

    /// The same, whatever the pace. Counts into `bytes` what was read and written.
    pub fn piece(
        &mut self,
        store: &Store,
        now_ms: u64,
        bytes: &mut u64,
        pause: Pause<'_>,
    ) -> Result<bool, HistoryError> {
        let version = store.version();
        self.plan.take_if(|plan| version.segment(plan.of).is_none());
        if self.plan.is_none() {
            match due(&version, now_ms, store.options.erase_gather_ms) {
                Some(segment) => self.plan = Some(Plan::of(&version, segment, bytes)?),
                None => return forget_old(store, &version, bytes, pause),
            }
        }
        let plan = self.plan.as_mut().expect("it was just made");
        let Some((number, gone)) = plan.left.pop_first() else {
            let (of, is_stale) = (plan.of, plan.is_stale);
            self.plan = None;
            if is_stale {
                return Ok(true);
            }
            // While there is a segment that cannot be read, nobody knows whether all is erased: it waits anew.
            let is_damaged = version.of(Kind::Facts).any(|segment| segment.table.is_damaged());
            return settle(store, of, if is_damaged { now_ms.max(1) } else { 0 });
        };
        match version.segment(number) {
            Some(segment) if !segment.table.is_damaged() => {
                *bytes += rewrite_without(store, segment, &gone, pause)?;
            }
            Some(_) => {}
            None => plan.is_stale = true,
        }
        Ok(true)
    }
}

impl Plan {
    fn of(version: &Version, segment: &Segment, bytes: &mut u64) -> Result<Plan, HistoryError> {
        let addresses = segment.table.rewritten()?;
        let left = superseded(version.holdings(&addresses, bytes)?);
        Ok(Plan { of: segment.entry.number, left, is_stale: false })
    }
}

/// The segment whose list has waited longest, if that was long enough.
fn due(version: &Version, now_ms: u64, gather_ms: u64) -> Option<&Segment> {
    let waiting = |segment: &&Segment| segment.entry.rewritten_since_ms > 0 && !segment.table.is_damaged();
    let longest = version.of(Kind::Facts).filter(waiting).min_by_key(|it| it.entry.rewritten_since_ms)?;
    let since_ms = longest.entry.rewritten_since_ms;
    // A clock that was set back makes nobody wait.
    (since_ms.saturating_add(gather_ms) <= now_ms || now_ms < since_ms).then_some(longest)
}

/// Notes that no older version is left of what a segment lists, or that this must be looked at again.
fn settle(store: &Store, number: u64, since_ms: u64) -> Result<bool, HistoryError> {
    let settled = store.replace(|version| {
        let segment = version.segments.iter_mut().find(|segment| segment.entry.number == number)?;
        segment.entry.rewritten_since_ms = since_ms;
        Some(())
    })?;
    Ok(settled.is_some())
}

fn rewrite_without(
    store: &Store,
    segment: &Segment,
    gone: &[Address],
    pause: Pause<'_>,
) -> Result<u64, HistoryError> {
    if planted!(SkipErasure) {
        return Ok(0);
    }
    store.rewrite(std::slice::from_ref(segment), gone, segment.entry.level, pause)
}

/// Writes a segment anew that holds keys which were forgotten long ago, beside others that are not.
fn forget_old(
    store: &Store,
    version: &Version,
    bytes: &mut u64,
    pause: Pause<'_>,
) -> Result<bool, HistoryError> {
    let is_old = |segment: &&Segment| {
        let entry = &segment.entry;
        entry.day_low.saturating_add(FORGOTTEN_DAYS) < entry.forgotten_below && !segment.table.is_damaged()
    };
    let Some(segment) = version.of(Kind::Keys).find(is_old) else { return Ok(false) };
    *bytes += store.rewrite(std::slice::from_ref(segment), &[], segment.entry.level, pause)?;
    Ok(true)
}
