//! A folder of flat files on a disk that may lie until it is told to sync. Blocking: adapters that
//! use it own their threads. The simulator's disk drops, tears and reorders what was not synced.

use std::io;

/// One folder.
pub trait Disk: Send + Sync {
    /// Names of the files in the folder, in no particular order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file for reading and writing. `NotFound` where there is none.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Creates an empty file. `AlreadyExists` where there is one. The name itself is durable only
    /// after [`Disk::sync_folder`].
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Renames a file, replacing the target. Durable only after [`Disk::sync_folder`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Durable only after [`Disk::sync_folder`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals durable.
    fn sync_folder(&self) -> io::Result<()>;
}

/// One open file. Offsets and lengths in bytes.
#[expect(clippy::len_without_is_empty, reason = "a file is no collection")]
pub trait DiskFile: Send + Sync {
    /// How long the file is now.
    fn len(&self) -> io::Result<u64>;

    /// Reads up to `buffer.len()` bytes at `offset`; fewer only at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`, growing the file if need be.
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts or grows the file.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Reserves room for the file's first `len` bytes and makes it at least that long, so that writing there
    /// finds space. `StorageFull` or `QuotaExceeded` where there is none; whoever needs the promise
    /// on every file system also writes those bytes.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Makes the file's data durable (fdatasync). After a failure nothing is known about what was
    /// written since the last success, and trying again proves nothing.
    fn sync_data(&self) -> io::Result<()>;
}
