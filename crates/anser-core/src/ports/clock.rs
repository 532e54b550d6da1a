//! Time. A wall clock for what people see, a monotonic one for measuring.

use anser_model::UnixMillis;

/// The clock of a machine.
pub trait Clock: Send + Sync {
    /// The wall clock, which may jump.
    fn now(&self) -> UnixMillis;

    /// Milliseconds since some fixed point, never stepping back, counting time spent suspended.
    fn monotonic_ms(&self) -> u64;

    /// The same in microseconds, as far as the clock is that fine.
    fn monotonic_us(&self) -> u64 {
        self.monotonic_ms() * 1_000
    }
}
