//! What the system's errors mean for stored files, and the end of all writing once the medium failed.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::OnceLock;

use anser_core::ports::blob::BlobError;

/// Files are for the server's account alone: they hold what people sent to each other.
const FILE_MODE: u32 = 0o600;
/// And so are folders.
const FOLDER_MODE: u32 = 0o700;

/// Remembers that the medium failed: after that nothing is acknowledged until the store is opened
/// again, because a second fsync proves nothing about what the first one lost.
#[derive(Default)]
pub(super) struct Medium {
    failed: OnceLock<String>,
}

impl Medium {
    /// An error once the medium has failed.
    pub fn check(&self) -> Result<(), BlobError> {
        match self.failed.get() {
            None => Ok(()),
            Some(failed) => Err(BlobError::Damaged(format!("an earlier write failed: {failed}"))),
        }
    }

    /// Makes a file, or the names in a folder, durable. What was not is lost: it must not be tried again.
    pub fn sync(&self, file: &File, path: &Path) -> Result<(), BlobError> {
        file.sync_all().map_err(|source| {
            let error = because("syncing", path)(source);
            if matches!(error, BlobError::NoSpace(_)) { error } else { self.fail(&error) }
        })
    }

    fn fail(&self, error: &BlobError) -> BlobError {
        BlobError::Damaged(self.failed.get_or_init(|| error.to_string()).clone())
    }

    /// Changes names in a folder, durably. Where the change is seen and cannot be made durable, whatever
    /// the reason, nobody may build upon it.
    pub fn change_names(
        &self,
        folder: &Path,
        change: impl FnOnce() -> Result<(), BlobError>,
    ) -> Result<(), BlobError> {
        // Opened first, so that nothing but the sync itself can fail once the change is seen.
        let names = File::open(folder).map_err(because("opening", folder))?;
        change()?;
        self.sync(&names, folder).map_err(|error| self.fail(&error))
    }

    /// Makes the names in a folder durable.
    pub fn sync_folder(&self, path: &Path) -> Result<(), BlobError> {
        let folder = File::open(path).map_err(because("opening", path))?;
        self.sync(&folder, path)
    }

    /// Creates a folder in one that is there, durably; it may be there already.
    pub fn create_folder(&self, path: &Path) -> Result<(), BlobError> {
        match DirBuilder::new().mode(FOLDER_MODE).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(because("creating", path)(error));
            }
            _ => {}
        }
        path.parent().map_or(Ok(()), |parent| self.sync_folder(parent))
    }
}

/// How a file is opened that is written: created where it is not there, for its owner alone.
pub(super) fn writing() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    options
}

/// For `map_err`: says what was being tried.
pub(super) fn because<'a>(trying: &'a str, path: &'a Path) -> impl Fn(io::Error) -> BlobError + use<'a> {
    move |source| {
        let message = format!("{trying} {}: {source}", path.display());
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => BlobError::NoSpace(message),
            ErrorKind::UnexpectedEof => BlobError::Damaged(message),
            _ if source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                BlobError::Damaged(message)
            }
            _ => BlobError::Unavailable(message),
        }
    }
}

/// Something where it is there, nothing where it is not.
pub(super) fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a file, if it is there.
pub(super) fn remove_file(path: &Path) -> Result<(), BlobError> {
    if_there(std::fs::remove_file(path)).map(drop).map_err(because("removing", path))
}

/// The bytes that a name of hexadecimal digits, in small letters, stands for.
pub(super) fn from_hex<const N: usize>(name: &str) -> Option<[u8; N]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = name.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_sync_ends_all_writing() {
        let medium = Medium::default();
        assert_eq!(medium.check(), Ok(()));
        // A pipe cannot be synced, which is as good as a medium that fails.
        let (_reader, writer) = std::io::pipe().unwrap();
        let pipe = File::from(std::os::fd::OwnedFd::from(writer));
        let error = medium.sync(&pipe, Path::new("pipe")).unwrap_err();
        assert!(matches!(&error, BlobError::Damaged(why) if why.contains("syncing pipe")), "{error}");
        assert!(!error.retry_helps());
        assert!(matches!(medium.check(), Err(BlobError::Damaged(why)) if why.contains("an earlier write")));
    }

    #[test]
    fn names_are_read_back() {
        assert_eq!(from_hex("00ff1a"), Some([0, 255, 26]));
        for wrong in ["", "0", "00ff1", "00ff1a0", "00ff1a00", "00FF1A", "00ff1g"] {
            assert_eq!(from_hex::<3>(wrong), None, "{wrong}");
        }
    }
}
