//! The [`Disk`] port on a real folder, held by one process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anser_core::ports::disk::{Disk, DiskFile};

/// The file whose lock says that the folder is in use. It stays when the process is gone; its lock does not.
pub const LOCK_FILE: &str = "LOCK";

/// What is written is for the server's account alone: it holds what people wrote to each other.
const FILE_MODE: u32 = 0o600;

/// A folder of this machine, locked against other processes for as long as the value lives.
#[derive(Debug)]
pub struct FolderDisk {
    path: PathBuf,
    folder: File,
    _lock: File,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process has it.
    #[error("{folder} is in use by another process: one server per data folder")]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// The system refused.
    #[error("the data folder {folder} cannot be opened: {source}")]
    Io {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FolderDisk {
    /// Takes the folder for this process, creating it if need be.
    ///
    /// # Errors
    /// [`FolderError::Locked`] where another process (or another value in this one) has it.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |source| FolderError::Io { folder: path.to_path_buf(), source };
        create_folder(path).map_err(failed)?;
        let folder = File::open(path).map_err(failed)?;
        let lock = options().create(true).truncate(false).open(path.join(LOCK_FILE)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(FolderDisk { path: path.to_path_buf(), folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(FolderError::Locked { folder: path.to_path_buf() }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(FILE_MODE);
    options
}

/// Creates the folder so that it is still there after a power cut.
fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_folder(parent)?;
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

impl Disk for FolderDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                // A name that is not text is none of ours.
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(FolderFile(options().open(self.path.join(name))?)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(FolderFile(options().create_new(true).open(self.path.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.folder.sync_all()
    }
}

struct FolderFile(File);

impl DiskFile for FolderFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match self.0.read_at(&mut buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(bytes) => read += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    #[cfg(target_os = "linux")]
    fn allocate(&self, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(&self.0, FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            // The file system cannot promise room; the caller's writing will find out.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.0.set_len(len.max(self.len()?)),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len.max(self.len()?))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// A disk on which every sync takes longer: for tests of what a slow medium does to those above it.
pub struct SlowDisk<D> {
    disk: D,
    sync_delay: Duration,
}

impl<D: Disk> SlowDisk<D> {
    /// The same disk, with syncs that take so much longer.
    pub fn new(disk: D, sync_delay: Duration) -> Self {
        SlowDisk { disk, sync_delay }
    }

    fn slowed(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(SlowFile { file, sync_delay: self.sync_delay })
    }
}

impl<D: Disk> Disk for SlowDisk<D> {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(name).map(|file| self.slowed(file))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create(name).map(|file| self.slowed(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_folder(&self) -> io::Result<()> {
        std::thread::sleep(self.sync_delay);
        self.disk.sync_folder()
    }
}

struct SlowFile {
    file: Box<dyn DiskFile>,
    sync_delay: Duration,
}

impl DiskFile for SlowFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(offset, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        std::thread::sleep(self.sync_delay);
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_process_at_a_time() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("deep/data");
        let disk = FolderDisk::open(&path).expect("the first opens it");
        let refused = FolderDisk::open(&path).expect_err("the second does not");
        assert!(matches!(&refused, FolderError::Locked { folder } if *folder == path), "{refused}");
        assert!(refused.to_string().contains("deep/data is in use"), "{refused}");
        drop(disk);
        FolderDisk::open(&path).expect("free again");
    }

    #[test]
    fn files_do_what_the_port_says() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let disk = FolderDisk::open(folder.path()).expect("opens");
        let kind = |result: io::Result<Box<dyn DiskFile>>| result.map(|_| ()).map_err(|error| error.kind());
        assert_eq!(kind(disk.open("a")), Err(io::ErrorKind::NotFound));
        let file = disk.create("a").expect("created");
        assert_eq!(kind(disk.create("a")), Err(io::ErrorKind::AlreadyExists));

        file.allocate(10_000).expect("room");
        assert_eq!(file.len().expect("length"), 10_000);
        file.write_all_at(9_998, b"abcd").expect("grows");
        let mut buffer = [7; 8];
        assert_eq!(file.read_at(9_996, &mut buffer).expect("reads"), 6);
        assert_eq!(&buffer[..6], b"\0\0abcd");
        file.set_len(9_999).expect("cuts");
        assert_eq!(file.read_at(9_998, &mut buffer).expect("reads"), 1);
        file.sync_data().expect("syncs");

        disk.rename("a", "b").expect("renames");
        disk.sync_folder().expect("syncs the folder");
        let mut names = disk.list().expect("lists");
        names.sort();
        assert_eq!(names, ["LOCK", "b"]);
        disk.remove("b").expect("removes");
        assert_eq!(disk.list().expect("lists"), ["LOCK"]);
    }
}
