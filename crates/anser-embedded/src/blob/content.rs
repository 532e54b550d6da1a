//! Stored contents: a file each, in folders by the first two bytes of its name.
//!
//! Behind the bytes stands a CRC32C of every block of them and then a tail with their length, so that
//! damage is found by whoever reads a range, and not only by whoever reads the whole.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use anser_core::ports::blob::{BlobError, ContentId, PART_BYTES};
use anser_model::UnixMillis;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::medium::{Medium, because, from_hex, if_there, remove_file};

/// Bytes of content under one checksum.
pub(super) const BLOCK_BYTES: u64 = 64 * 1024;
/// Bytes of a checksum.
const SUM_BYTES: u64 = 4;
/// Bytes of the tail: magic, format, bytes of a block, length, and a CRC32C of these.
const TAIL_BYTES: usize = 28;
const MAGIC: [u8; 8] = *b"ANSRBLOB";
const FORMAT: u32 = 1;

/// What follows `bytes` of content whose blocks have these checksums.
pub(super) fn footer(sums: &[u32], bytes: u64) -> Vec<u8> {
    assert_eq!(sums.len() as u64, bytes.div_ceil(BLOCK_BYTES), "every block has a checksum");
    let mut footer: Vec<u8> = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
    footer.extend(tail(bytes));
    footer
}

fn tail(bytes: u64) -> [u8; TAIL_BYTES] {
    let mut tail = [0; TAIL_BYTES];
    tail[..8].copy_from_slice(&MAGIC);
    tail[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    tail[12..16].copy_from_slice(&(BLOCK_BYTES as u32).to_le_bytes());
    tail[16..24].copy_from_slice(&bytes.to_le_bytes());
    let sum = crc32c::crc32c(&tail[..24]);
    tail[24..].copy_from_slice(&sum.to_le_bytes());
    tail
}

/// When a content counts as stored: what its file says that it was changed.
pub(super) fn mark_stored(file: &File, path: &Path, now: UnixMillis) -> Result<(), BlobError> {
    file.set_modified(time(now)).map_err(because("dating", path))
}

/// A content never counts as stored earlier than it did.
fn raise_stored(path: &Path, at: SystemTime) -> Result<(), BlobError> {
    let raise = || {
        let file = File::open(path)?;
        if file.metadata()?.modified()? < at { file.set_modified(at) } else { Ok(()) }
    };
    raise().map_err(because("dating", path))
}

fn time(at: UnixMillis) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(at.0)
}

/// The contents of a folder.
pub(super) struct Contents {
    root: PathBuf,
    /// Held while names change. Holds the folders that are known to be durable.
    folders: Mutex<BTreeSet<[u8; 2]>>,
}

impl Contents {
    pub fn open(root: PathBuf, medium: &Medium) -> Result<Self, BlobError> {
        medium.create_folder(&root)?;
        Ok(Contents { root, folders: Mutex::default() })
    }

    fn folder(&self, content: ContentId) -> PathBuf {
        let [first, second, ..] = content.0;
        self.root.join(format!("{first:02x}")).join(format!("{second:02x}"))
    }

    /// Where a content is, if it is there.
    pub fn path(&self, content: ContentId) -> PathBuf {
        self.folder(content).join(content.to_string())
    }

