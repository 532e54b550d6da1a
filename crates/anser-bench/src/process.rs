//! What the system says of a process: memory, processor time, switches.

use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Pid;

/// Ticks per second in which Linux reports processor time to programs, on every architecture.
const USER_HZ: u64 = 100;

/// What a process used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    /// Processor time.
    pub processor: Duration,
    /// Times that a thread slept and was woken.
    pub sleeps: u64,
}

impl Used {
    /// What came after an earlier look.
    pub fn since(self, earlier: Used) -> Used {
        Used {
            processor: self.processor.saturating_sub(earlier.processor),
            // Threads that ended meanwhile take theirs with them.
            sleeps: self.sleeps.saturating_sub(earlier.sleeps),
        }
    }
}

/// What a process has used since it was started.
///
/// # Errors
/// The process is gone.
pub fn used(pid: Pid) -> anyhow::Result<Used> {
    Ok(Used { processor: processor_time(pid)?, sleeps: sleeps(pid)? })
}

/// Processor time that a process has used, in user and kernel together.
///
/// # Errors
/// The process is gone.
pub fn processor_time(pid: Pid) -> anyhow::Result<Duration> {
    let stat = read(pid, "stat")?;
    // The name in brackets may hold anything; what follows the last bracket is fields 3 and on.
    let (_, fields) = stat.rsplit_once(')').context("stat has a name in brackets")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks = ticks.sum::<Result<u64, _>>().context("stat holds processor time")?;
    Ok(Duration::from_millis(ticks * 1_000 / USER_HZ))
}

/// Resident memory in bytes: all of it, and the part that is the process's own data.
///
/// # Errors
/// The process is gone.
pub fn resident_bytes(pid: Pid) -> anyhow::Result<(u64, u64)> {
    let status = read(pid, "status")?;
    Ok((kib(&status, "VmRSS:")? * 1024, kib(&status, "RssAnon:")? * 1024))
}

/// How often threads of a process went to sleep and were woken.
///
/// # Errors
/// The process is gone.
pub fn sleeps(pid: Pid) -> anyhow::Result<u64> {
    let folder = format!("/proc/{}/task", pid.as_raw_nonzero());
    let mut sum = 0;
    for task in std::fs::read_dir(&folder).with_context(|| folder.clone())? {
        // A thread may end meanwhile.
        let Ok(status) = std::fs::read_to_string(task?.path().join("status")) else { continue };
        sum += kib(&status, "voluntary_ctxt_switches:")?;
    }
    Ok(sum)
}

fn read(pid: Pid, what: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{}/{what}", pid.as_raw_nonzero());
    std::fs::read_to_string(&path).with_context(|| path.clone())
}

fn kib(status: &str, name: &str) -> anyhow::Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).with_context(|| format!("status holds {name}"))
}
