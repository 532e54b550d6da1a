//! A process held to a fixed share of one processor, so that a generator beside it can really offer it ten
//! times what it bears.
//!
//! By the kernel where it lets us (control groups, version 1 or 2, with a short period: a stop of a tenth of a
//! second would be a queue of its own), else by stopping and continuing the process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The share is given anew so often.
const PERIOD_US: u64 = 10_000;
/// Beside whatever else runs: so that the share is what limits it, not its neighbours.
const WEIGHT_V1: &str = "20000";
const WEIGHT_V2: &str = "5000";

/// Holds a process until it is dropped.
pub struct Share {
    how: How,
}

enum How {
    Group { folder: PathBuf, parent: PathBuf, pid: Pid, name: &'static str },
    Stopped { over: Arc<AtomicBool>, thread: Option<JoinHandle<()>> },
}

impl Share {
    /// Holds a process to so many hundredths of one processor.
    ///
    /// # Errors
    /// It is gone, or no thread can be started.
    pub fn hold(pid: Pid, percent: u64) -> anyhow::Result<Share> {
        assert!((1..=100).contains(&percent), "a share of one processor");
        for group in [version_1, version_2] {
            if let Some(how) = group(pid, percent) {
                return Ok(Share { how });
            }
        }
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        let thread = std::thread::Builder::new()
            .name("share".into())
            .spawn(move || stop_and_go(pid, percent, &told))?;
        Ok(Share { how: How::Stopped { over, thread: Some(thread) } })
    }

    /// By what it is held.
    pub fn name(&self) -> &'static str {
        match self.how {
            How::Group { name, .. } => name,
            How::Stopped { .. } => "stop and continue",
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        match &mut self.how {
            How::Group { folder, parent, pid, .. } => {
                // A process that has ended is in no group any more.
                _ = std::fs::write(parent.join("cgroup.procs"), pid.as_raw_nonzero().to_string());
                _ = std::fs::remove_dir(folder);
            }
            How::Stopped { over, thread } => {
                over.store(true, Ordering::Relaxed);
                _ = thread.take().map(JoinHandle::join);
            }
        }
    }
}

fn version_1(pid: Pid, percent: u64) -> Option<How> {
    let parent = mounted(|kind, options| kind == "cgroup" && options.split(',').any(|it| it == "cpu"))?;
    let quota = (PERIOD_US * percent / 100).to_string();
    let settings = [
        ("cpu.cfs_period_us", PERIOD_US.to_string()),
        ("cpu.cfs_quota_us", quota),
        ("cpu.shares", WEIGHT_V1.to_owned()),
    ];
    group(parent, pid, &settings, "control group v1")
}

fn version_2(pid: Pid, percent: u64) -> Option<How> {
    let parent = mounted(|kind, _| kind == "cgroup2")?;
    // Fails where the controller is not ours to give.
    _ = std::fs::write(parent.join("cgroup.subtree_control"), "+cpu");
    let max = format!("{} {PERIOD_US}", PERIOD_US * percent / 100);
    group(parent, pid, &[("cpu.max", max), ("cpu.weight", WEIGHT_V2.to_owned())], "control group v2")
}

fn group(parent: PathBuf, pid: Pid, settings: &[(&str, String)], name: &'static str) -> Option<How> {
    let folder = parent.join(format!("anser-storm-{}", pid.as_raw_nonzero()));
    std::fs::create_dir(&folder).ok()?;
    let set = |file: &str, value: &str| std::fs::write(folder.join(file), value).is_ok();
    let held = settings.iter().all(|(file, value)| folder.join(file).exists() && set(file, value))
        && set("cgroup.procs", &pid.as_raw_nonzero().to_string());
    if !held {
        _ = std::fs::remove_dir(&folder);
        return None;
    }
    Some(How::Group { folder, parent, pid, name })
}

/// Where a file system is mounted.
fn mounted(is_it: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (place, kind, options) = (words.next()?, words.next()?, words.next()?);
        is_it(kind, options).then(|| Path::new(place).to_path_buf())
    })
}

fn stop_and_go(pid: Pid, percent: u64, over: &AtomicBool) {
    let run = Duration::from_micros(PERIOD_US * percent / 100);
    let rest = Duration::from_micros(PERIOD_US) - run;
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(run);
        if kill_process(pid, Signal::STOP).is_err() {
            return;
        }
        std::thread::sleep(rest);
        if kill_process(pid, Signal::CONT).is_err() {
            return;
        }
    }
}
