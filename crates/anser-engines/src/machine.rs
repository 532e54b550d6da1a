//! What the machine says of this process: its time, its memory, what it wrote; and a limit to its memory that
//! the page cache counts against.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};

/// A control group that holds this process to some memory, files it has read and written included.
pub struct Group {
    folder: PathBuf,
    parent: PathBuf,
    version: u8,
}

impl Group {
    /// Holds this process, and those it starts, to so many MiB.
    ///
    /// # Errors
    /// The kernel or its configuration does not let us. Then start the program inside such a limit, for example
    /// with `systemd-run --scope -p MemoryMax=2G`.
    pub fn hold(mib: u64) -> anyhow::Result<Group> {
        let bytes = (mib * 1024 * 1024).to_string();
        for (version, file) in [(1, "memory.limit_in_bytes"), (2, "memory.max")] {
            let Some(parent) = own_group(version) else { continue };
            let folder = parent.join(format!("anser-engines-{}", std::process::id()));
            let group = Group { folder, parent, version };
            let set = |file: &str, value: &str| std::fs::write(group.folder.join(file), value);
            let made = std::fs::create_dir(&group.folder);
            let held = made
                .and_then(|()| set(file, &bytes))
                .and_then(|()| set("cgroup.procs", &std::process::id().to_string()));
            if held.is_ok() {
                return Ok(group);
            }
        }
        anyhow::bail!("no control group could be made to hold the memory to {mib} MiB")
    }

    /// The most that was ever used, page cache included.
    pub fn peak_bytes(&self) -> u64 {
        let file = if self.version == 1 { "memory.max_usage_in_bytes" } else { "memory.peak" };
        let text = std::fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        _ = std::fs::write(self.parent.join("cgroup.procs"), std::process::id().to_string());
        _ = std::fs::remove_dir(&self.folder);
    }
}

/// The group that this process is in, so that limits around it go on to hold.
fn own_group(version: u8) -> Option<PathBuf> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let is_it = match version {
            1 => controllers.split(',').any(|it| it == "memory"),
            _ => controllers.is_empty(),
        };
        is_it.then(|| path.trim_start_matches('/').to_owned())
    })?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let mounted = mounts.lines().find_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let &[_, place, kind, options, ..] = &words[..] else { return None };
        let is_it = match version {
            1 => kind == "cgroup" && options.split(',').any(|it| it == "memory"),
            _ => kind == "cgroup2",
        };
        is_it.then(|| place.to_owned())
    })?;
    Some(Path::new(&mounted).join(own))
}

/// Processor time of the whole process.
pub fn process_cpu() -> Duration {
    time_of(ClockId::ProcessCPUTime)
}

/// Processor time of the thread that asks.
pub fn thread_cpu() -> Duration {
    time_of(ClockId::ThreadCPUTime)
}

fn time_of(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Bytes that this process caused to be written to and read from the disk.
///
/// # Errors
/// The kernel does not count them.
pub fn disk_bytes() -> anyhow::Result<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/self/io")?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).context("a field is missing")?;
        Ok::<u64, anyhow::Error>(line.trim().parse()?)
    };
    Ok((field("write_bytes:")?, field("read_bytes:")?))
}

/// Memory that is in no file.
pub fn anonymous_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

/// What the files of a folder and of those in it take on the disk.
///
/// # Errors
/// The folder cannot be read.
pub fn folder_bytes(folder: &Path) -> anyhow::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // What is merged away meanwhile is gone.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

/// Asks the kernel to forget what it has cached of the files of a folder, so that the disk is read.
///
/// # Errors
/// A file cannot be read.
pub fn forget_cached(folder: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.metadata()?.is_dir() {
            forget_cached(&entry.path())?;
            continue;
        }
        let file = std::fs::File::open(entry.path())?;
        // What is dirty is kept otherwise.
        file.sync_all()?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}
