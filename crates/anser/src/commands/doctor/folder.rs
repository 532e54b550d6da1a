//! The data folder: whose it is, its secrets, how fast its disk is, and whether its log and its history open.

use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anser_core::ports::clock::Clock;
use anser_core::ports::log::Log as _;
use anser_embedded::disk::{FolderDisk, FolderError};
use anser_embedded::history::{HISTORY_FOLDER, HistoryOptions, MANIFEST_FILE, SteppedHistory};
use anser_embedded::log::{LocalLog, LogOptions};
use anser_embedded::system::{SystemClock, SystemRandom};
use anser_server::accounts::{SECRETS_FOLDER, Secrets};
use anser_server::wiring::free_bytes;

use super::report::Report;

const BEYOND_OWNER: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o022;
const MODE_BITS: u32 = 0o7777;
const MIB: u64 = 1024 * 1024;
/// Space below which a server should not start, and below which somebody should know.
const SPACE_LEAST_BYTES: u64 = 256 * MIB;
const SPACE_LITTLE_BYTES: u64 = 2 * 1024 * MIB;
/// Syncs that are measured, and bytes before each: what a busy server does.
const SYNCS: usize = 40;
const SYNC_BYTES: usize = 16 * 1024;
/// A sync that takes so long makes everybody wait.
const SYNC_SLOW_US: u64 = 30_000;
/// One that takes no time at all was not one: a disk of the year takes longer.
const SYNC_UNREAL_US: u64 = 5;
/// Of the history so much is read, newest first.
const HISTORY_READ_BYTES: u64 = 2 * 1024 * MIB;
const TRIAL_FILE: &str = "doctor.trial";

/// Whether a server runs on the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    Yes,
    No,
}

/// Everything about the folder.
pub fn check(report: &mut Report, data: &Path, clock: &dyn Clock) -> Running {
    let Ok(metadata) = fs::metadata(data) else {
        missing(report, data, clock);
        return Running::No;
    };
    if !metadata.is_dir() {
        let fix = "choose another with --data";
        report.fail("folder", format!("{} is no folder", data.display()), fix);
        return Running::No;
    }
    let ours = owner(report, data, &metadata);
    secrets(report, data);
    space(report, data);
    if !ours {
        // What is written by another user stands in the owner's way later.
        return Running::No;
    }
    speed(report, data, clock);
    let running = log(report, data);
    if running == Running::No {
        history(report, data);
    }
    running
}

/// A folder that will be made: what is known of where.
fn missing(report: &mut Report, data: &Path, clock: &dyn Clock) {
    let absolute = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    let parent = absolute.ancestors().skip(1).find(|ancestor| ancestor.is_dir());
    let Some(parent) = parent else {
        return report.fail(
            "folder",
            format!("{} cannot be made", data.display()),
            "choose another with --data",
        );
    };
    report.ok("folder", format!("{} is not there yet: the first start makes it", data.display()));
    space(report, parent);
    speed(report, parent, clock);
}

/// Whose the folder is. False: somebody else's.
fn owner(report: &mut Report, data: &Path, metadata: &Metadata) -> bool {
    const NAME: &str = "folder";
    let (shown, mode) = (data.display(), metadata.mode() & MODE_BITS);
    let us = rustix::process::geteuid().as_raw();
    if metadata.uid() != us {
        let found = format!("{shown} belongs to user {}, this is user {us}", metadata.uid());
        let fix = format!("run this and the server as user {}, or `chown -R` the folder", metadata.uid());
        report.fail(NAME, found, fix);
        return false;
    }
    let fix = format!("chmod 700 {shown}");
    match mode {
        mode if mode & OTHERS_WRITE != 0 => {
            report.fail(NAME, format!("{shown} has mode {mode:04o}: others can write to it"), fix);
        }
        mode if mode & BEYOND_OWNER != 0 => {
            report.warn(NAME, format!("{shown} has mode {mode:04o}: others can read what people write"), fix);
        }
        mode => report.ok(NAME, format!("{shown} is ours alone (mode {mode:04o})")),
    }
    true
}

fn secrets(report: &mut Report, data: &Path) {
    const NAME: &str = "secrets";
    let folder = data.join(SECRETS_FOLDER);
    if !folder.exists() {
        return report.ok(NAME, "there are none yet: the first start makes them");
    }
    let mut wrong = private(&folder, 0o700).err().into_iter().collect::<Vec<_>>();
    let files = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut count = 0;
    for file in files {
        count += 1;
        wrong.extend(private(&file.path(), 0o600).err());
    }
    match wrong.as_slice() {
        [] => report.ok(NAME, format!("{count} files, for their owner alone")),
        [(found, fix), ..] => report.fail(NAME, found.clone(), fix.clone()),
    }
}

/// Whether a file or folder is for its owner alone; else what is wrong, and what to do.
pub fn private(path: &Path, wanted: u32) -> Result<(), (String, String)> {
    let shown = path.display();
    let metadata = fs::metadata(path)
        .map_err(|error| (format!("{shown}: {error}"), "look at its permissions".into()))?;
    let mode = metadata.mode() & MODE_BITS;
    match mode & BEYOND_OWNER {
        0 => Ok(()),
        _ => Err((
            format!("{shown} has mode {mode:04o}: others can read it"),
            format!("chmod {wanted:o} {shown}"),
        )),
    }
}

fn space(report: &mut Report, folder: &Path) {
    const NAME: &str = "disk space";
    let Some(free) = free_bytes(folder) else {
        return report.ok(NAME, "this file system does not say");
    };
    let found = format!("{} MiB are left", free / MIB);
    let fix = "make room, or move the data folder to a larger disk";
    match free {
        free if free < SPACE_LEAST_BYTES => report.fail(NAME, found, fix),
        free if free < SPACE_LITTLE_BYTES => report.warn(NAME, found, fix),
        _ => report.ok(NAME, found),
    }
}

