//! What the tests of several modules use.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anser_core::ports::clock::Clock;
use anser_model::UnixMillis;

use crate::pace::microseconds;

/// A clock that the test moves.
#[derive(Default)]
pub(crate) struct HandClock(AtomicU64);

impl HandClock {
    /// So much time passes.
    pub(crate) fn pass(&self, duration: Duration) {
        self.0.fetch_add(microseconds(duration), Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.monotonic_ms())
    }

    fn monotonic_ms(&self) -> u64 {
        self.monotonic_us() / 1_000
    }

    fn monotonic_us(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
