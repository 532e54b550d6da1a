//! How work behind the scenes leaves the machine to those who speak and read.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use anser_core::ports::clock::Clock;

/// It rests so many times as long as it has worked: it takes a quarter of a processor, where no rest is cut short.
const REST_TIMES: u64 = 3;

/// The pace of one thread, which works in pieces and asks between them how long to rest. It rests by what the work took,
/// so that a fast machine is hardly held up, and a slow one stays usable.
pub(crate) struct Pace {
    clock: Arc<dyn Clock>,
    /// Less work than this is not worth a rest.
    work_us_least: u64,
    rest_us_most: u64,
    /// When it began to work, after the last rest.
    begun_us: Cell<u64>,
}

impl Pace {
    /// The pace of somebody who begins to work now.
    pub(crate) fn begin(clock: Arc<dyn Clock>, work_least: Duration, rest_most: Duration) -> Pace {
        let begun_us = Cell::new(clock.monotonic_us());
        Pace {
            clock,
            work_us_least: microseconds(work_least),
            rest_us_most: microseconds(rest_most),
            begun_us,
        }
    }

    /// For how long to rest now.
    pub(crate) fn rest_due(&self) -> Duration {
        let worked_us = self.clock.monotonic_us().saturating_sub(self.begun_us.get());
        match worked_us < self.work_us_least {
            true => Duration::ZERO,
            false => Duration::from_micros(worked_us.saturating_mul(REST_TIMES).min(self.rest_us_most)),
        }
    }

    /// It has rested, or waited for something else, and works again.
    pub(crate) fn go_on(&self) {
        self.begun_us.set(self.clock.monotonic_us());
    }
}

pub(crate) fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::HandClock;

    const WORK_LEAST: Duration = Duration::from_millis(5);
    const REST_MOST: Duration = Duration::from_millis(100);

    fn begun() -> (Arc<HandClock>, Pace) {
        let clock = Arc::new(HandClock::default());
        clock.pass(Duration::from_micros(77));
        let pace = Pace::begin(clock.clone(), WORK_LEAST, REST_MOST);
        (clock, pace)
    }

    #[test]
    fn it_rests_three_times_as_long_as_it_worked() {
        let (clock, pace) = begun();
        clock.pass(Duration::from_millis(4));
        assert_eq!(pace.rest_due(), Duration::ZERO, "so little is not worth a rest");
        clock.pass(Duration::from_millis(3));
        assert_eq!(pace.rest_due(), Duration::from_millis(21));
        assert_eq!(pace.rest_due(), Duration::from_millis(21), "asking is no rest");
    }

    #[test]
    fn what_it_did_before_a_rest_counts_no_more() {
        let (clock, pace) = begun();
        clock.pass(Duration::from_millis(10));
        assert_eq!(pace.rest_due(), Duration::from_millis(30));
        clock.pass(Duration::from_millis(30));
        pace.go_on();
        assert_eq!(pace.rest_due(), Duration::ZERO);
        clock.pass(Duration::from_millis(5));
        assert_eq!(pace.rest_due(), Duration::from_millis(15));
    }

    #[test]
    fn no_rest_is_longer_than_the_longest() {
        let (clock, pace) = begun();
        clock.pass(Duration::from_secs(3_600));
        assert_eq!(pace.rest_due(), REST_MOST);
        clock.pass(Duration::from_micros(u64::MAX / 2));
        assert_eq!(pace.rest_due(), REST_MOST);
    }
}
