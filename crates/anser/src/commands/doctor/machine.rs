//! The machine: its clocks, its descriptors, its memory.

use std::path::Path;
use std::time::Duration;

use anser_core::ports::clock::Clock;
use rustix::process::{Resource, getrlimit};

use super::report::Report;

/// How long the two clocks are compared.
const COMPARED: Duration = Duration::from_secs(1);
/// By how much they may differ over that: a clock that is being set, or a machine that stands still.
const APART_MS: u64 = 50;
/// 2026-01-01 and 2100-01-01: before and after them a wall clock is not set.
const EARLIEST_MS: u64 = 1_767_225_600_000;
const LATEST_MS: u64 = 4_102_444_800_000;
/// Descriptors beside those of connections: stores, segments, listeners.
const DESCRIPTORS_BESIDE: u64 = 512;
/// Memory that a server takes before anybody comes, and for each connection that is idle.
const MEMORY_BASE_BYTES: u64 = 256 * 1024 * 1024;
const MEMORY_PER_CONNECTION_BYTES: u64 = 4 * 1024;
const MIB: u64 = 1024 * 1024;

/// The wall clock beside the monotonic one.
pub fn clocks(report: &mut Report, clock: &dyn Clock, wait: impl FnOnce(Duration)) {
    const NAME: &str = "clock";
    let (wall, steady) = (clock.now().0, clock.monotonic_ms());
    if !(EARLIEST_MS..LATEST_MS).contains(&wall) {
        let found = format!("the clock says {} s since 1970, which cannot be", wall / 1_000);
        return report.fail(NAME, found, "set the clock, and let NTP keep it: `timedatectl set-ntp true`");
    }
    wait(COMPARED);
    let (wall, steady) = (clock.now().0.abs_diff(wall), clock.monotonic_ms() - steady);
    let apart_ms = wall.abs_diff(steady);
    match apart_ms > APART_MS {
        false => report.ok(NAME, format!("the wall clock keeps to the steady one ({apart_ms} ms apart over 1 s)")),
        true => report.warn(
            NAME,
            format!("the wall clock moved {apart_ms} ms against the steady one within a second"),
            "let NTP slew the clock instead of setting it, and look for a virtual machine that is stopped at times",
        ),
    }
}

/// Descriptors beside connections.
pub fn descriptors(report: &mut Report, connections_max: u64) {
    const NAME: &str = "descriptors";
    let limit = getrlimit(Resource::Nofile);
    let needed = connections_max + DESCRIPTORS_BESIDE;
    let soft = limit.current.unwrap_or(u64::MAX);
    if soft >= needed {
        return report.ok(NAME, format!("{} may be open, {needed} are needed", shown(limit.current)));
    }
    let found = format!("{soft} may be open, {needed} are needed for connections_max = {connections_max}");
    let fix = format!(
        "raise the limit (`ulimit -n {needed}`, LimitNOFILE={needed} in a systemd unit), or lower connections_max"
    );
    match soft <= DESCRIPTORS_BESIDE {
        true => report.fail(NAME, found, fix),
        false => report.warn(NAME, found, fix),
    }
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or("any number".to_owned(), |limit| limit.to_string())
}

/// Memory that is left.
pub fn memory(report: &mut Report, connections_max: u64) {
    const NAME: &str = "memory";
    let Some(available) = available_bytes() else {
        return report.ok(NAME, "this system does not say how much is left");
    };
    let needed = MEMORY_BASE_BYTES + connections_max * MEMORY_PER_CONNECTION_BYTES;
    let found = format!(
        "{} MiB are left, about {} are needed for {connections_max} connections",
        available / MIB,
        needed / MIB
    );
    match available < needed {
        false => report.ok(NAME, found),
        true => report.warn(
            NAME,
            found,
            "free memory, give the machine or the container more, or lower connections_max",
        ),
    }
}

/// What the machine has left, or the container, whichever is less.
fn available_bytes() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).ok();
    let meminfo = read("/proc/meminfo")?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let machine = line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024;
    let number = |path: &str| read(path).and_then(|text| text.trim().parse::<u64>().ok());
    let container = number("/sys/fs/cgroup/memory.max")
        .map(|most| most.saturating_sub(number("/sys/fs/cgroup/memory.current").unwrap_or(0)));
    Some(container.map_or(machine, |container| container.min(machine)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use anser_model::UnixMillis;

    use super::super::report::Level;
    use super::*;

    /// A wall clock that runs away from the steady one when time passes.
    struct Away {
        wall: AtomicU64,
        steady: AtomicU64,
    }

    impl Clock for Away {
        fn now(&self) -> UnixMillis {
            UnixMillis(self.wall.load(Ordering::Relaxed))
        }

        fn monotonic_ms(&self) -> u64 {
            self.steady.load(Ordering::Relaxed)
        }
    }

    fn level(start_ms: u64, wall_step_ms: u64) -> Level {
        let clock = Away { wall: AtomicU64::new(start_ms), steady: AtomicU64::new(5) };
        let mut report = Report::default();
        clocks(&mut report, &clock, |_| {
            clock.wall.fetch_add(wall_step_ms, Ordering::Relaxed);
            clock.steady.fetch_add(1_000, Ordering::Relaxed);
        });
        report.checks[0].level
    }

    #[test]
    fn a_clock_that_is_not_set_or_runs_away_is_found() {
        assert_eq!(level(EARLIEST_MS + 1, 1_010), Level::Ok);
        assert_eq!(level(EARLIEST_MS + 1, 2_000), Level::Warn);
        assert_eq!(level(EARLIEST_MS + 1, 0), Level::Warn);
        assert_eq!(level(0, 1_000), Level::Fail);
        assert_eq!(level(LATEST_MS, 1_000), Level::Fail);
    }

    #[test]
    fn too_few_descriptors_are_found_with_the_number_that_is_needed() {
        let mut report = Report::default();
        descriptors(&mut report, 0);
        descriptors(&mut report, u64::MAX / 2);
        assert_eq!(report.checks[0].level, Level::Ok, "{report:?}");
        assert_ne!(report.checks[1].level, Level::Ok);
        assert!(report.checks[1].fix.as_deref().is_some_and(|fix| fix.contains("ulimit -n")));
    }
}
