//! What every [`Clock`] must do, as a suite that each adapter runs against itself.

use super::clock::Clock;

/// How long each step of the suite lets pass.
const STEP_MS: u64 = 30;
/// Steps.
const STEPS: u32 = 3;
/// How often the monotonic clock is read in a row.
const READS: u32 = 10_000;

/// Runs the whole suite; `pass_ms` lets at least so many milliseconds pass.
///
/// # Panics
/// When the adapter breaks the port's promise, with the case in the message.
pub fn check_clock(clock: &dyn Clock, pass_ms: &mut dyn FnMut(u64)) {
    never_steps_back(clock);
    for _ in 0..STEPS {
        both_advance_in_milliseconds(clock, pass_ms);
    }
}

fn never_steps_back(clock: &dyn Clock) {
    let mut last_us = clock.monotonic_us();
    for _ in 0..READS {
        let (milliseconds, next_us) = (clock.monotonic_ms(), clock.monotonic_us());
        assert!(next_us >= last_us, "the monotonic clock stepped back from {last_us} µs to {next_us} µs");
        let between = last_us / 1_000..=next_us / 1_000;
        assert!(
            between.contains(&milliseconds),
            "{milliseconds} ms lies not between {last_us} and {next_us} µs"
        );
        last_us = next_us;
    }
}

fn both_advance_in_milliseconds(clock: &dyn Clock, pass_ms: &mut dyn FnMut(u64)) {
    let (wall, monotonic) = (clock.now(), clock.monotonic_ms());
    pass_ms(STEP_MS);
    let passed = clock.monotonic_ms() - monotonic;
    // Each reading is cut to a whole millisecond. A busy machine lets more pass, but not a thousand
    // times as much: that would be another unit.
    assert!(passed + 1 >= STEP_MS, "{passed} ms of {STEP_MS} passed by the monotonic clock");
    assert!(passed < STEP_MS * 1_000, "{passed} passed by the monotonic clock: not milliseconds");
    // The wall clock may be set meanwhile; the suite trusts that nobody sets it back right now.
    let passed = clock.now().0.checked_sub(wall.0).expect("the wall clock was not set back");
    assert!(passed > 0, "the wall clock stands still");
}
