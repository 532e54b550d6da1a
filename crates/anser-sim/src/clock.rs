//! A clock that stands still until it is told to move.

use std::sync::atomic::{AtomicU64, Ordering};

use anser_core::ports::clock::Clock;
use anser_model::UnixMillis;

/// The [`Clock`] port: wall and monotonic time move together.
#[derive(Debug, Default)]
pub struct SimClock(AtomicU64);

impl SimClock {
    /// A clock that shows `start`.
    pub fn new(start: UnixMillis) -> Self {
        SimClock(AtomicU64::new(start.0))
    }

    /// Lets time pass.
    pub fn advance_ms(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::Relaxed))
    }

    fn monotonic_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
