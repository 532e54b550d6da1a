//! How long a queue delays what comes into it: what waits is counted by whoever fills it, what one of those
//! takes is measured by whoever empties it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anser_edge::admission::{Pace, delay_ms};

/// What an append may take before it counts as a queue: a slow disk is slow for everybody, and answers; behind
/// one that stands still everybody waits who is let in.
const APPEND_USUAL_MS: u64 = 250;

/// What waits in a queue.
#[derive(Debug, Default)]
pub struct Backlog {
    waiting: AtomicU64,
    each_ns: AtomicU64,
    /// Since when the oldest append has been under way, by the monotonic clock; 0: none is.
    under_way_since_ms: AtomicU64,
}

impl Backlog {
    /// So much more waits.
    pub(super) fn more(&self, weight: u64) {
        self.waiting.fetch_add(weight, Ordering::Relaxed);
    }

    /// What could not be queued after all.
    pub(super) fn less(&self, weight: u64) {
        self.waiting.fetch_sub(weight, Ordering::Relaxed);
    }

    /// How long what comes at `now_ms` would wait, in milliseconds, with so much before it that is about to come.
    pub fn delay_ms(&self, before: u64, now_ms: u64) -> u64 {
        let waiting = self.waiting.load(Ordering::Relaxed) + before;
        let waits_ms = delay_ms(waiting, self.each_ns.load(Ordering::Relaxed));
        let stalled_ms = match self.under_way_since_ms.load(Ordering::Relaxed) {
            0 => 0,
            since_ms => now_ms.saturating_sub(since_ms).saturating_sub(APPEND_USUAL_MS),
        };
        waits_ms + stalled_ms
    }
}

/// For whoever empties a queue.
#[derive(Debug, Default)]
pub struct Meter {
    backlog: Arc<Backlog>,
    pace: Pace,
}

impl Meter {
    pub(super) fn new(backlog: Arc<Backlog>) -> Self {
        Meter { backlog, pace: Pace::default() }
    }

    /// What waits in the queue.
    pub fn backlog(&self) -> Arc<Backlog> {
        self.backlog.clone()
    }

    /// Since when the oldest append has been under way, if any is.
    pub(super) fn under_way_since(&self, since_ms: Option<u64>) {
        self.backlog.under_way_since_ms.store(since_ms.unwrap_or(0), Ordering::Relaxed);
    }

    /// So much was taken at once and is done by `now_ms`; the first of it had waited since `since_ms`.
    pub fn done(&mut self, weight: u64, since_ms: u64, now_ms: u64) {
        self.pace.worked(weight, since_ms, now_ms);
        self.backlog.each_ns.store(self.pace.each_ns(), Ordering::Relaxed);
        self.backlog.less(weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_delays_until_it_is_done() {
        let backlog = Arc::new(Backlog::default());
        let mut meter = Meter::new(backlog.clone());
        backlog.more(1_000);
        assert_eq!(backlog.delay_ms(0, 60), 0, "nobody knows yet what one takes");
        meter.done(500, 10, 60);
        assert_eq!(backlog.delay_ms(0, 60), 50);
        assert_eq!(backlog.delay_ms(100, 60), 60, "what is on its way waits too");
        meter.done(500, 10, 110);
        assert_eq!(backlog.delay_ms(0, 110), 0);
    }

    #[test]
    fn a_log_that_stands_still_delays_everybody() {
        let backlog = Arc::new(Backlog::default());
        let meter = Meter::new(backlog.clone());
        meter.under_way_since(Some(1_000));
        assert_eq!(backlog.delay_ms(0, 1_000 + APPEND_USUAL_MS), 0, "a slow disk is no queue");
        assert_eq!(backlog.delay_ms(0, 3_000), 2_000 - APPEND_USUAL_MS);
        meter.under_way_since(None);
        assert_eq!(backlog.delay_ms(0, 3_000), 0);
    }
}
