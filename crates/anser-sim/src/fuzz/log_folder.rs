//! A log's folder, damaged: it opens, or it says why not.
//!
//! An input is a list of patches of a folder that was well: eight bytes each, so that what is found
//! is small. The folder is the same each time.

use std::sync::{Arc, OnceLock};

use anser_core::ports::disk::Disk;
use anser_core::ports::log::LogError;
use anser_core::record::Record;
use anser_core::storage::{decode_fact, split_facts};
use anser_embedded::log::{LogOptions, OpenError, SteppedLog};
use anser_model::{Timeline, UnixMillis};

use super::corpus::record_chain;
use crate::chance::SimRandom;
use crate::clock::SimClock;
use crate::disk::SimDisk;

const PATCH_BYTES: usize = 8;
/// Patches of one input at most.
const PATCHES: usize = 8;
const SLOT_KEY: u64 = 0x5107;
const SEGMENT_BYTES: u64 = 12 * 1024;
const BLOCK_FULL_BYTES: usize = 1024;
const RECORDS: usize = 40;
const SECTOR: usize = 512;
/// Bytes that a file of the folder may grow to.
const FILE_BYTES: usize = 64 * 1024;
const READ_BYTES: usize = 64 * 1024;

type Folder = Vec<(String, Vec<u8>)>;

fn written() -> &'static [Record] {
    static WRITTEN: OnceLock<Vec<Record>> = OnceLock::new();
    WRITTEN.get_or_init(|| record_chain().into_iter().take(RECORDS).collect())
}

fn options() -> LogOptions {
    let mut options = LogOptions::new(SLOT_KEY);
    options.segment_bytes = SEGMENT_BYTES;
    options.block_full_bytes = BLOCK_FULL_BYTES;
    options.new_timeline = Some(Timeline(9));
    options
}

fn open(disk: &SimDisk) -> Result<SteppedLog, OpenError> {
    let random = Arc::new(SimRandom::new(1));
    SteppedLog::open(Arc::new(disk.clone()), options(), random, &SimClock::new(UnixMillis(1)))
}

/// A folder of several segments, some of it sealed.
fn whole() -> &'static Folder {
    static WHOLE: OnceLock<Folder> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let disk = SimDisk::new(1);
        let mut log = open(&disk).expect("an empty folder opens");
        for records in written().chunks(3) {
            assert!(log.commit(records).iter().all(Result::is_ok), "a chain of records is taken");
        }
        log.seal().expect("a disk without faults");
        assert!(log.segments() > 1, "the log has rolled");
        disk.names()
            .into_iter()
            .map(|name| {
                let bytes = disk.peek(&name).expect("it is named").to_vec();
                (name, bytes)
            })
            .collect()
    })
}

/// No patch at all, and some that are likely to matter.
pub(super) fn corpus() -> Vec<Vec<u8>> {
    let mut inputs = vec![Vec::new(), vec![0; PATCH_BYTES]];
    for file in 0..whole().len() as u8 {
        for kind in 0..KINDS {
            inputs.push(vec![file, kind, 0, 2, 0, 1, 40, 0]);
        }
    }
    inputs
}

const KINDS: u8 = 10;

fn patch(folder: &mut Folder, patch: &[u8]) {
    if folder.is_empty() {
        return;
    }
    let index = usize::from(patch[0]) % folder.len();
    let at = usize::from(u16::from_le_bytes([patch[2], patch[3]]));
    let (other, value, length) = (usize::from(patch[4]), patch[5], usize::from(patch[6]));
    let (name, bytes) = folder[index].clone();
    let file = &mut folder[index].1;
    let range = at.min(bytes.len())..(at + length).min(bytes.len()).max(at.min(bytes.len()));
    match patch[1] % KINDS {
        0 if at < file.len() => file[at] ^= 1 << (value % 8),
        1 => file[range].fill(value),
        2 => file.truncate(at),
        3 => file
            .extend(std::iter::repeat_n(value, (length * 64).min(FILE_BYTES - file.len().min(FILE_BYTES)))),
        4 => drop(folder.remove(index)),
        5 => folder[index].0 = format!("{value:020}.log"),
        6 => folder.push((name.replace(char::is_numeric, "7"), bytes)),
        7 => {
            // A sector of another place, whole, as a disk may misplace it.
            let from = (other * SECTOR).min(bytes.len().saturating_sub(SECTOR));
            let to = (at / SECTOR * SECTOR).min(bytes.len().saturating_sub(SECTOR));
            if bytes.len() >= SECTOR {
                file.copy_within(from..from + SECTOR, to);
            }
        }
        8 => {
            let numbers = [0, 1, u32::MAX, u32::MAX / 2, 0x0020_0000, 512];
            let number = numbers[usize::from(value) % numbers.len()].to_le_bytes();
            let room = range.start..(range.start + 4).min(file.len());
            file[room.clone()].copy_from_slice(&number[..room.len()]);
        }
        _ => {
            let with = other % folder.len();
            let content = folder[with].1.clone();
            folder[with].1 = std::mem::replace(&mut folder[index].1, content);
        }
    }
}

fn disk_of(folder: &Folder) -> std::io::Result<SimDisk> {
    let disk = SimDisk::new(2);
    for (name, bytes) in folder {
        let file = match disk.create(name) {
            Ok(file) => file,
            // Two patches made two files of one name: the first stays.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        };
        file.write_all_at(0, bytes)?;
        file.sync_data()?;
    }
    disk.sync_folder()?;
    Ok(disk)
}

pub(super) fn check(input: &[u8]) -> Result<bool, String> {
    let mut folder = whole().clone();
    input.chunks_exact(PATCH_BYTES).take(PATCHES).for_each(|bytes| patch(&mut folder, bytes));
    let disk = disk_of(&folder).map_err(|error| format!("the simulated disk: {error}"))?;
    let log = match open(&disk) {
        Ok(log) => log,
        Err(OpenError::NoSpace(error)) => return Err(format!("there is space: {error}")),
        Err(_) => return Ok(false),
    };
    // What opens holds a run of what was written: nothing else, and nothing changed. A folder whose
    // oldest segments are gone is one that was trimmed; that the stores hold them is theirs to check.
    let written = written();
    for head in log.heads() {
        let mut next = head.first;
        while next <= head.last {
            let records = match log.read(head.slot, next, READ_BYTES) {
                Ok(records) => records,
                // A log is opened by its end: damage before it is found when it is read, and not served.
                Err(LogError::Damaged { .. }) => return Ok(false),
                Err(error) => return Err(format!("it opened: {error}")),
            };
            if records.is_empty() {
                return Err(format!("nothing at n {next} of {:?}", head));
            }
            for record in records {
                if !written.contains(&record) {
                    return Err(format!("never written: {:?}", record.header));
                }
                for fact in split_facts(&record.payload).map_err(|error| error.to_string())? {
                    decode_fact(&fact).map_err(|error| error.to_string())?;
                }
                next = record.header.last_n().next();
            }
        }
    }
    // What the check after a start finds is damage, and nothing else.
    loop {
        match log.check_one() {
            Ok(true) => {}
            Ok(false) => return Ok(true),
            Err(LogError::Damaged { .. }) => return Ok(false),
            Err(error) => return Err(format!("the check: {error}")),
        }
    }
}