/// Writes and syncs as a busy server does, in a file that goes again.
fn speed(report: &mut Report, folder: &Path, clock: &dyn Clock) {
    const NAME: &str = "disk speed";
    let path = folder.join(TRIAL_FILE);
    let measured = syncs_us(&path, clock);
    // It may not be there.
    _ = fs::remove_file(&path);
    let mut syncs_us = match measured {
        Ok(syncs_us) => syncs_us,
        Err(error) => {
            let found = format!("{} cannot be written: {error}", folder.display());
            return report.fail(NAME, found, "look at the permissions of the folder and at the disk");
        }
    };
    syncs_us.sort_unstable();
    let (median, worst) = (syncs_us[syncs_us.len() / 2], syncs_us[syncs_us.len() - 1]);
    let found = format!(
        "a write of {} KiB with its sync takes {:.1} ms, at worst {:.1} ms",
        SYNC_BYTES / 1024,
        median as f64 / 1_000.0,
        worst as f64 / 1_000.0
    );
    if median > SYNC_SLOW_US {
        return report.warn(
            NAME,
            found,
            "every answer waits for a sync: use an SSD, or a disk nobody else uses",
        );
    }
    if median < SYNC_UNREAL_US {
        let fix =
            "this file system does not sync: what was acknowledged is lost with the power; use a real disk";
        return report.warn(NAME, found, fix);
    }
    report.ok(NAME, found);
}

fn syncs_us(path: &Path, clock: &dyn Clock) -> io::Result<Vec<u64>> {
    let mut file = File::create(path)?;
    let bytes = [0xa5; SYNC_BYTES];
    (0..SYNCS)
        .map(|_| {
            let began_us = clock.monotonic_us();
            file.write_all(&bytes)?;
            file.sync_data()?;
            Ok(clock.monotonic_us() - began_us)
        })
        .collect()
}

/// Opens the log as a start would, if nobody else has it.
fn log(report: &mut Report, data: &Path) -> Running {
    const NAME: &str = "log";
    let folder: PathBuf = data.join("log");
    if !folder.is_dir() {
        report.ok(NAME, "there is none yet: the first start makes it");
        return Running::No;
    }
    let disk = match FolderDisk::open(&folder) {
        Ok(disk) => disk,
        Err(FolderError::Locked { .. }) => {
            report.ok(NAME, "a server runs on it");
            return Running::Yes;
        }
        Err(error) => {
            report.fail(NAME, error.to_string(), "look at the permissions of the folder and at the disk");
            return Running::No;
        }
    };
    match heads(disk, data) {
        Ok(facts) => report.ok(NAME, format!("it opens; its slots have come to {facts} facts")),
        Err(error) => {
            let fix = "if it is damaged, restore the data folder from a backup: nothing was changed";
            report.fail(NAME, format!("{error:#}"), fix);
        }
    }
    Running::No
}

/// Opens the history, if nobody else has it, and reads as much of it as is read in a few seconds.
fn history(report: &mut Report, data: &Path) {
    const NAME: &str = "history";
    let folder = data.join(HISTORY_FOLDER);
    if !folder.join(MANIFEST_FILE).is_file() {
        return report.ok(NAME, "there is none yet: the first start makes it");
    }
    let checked = FolderDisk::open(&folder).map_err(anyhow::Error::from).and_then(|disk| {
        let history = SteppedHistory::open(Arc::new(disk), HistoryOptions::usual())?;
        Ok(history.check_newest(HISTORY_READ_BYTES)?)
    });
    match checked {
        Ok(found) => {
            let (read, all) = (found.read_bytes.div_ceil(MIB), found.bytes.div_ceil(MIB));
            let what =
                format!("{} segments are there; {read} of {all} MiB were read and are whole", found.segments);
            report.ok(NAME, what);
        }
        Err(error) => {
            report.fail(
                NAME,
                format!("{error:#}"),
                "restore the data folder from a backup: nothing was changed",
            );
        }
    }
}

fn heads(disk: FolderDisk, data: &Path) -> anyhow::Result<u64> {
    let secrets = Secrets::open(data, &SystemRandom)?;
    let options = LogOptions::new(secrets.slot_key().fingerprint());
    let log = LocalLog::open(Arc::new(disk), options, Arc::new(SystemRandom), Arc::new(SystemClock))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let heads = runtime.block_on(log.heads())?;
    Ok(heads.iter().map(|head| head.last.0).sum())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::report::Level;
    use super::*;

    fn level(report: &Report, name: &str) -> Level {
        report.checks.iter().find(|check| check.name == name).expect("it was checked").level
    }

    #[test]
    fn a_folder_that_others_can_read_or_write_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        for (mode, expected) in [(0o700, Level::Ok), (0o755, Level::Warn), (0o770, Level::Fail)] {
            fs::set_permissions(&data, Permissions::from_mode(mode)).unwrap();
            let mut report = Report::default();
            assert_eq!(check(&mut report, &data, &SystemClock), Running::No);
            assert_eq!(level(&report, "folder"), expected, "{report:?}");
            assert!(!data.join(TRIAL_FILE).exists());
        }
    }

    #[test]
    fn a_folder_that_is_not_there_can_be_made_and_a_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut report = Report::default();
        check(&mut report, &folder.path().join("a/b"), &SystemClock);
        assert!(report.is_fit(), "{report:?}");
        assert!(!folder.path().join("a").exists(), "looking makes nothing");
        fs::write(folder.path().join("file"), "").unwrap();
        let mut report = Report::default();
        check(&mut report, &folder.path().join("file"), &SystemClock);
        assert!(!report.is_fit());
    }
}
