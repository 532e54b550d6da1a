//! Erasing: what was recalled or edited leaves the older segments within a promised time.
//!
//! A flush says which of its rows replace those of an earlier one; its segment lists them, and the manifest
//! says since when. Older versions are found by lookup, and the segments that hold them are written anew without
//! them, one at a time: a version goes only while a newer one is in another segment that is durable. Most
//! of what is recalled or edited is young and lies in small segments. A large one is left alone for hours after it was
//! written anew, and then rid at once of all that has gathered.

use std::collections::BTreeMap;

use anser_model::planted;

use super::error::HistoryError;
use super::merge::Pause;
use super::options::{ERASE_BYTES_PER_SECOND, ERASE_REST_MS};
use super::rows::{Address, Kind};
use super::store::Store;
use super::version::{Segment, Version, superseded};

/// A segment is written anew for its forgotten keys once the oldest were forgotten so many days ago.
const FORGOTTEN_DAYS: u32 = 7;
/// So far erasing may be ahead of its pace: what is small is done at once.
const AHEAD_MS: u64 = 2_500;

/// What is being erased.
#[derive(Default)]
pub(crate) struct Erasing {
    plan: Option<Plan>,
    /// By this instant of the monotonic clock, what was read and written is spread over time as it may be.
    paid_ms: u64,
    /// Until when large segments are left alone, by the newest flush in them, which stays theirs.
    resting: BTreeMap<u64, u64>,
}

/// What the lists of all segments come to.
struct Plan {
    /// The segments with lists.
    of: Vec<u64>,
    /// What is still to be written anew, and without which rows.
    left: BTreeMap<u64, Vec<Address>>,
    /// Something must be looked up again: it rests, or cannot be read.
    is_partial: bool,
    /// One of those that are left was merged away meanwhile.
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
        let done = self.piece(store, (now_ms, monotonic_ms), &mut bytes, pause);
        // Reading and writing for this may take but a part of what the disk can do.
        self.paid_ms = self.paid_ms.max(monotonic_ms) + bytes * 1_000 / ERASE_BYTES_PER_SECOND;
        done
    }

    /// The same, whatever the pace. Counts into `bytes` what was read and written.
    pub fn piece(
        &mut self,
        store: &Store,
        (now_ms, monotonic_ms): (u64, u64),
        bytes: &mut u64,
        pause: Pause<'_>,
    ) -> Result<bool, HistoryError> {
        let version = store.version();
        if self.plan.is_none() {
            if !is_due(&version, now_ms, store.options.erase_gather_ms) {
                return forget_old(store, &version, bytes, pause);
            }
            self.resting.retain(|_, until_ms| monotonic_ms < *until_ms);
            self.plan = Some(Plan::of(&version, &self.resting, bytes)?);
        }
        let plan = self.plan.as_mut().expect("it was just made");
        if let Some((number, gone)) = plan.left.pop_first() {
            match version.segment(number) {
                Some(segment) if segment.table.is_damaged() => plan.is_partial = true,
                Some(segment) => {
                    *bytes += rewrite_without(store, segment, &gone, pause)?;
                    if segment.entry.bytes > store.options.erase_large_bytes {
                        self.resting.insert(segment.entry.newest, monotonic_ms.saturating_add(ERASE_REST_MS));
                    }
                }
                None => plan.is_stale = true,
            }
            return Ok(true);
        }
        let Plan { of, is_partial, is_stale, .. } = self.plan.take().expect("it is there");
        if is_stale {
            return Ok(true);
        }
        // While there is a segment that cannot be read, nobody knows whether all is erased: it is looked at again.
        let is_damaged = version.of(Kind::Facts).any(|segment| segment.table.is_damaged());
        settle(store, &of, if is_partial || is_damaged { now_ms.max(1) } else { 0 })?;
        Ok(true)
    }
}

impl Plan {
    fn of(version: &Version, resting: &BTreeMap<u64, u64>, bytes: &mut u64) -> Result<Plan, HistoryError> {
        let (mut of, mut addresses) = (Vec::new(), Vec::new());
        for segment in version.of(Kind::Facts).filter(|segment| waits(segment)) {
            of.push(segment.entry.number);
            addresses.append(&mut segment.table.rewritten()?);
        }
        addresses.sort_unstable();
        addresses.dedup();
        let mut left = superseded(version.holdings(&addresses, bytes)?);
        let found = left.len();
        let rests = |segment: &Segment| resting.contains_key(&segment.entry.newest);
        left.retain(|number, _| !version.segment(*number).is_some_and(rests));
        let is_partial = left.len() < found;
        Ok(Plan { of, left, is_partial, is_stale: false })
    }
}

/// Whether there are rows of which an older segment may hold another version.
fn waits(segment: &Segment) -> bool {
    segment.entry.rewritten_since_ms > 0 && !segment.table.is_damaged()
}

/// Whether the list that has waited longest has waited long enough.
fn is_due(version: &Version, now_ms: u64, gather_ms: u64) -> bool {
    let waiting = version.of(Kind::Facts).filter(|segment| waits(segment));
    let longest = waiting.map(|segment| segment.entry.rewritten_since_ms).min();
    // A clock that was set back makes nobody wait.
    longest.is_some_and(|since_ms| since_ms.saturating_add(gather_ms) <= now_ms || now_ms < since_ms)
}

/// Notes that no older version is left of what some segments list, or that they must be looked at again.
fn settle(store: &Store, numbers: &[u64], since_ms: u64) -> Result<(), HistoryError> {
    let settled = store.replace(|version| {
        let mut is_any = false;
        for segment in version.segments.iter_mut().filter(|it| numbers.contains(&it.entry.number)) {
            segment.entry.rewritten_since_ms = since_ms;
            is_any = true;
        }
        is_any.then_some(())
    });
    settled.map(drop)
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
