//! What the history consists of at one moment: written beside the old one, synced, and swapped in by a rename.

use std::io;

use anser_core::ports::disk::{Disk, DiskFile};
use anser_model::{N, Slot, planted};
use bytes::{Buf, BufMut};

use super::error::HistoryError;
use super::rows::Kind;

/// The name of the manifest in its folder.
pub const MANIFEST_FILE: &str = "manifest";
/// The format of the history's files that this code writes and reads.
pub const HISTORY_FORMAT: u32 = 1;
/// The name under which a manifest is written.
const UNFINISHED_FILE: &str = "manifest.new";
const MAGIC: &[u8; 8] = b"anserHM\n";
const HEAD_BYTES: usize = 8 + 4 + 8 + 4 + 8 * Slot::COUNT;
const ENTRY_BYTES: usize = 1 + 1 + 8 + 8 + 8 + 8 + 4 + 4 + 4 + 8;
/// Segments at most: what a manifest says beyond that is damage.
const SEGMENTS_MAX: usize = 100_000;

/// One segment as the manifest knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What it holds.
    pub kind: Kind,
    /// How often its rows were merged, roughly: segments of one level are of one magnitude.
    pub level: u8,
    /// Names its file.
    pub number: u64,
    /// Number of the newest flush in it: the larger, the newer.
    pub newest: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// Rows in it.
    pub rows: u64,
    /// The smallest day of its keys; of facts 0.
    pub day_low: u32,
    /// The largest day of its keys; of facts 0.
    pub day_high: u32,
    /// Its keys of days below this are forgotten.
    pub forgotten_below: u32,
    /// When the oldest of its rows was flushed of which an older segment may hold another version, in
    /// milliseconds since 1970; 0: there is none.
    pub rewritten_since_ms: u64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Through which n every slot is folded.
    pub checkpoints: Vec<N>,
    /// No segment has this number or a larger one.
    pub next_number: u64,
    /// The segments.
    pub entries: Vec<Entry>,
}

impl Entry {
    /// The name of its file.
    pub fn file_name(&self) -> String {
        file_name(self.kind, self.number)
    }
}

/// The names of the files that a manifest's bytes name. They never change: whoever has them and the manifest has
/// the history as of a moment.
///
/// # Errors
/// The bytes are damaged, or of another version.
pub fn files_of(manifest: &[u8]) -> Result<Vec<String>, HistoryError> {
    Ok(Manifest::decode(manifest)?.entries.iter().map(Entry::file_name).collect())
}

/// The name of a segment's file.
pub(crate) fn file_name(kind: Kind, number: u64) -> String {
    match kind {
        Kind::Facts => format!("{number:012}.facts"),
        Kind::Keys => format!("{number:012}.keys"),
    }
}

/// Whether a file of this name is a segment, or an unfinished manifest.
pub(crate) fn is_segment(name: &str) -> bool {
    name.ends_with(".facts") || name.ends_with(".keys")
}

/// Whether a file of this name is what is left of a manifest that was not finished.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name == UNFINISHED_FILE
}

/// Creates a file that nobody relies on yet; one of that name is left over and goes.
pub(crate) fn create(disk: &dyn Disk, name: &str) -> io::Result<Box<dyn DiskFile>> {
    match disk.create(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove(name)?;
            disk.create(name)
        }
        created => created,
    }
}

impl Manifest {
    /// Of a history in which nothing is.
    pub fn empty() -> Manifest {
        Manifest { checkpoints: vec![N(0); Slot::COUNT], next_number: 1, entries: Vec::new() }
    }

