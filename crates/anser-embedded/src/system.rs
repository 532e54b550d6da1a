//! The machine's own clock and randomness: the one place that asks for either.

use anser_core::ports::clock::Clock;
use anser_core::ports::random::Random;
use anser_model::UnixMillis;
use rustix::time::{ClockId, Timespec, clock_gettime};

// Counts time spent suspended, so that a lease does not outlive a closed lid.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MONOTONIC: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const MONOTONIC: ClockId = ClockId::Monotonic;

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(milliseconds(clock_gettime(ClockId::Realtime)))
    }

    fn monotonic_ms(&self) -> u64 {
        milliseconds(clock_gettime(MONOTONIC))
    }

    fn monotonic_us(&self) -> u64 {
        let time = clock_gettime(MONOTONIC);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
        seconds.saturating_mul(1_000_000).saturating_add(nanoseconds / 1_000)
    }
}

/// A wall clock set before 1970 reads as 1970.
fn milliseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000).saturating_add(nanoseconds / 1_000_000)
}

/// The kernel's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the kernel gives random bytes: without them no secret is one");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_of_this_century_and_does_not_step_back() {
        let clock = SystemClock;
        assert!(clock.now() > UnixMillis(1_700_000_000_000));
        let before = clock.monotonic_ms();
        assert!(clock.monotonic_ms() >= before);
    }

    #[test]
    fn randomness_differs() {
        assert_ne!(SystemRandom.nonzero(), SystemRandom.nonzero());
    }
}