    fn names(&self) -> MutexGuard<'_, BTreeSet<[u8; 2]>> {
        self.folders.lock().expect("nothing panics while it changes names")
    }

    /// Sees to it, once in a life, that a folder is there durably, with the names that a life before
    /// this one left in it.
    fn settle(
        &self,
        medium: &Medium,
        folders: &mut BTreeSet<[u8; 2]>,
        content: ContentId,
    ) -> Result<(), BlobError> {
        let [first, second, ..] = content.0;
        if !folders.contains(&[first, second]) {
            medium.create_folder(&self.root.join(format!("{first:02x}")))?;
            medium.create_folder(&self.folder(content))?;
            medium.sync_folder(&self.folder(content))?;
            folders.insert([first, second]);
        }
        Ok(())
    }

    /// Takes in a file that is whole and synced. One that is there already is replaced, which heals it
    /// if it was damaged.
    pub fn publish(&self, medium: &Medium, from: &Path, content: ContentId) -> Result<(), BlobError> {
        let mut folders = self.names();
        self.settle(medium, &mut folders, content)?;
        let path = self.path(content);
        let claimed = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
        if let Some(claimed) = if_there(claimed).map_err(because("dating", &path))? {
            raise_stored(from, claimed)?;
        }
        let rename = || std::fs::rename(from, &path).map_err(because("storing", from));
        medium.change_names(&self.folder(content), rename)
    }

    /// The length of a content that is there, which counts as stored `now`.
    pub fn claim(
        &self,
        medium: &Medium,
        content: ContentId,
        now: UnixMillis,
    ) -> Result<Option<u64>, BlobError> {
        let mut folders = self.names();
        match Stored::open(self.path(content), content) {
            Ok(stored) => {
                self.settle(medium, &mut folders, content)?;
                raise_stored(&stored.path, time(now))?;
                Ok(Some(stored.bytes))
            }
            Err(BlobError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the content is gone, because it was stored before, or was not there.
    pub fn remove(
        &self,
        medium: &Medium,
        content: ContentId,
        stored_before: UnixMillis,
    ) -> Result<bool, BlobError> {
        let _names = self.names();
        let path = self.path(content);
        let modified = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
        match if_there(modified).map_err(because("dating", &path))? {
            None => Ok(true),
            Some(stored) if stored >= time(stored_before) => Ok(false),
            Some(_) => {
                medium.change_names(&self.folder(content), || remove_file(&path))?;
                Ok(true)
            }
        }
    }

    pub fn read(&self, content: ContentId, offset: u64, bytes: usize) -> Result<Bytes, BlobError> {
        let stored = Stored::open(self.path(content), content)?;
        let end = offset.saturating_add(bytes.min(PART_BYTES) as u64).min(stored.bytes);
        if offset >= end {
            return Ok(Bytes::new());
        }
        let first_block = offset / BLOCK_BYTES;
        let blocks = stored.blocks(first_block, end.div_ceil(BLOCK_BYTES))?;
        let start = first_block * BLOCK_BYTES;
        Ok(Bytes::from(blocks).slice((offset - start) as usize..(end - start) as usize))
    }

    /// Reads all of a content and compares it with its name.
    pub fn verify(&self, content: ContentId) -> Result<u64, BlobError> {
        const BLOCKS_AT_ONCE: u64 = PART_BYTES as u64 / BLOCK_BYTES;
        let stored = Stored::open(self.path(content), content)?;
        let (mut hash, mut next) = (Sha256::new(), 0);
        let all = stored.bytes.div_ceil(BLOCK_BYTES);
        while next < all {
            let end = (next + BLOCKS_AT_ONCE).min(all);
            hash.update(stored.blocks(next, end)?);
            next = end;
        }
        let found = ContentId(hash.finalize().into());
        match found == content {
            true => Ok(stored.bytes),
            false => Err(stored.damaged(format!("its bytes have the hash {found}"))),
        }
    }

    /// Names in order, after one.
    pub fn list(&self, after: Option<ContentId>, limit: usize) -> Result<Vec<ContentId>, BlobError> {
        let after_folder = after.map_or([0, 0], |after| [after.0[0], after.0[1]]);
        let mut listed = Vec::new();
        for [first] in names_in::<1>(&self.root)?.range([after_folder[0]]..) {
            let outer = self.root.join(format!("{first:02x}"));
            for [second] in names_in::<1>(&outer)? {
                if listed.len() >= limit {
                    return Ok(listed);
                }
                if [*first, second] < after_folder {
                    continue;
                }
                let names = names_in::<32>(&outer.join(format!("{second:02x}")))?;
                let contents = names.into_iter().map(ContentId).filter(|&content| Some(content) > after);
                listed.extend(contents.take(limit - listed.len()));
            }
        }
        Ok(listed)
    }
}

/// Names of that many bytes in hexadecimal; others are none of ours.
fn names_in<const N: usize>(folder: &Path) -> Result<BTreeSet<[u8; N]>, BlobError> {
    let listing = because("listing", folder);
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(&listing)? {
        names.extend(entry.map_err(&listing)?.file_name().to_str().and_then(from_hex::<N>));
    }
    Ok(names)
}

/// One content, open for reading.
struct Stored {
    content: ContentId,
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Stored {
    fn open(path: PathBuf, content: ContentId) -> Result<Self, BlobError> {
        let opened = if_there(File::open(&path)).map_err(because("opening", &path))?;
        let file = opened.ok_or(BlobError::NotFound)?;
        let file_bytes = file.metadata().map_err(because("measuring", &path))?.len();
        let mut stored = Stored { content, path, file, bytes: 0 };
        let Some(tail_at) = file_bytes.checked_sub(TAIL_BYTES as u64) else {
            return Err(stored.damaged("it is too short".into()));
        };
        let mut found = [0; TAIL_BYTES];
        stored.read_exact_at(&mut found, tail_at)?;
        let bytes = u64::from_le_bytes(found[16..24].try_into().expect("eight bytes"));
        let sums = bytes.div_ceil(BLOCK_BYTES).saturating_mul(SUM_BYTES);
        if found != tail(bytes) || bytes.saturating_add(sums) != tail_at {
            return Err(stored.damaged("it does not end as it should".into()));
        }
        stored.bytes = bytes;
        Ok(stored)
    }

    fn damaged(&self, what: String) -> BlobError {
        BlobError::Damaged(format!("content {}: {what}", self.content))
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), BlobError> {
        self.file.read_exact_at(buffer, offset).map_err(because("reading", &self.path))
    }

    /// The bytes of the blocks from `first` until before `end`, compared with their checksums.
    fn blocks(&self, first: u64, end: u64) -> Result<Vec<u8>, BlobError> {
        let start = first * BLOCK_BYTES;
        let mut bytes = vec![0; ((end * BLOCK_BYTES).min(self.bytes) - start) as usize];
        self.read_exact_at(&mut bytes, start)?;
        let mut sums = vec![0; ((end - first) * SUM_BYTES) as usize];
        self.read_exact_at(&mut sums, self.bytes + first * SUM_BYTES)?;
        let (sums, _) = sums.as_chunks::<{ SUM_BYTES as usize }>();
        for (number, (block, sum)) in (first..).zip(bytes.chunks(BLOCK_BYTES as usize).zip(sums)) {
            if crc32c::crc32c(block) != u32::from_le_bytes(*sum) {
                return Err(self.damaged(format!("the block at byte {} is damaged", number * BLOCK_BYTES)));
            }
        }
        Ok(bytes)
    }
}