    /// Reads the manifest of a folder; `None` where there is none.
    pub fn read(disk: &dyn Disk) -> Result<Option<Manifest>, HistoryError> {
        let reading = |source| HistoryError::Reading { file: MANIFEST_FILE.into(), source };
        let file = match disk.open(MANIFEST_FILE) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(reading(error)),
        };
        let length = file.len().map_err(reading)?;
        if length > (HEAD_BYTES + SEGMENTS_MAX * ENTRY_BYTES + 4) as u64 {
            return Err(damaged(0, format!("it has {length} bytes")));
        }
        let mut bytes = vec![0; length as usize];
        let read = file.read_at(0, &mut bytes).map_err(reading)?;
        bytes.truncate(read);
        Manifest::decode(&bytes).map(Some)
    }

    /// Swaps it in, durable when this returns. On [`HistoryError::NoSpace`] the old one stands; on
    /// [`HistoryError::Writing`] nobody knows which does. Where `are_named` is false, the names of files
    /// that it speaks of are made durable before it is.
    pub fn write(&self, disk: &dyn Disk, are_named: bool) -> Result<(), HistoryError> {
        let syncing = |source| HistoryError::Writing { what: "syncing the folder".into(), source };
        if !are_named && !planted!(ManifestBeforeSegments) {
            disk.sync_folder().map_err(syncing)?;
        }
        let swap = || {
            let file = create(disk, UNFINISHED_FILE)?;
            file.write_all_at(0, &self.encode())?;
            file.sync_data()?;
            disk.rename(UNFINISHED_FILE, MANIFEST_FILE)
        };
        swap().map_err(HistoryError::writing("replacing the manifest"))?;
        disk.sync_folder().map_err(syncing)
    }

    fn encode(&self) -> Vec<u8> {
        assert!(self.entries.len() <= SEGMENTS_MAX, "a manifest names no more than it reads");
        let mut bytes = MAGIC.to_vec();
        bytes.put_u32_le(HISTORY_FORMAT);
        bytes.put_u64_le(self.next_number);
        bytes.put_u32_le(self.entries.len() as u32);
        self.checkpoints.iter().for_each(|n| bytes.put_u64_le(n.0));
        for entry in &self.entries {
            bytes.put_u8(match entry.kind {
                Kind::Facts => 0,
                Kind::Keys => 1,
            });
            bytes.put_u8(entry.level);
            for number in [entry.number, entry.newest, entry.bytes, entry.rows] {
                bytes.put_u64_le(number);
            }
            for day in [entry.day_low, entry.day_high, entry.forgotten_below] {
                bytes.put_u32_le(day);
            }
            bytes.put_u64_le(entry.rewritten_since_ms);
        }
        bytes.put_u32_le(crc32c::crc32c(&bytes));
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Manifest, HistoryError> {
        if !bytes.starts_with(MAGIC) || bytes.len() < HEAD_BYTES + 4 {
            return Err(damaged(0, "it does not begin as a manifest does"));
        }
        let mut rest = &bytes[MAGIC.len()..];
        let found = rest.get_u32_le();
        if found != HISTORY_FORMAT {
            let file = format!("history/{MANIFEST_FILE}");
            return Err(HistoryError::UnknownFormat { file, found, known: HISTORY_FORMAT });
        }
        let (body, crc) = bytes.split_last_chunk::<4>().expect("longer than its head");
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return Err(damaged(0, "its checksum is wrong"));
        }
        let next_number = rest.get_u64_le();
        let count = rest.get_u32_le() as usize;
        if count.checked_mul(ENTRY_BYTES) != Some(body.len() - HEAD_BYTES) {
            return Err(damaged(MAGIC.len() as u64 + 12, format!("it has no room for {count} segments")));
        }
        let checkpoints = (0..Slot::COUNT).map(|_| N(rest.get_u64_le())).collect();
        let entries = (0..count).map(|at| entry(&mut rest, at)).collect::<Result<Vec<Entry>, _>>()?;
        if entries.iter().any(|entry| entry.number >= next_number) {
            return Err(damaged(MAGIC.len() as u64 + 4, "a segment has a number that was not given yet"));
        }
        Ok(Manifest { checkpoints, next_number, entries })
    }
}

fn entry(rest: &mut &[u8], at: usize) -> Result<Entry, HistoryError> {
    let kind = match rest.get_u8() {
        0 => Kind::Facts,
        1 => Kind::Keys,
        other => {
            let offset = (HEAD_BYTES + at * ENTRY_BYTES) as u64;
            return Err(damaged(offset, format!("a segment of kind {other}")));
        }
    };
    Ok(Entry {
        kind,
        level: rest.get_u8(),
        number: rest.get_u64_le(),
        newest: rest.get_u64_le(),
        bytes: rest.get_u64_le(),
        rows: rest.get_u64_le(),
        day_low: rest.get_u32_le(),
        day_high: rest.get_u32_le(),
        forgotten_below: rest.get_u32_le(),
        rewritten_since_ms: rest.get_u64_le(),
    })
}

fn damaged(offset: u64, what: impl Into<String>) -> HistoryError {
    HistoryError::Damaged { file: format!("history/{MANIFEST_FILE}"), offset, what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_and_a_damaged_one_does_not() {
        let facts = Entry {
            kind: Kind::Facts,
            level: 2,
            number: 7,
            newest: 5,
            bytes: 900,
            rows: 3,
            day_low: 0,
            day_high: 0,
            forgotten_below: 0,
            rewritten_since_ms: 77,
        };
        let keys = Entry { kind: Kind::Keys, day_high: u32::MAX, forgotten_below: 9, number: 8, ..facts };
        let checkpoints = (0..Slot::COUNT as u64).map(N).collect();
        let manifest = Manifest { checkpoints, next_number: 9, entries: vec![facts, keys] };
        let mut bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
        for at in 0..bytes.len() {
            bytes[at] ^= 4;
            assert!(Manifest::decode(&bytes).is_err(), "byte {at}");
            bytes[at] ^= 4;
        }
        for length in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..length]).is_err(), "cut to {length}");
        }
        bytes[MAGIC.len()] = 99;
        let error = Manifest::decode(&bytes).unwrap_err().to_string();
        assert!(error.contains("history/manifest") && error.contains("format 99"), "{error}");
    }
}
