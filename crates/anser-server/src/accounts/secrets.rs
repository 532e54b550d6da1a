//! The installation's secrets: made at the first start, kept in files that their owner alone may read.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anser_core::ports::random::Random;
use anser_model::SlotKey;

/// The folder of secrets in the data folder.
pub const SECRETS_FOLDER: &str = "secrets";
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const MODE_BITS: u32 = 0o7777;
const BEYOND_OWNER: u32 = 0o077;

const SIGNING_KEY: &str = "signing.key";
const SLOT_KEY: &str = "slot.key";
const REFRESH_KEY: &str = "refresh.key";

/// Every secret of an installation. Losing the slot key loses the way to every conversation: back the
/// folder up with the data.
pub struct Secrets {
    signing: [u8; 32],
    slot_key: SlotKey,
    refresh: [u8; 32],
}

impl Secrets {
    /// Reads the secrets below `data`, and makes those that are not there yet.
    pub fn open(data: &Path, random: &dyn Random) -> Result<Self, SecretsError> {
        let folder = data.join(SECRETS_FOLDER);
        match DirBuilder::new().mode(FOLDER_MODE).create(&folder) {
            Ok(()) => sync_folder(data)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(SecretsError::failed(&folder)(error)),
        }
        let metadata = std::fs::metadata(&folder).map_err(SecretsError::failed(&folder))?;
        require_private(&folder, metadata.mode(), FOLDER_MODE)?;
        Ok(Secrets {
            signing: read_or_make(&folder, SIGNING_KEY, random)?,
            slot_key: SlotKey::new(read_or_make(&folder, SLOT_KEY, random)?),
            refresh: read_or_make(&folder, REFRESH_KEY, random)?,
        })
    }

    /// Secrets from bytes, for tests and tools that have no folder.
    pub fn from_parts(signing: [u8; 32], slot_key: SlotKey, refresh: [u8; 32]) -> Self {
        Secrets { signing, slot_key, refresh }
    }

    /// The seed of the key that signs tokens.
    pub fn signing(&self) -> &[u8; 32] {
        &self.signing
    }

    /// What spreads conversations over slots and keys every short hash.
    pub fn slot_key(&self) -> SlotKey {
        self.slot_key
    }

    /// What refresh tokens are derived with.
    pub fn refresh(&self) -> &[u8; 32] {
        &self.refresh
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// Why an installation does not start with the secrets that it has.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Others could read it.
    #[error("{} has mode {found:04o}, others could read it: run chmod {wanted:o} on it", path.display())]
    TooOpen {
        /// Which file or folder.
        path: PathBuf,
        /// Its mode.
        found: u32,
        /// The mode that it must have.
        wanted: u32,
    },
    /// Cut short, or not a secret at all.
    #[error("{} has {found} bytes, a secret of its kind has {wanted}: restore it from a backup", path.display())]
    WrongLength {
        /// Which file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The length that it must have.
        wanted: u64,
    },
    /// Somebody could guess it.
    #[error("{} holds one byte over and over, as anybody could guess: restore it from a backup", path.display())]
    Weak {
        /// Which file.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error("{}: {error}", path.display())]
    Failed {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl SecretsError {
    fn failed(path: &Path) -> impl Fn(io::Error) -> SecretsError {
        let path = path.to_owned();
        move |error| SecretsError::Failed { path: path.clone(), error }
    }
}

fn require_private(path: &Path, mode: u32, wanted: u32) -> Result<(), SecretsError> {
    match mode & BEYOND_OWNER {
        0 => Ok(()),
        _ => Err(SecretsError::TooOpen { path: path.to_owned(), found: mode & MODE_BITS, wanted }),
    }
}

fn read_or_make<const BYTES: usize>(
    folder: &Path,
    name: &str,
    random: &dyn Random,
) -> Result<[u8; BYTES], SecretsError> {
    let path = folder.join(name);
    match File::open(&path) {
        Ok(file) => read(&path, file),
        Err(error) if error.kind() == ErrorKind::NotFound => make(folder, &path, random),
        Err(error) => Err(SecretsError::failed(&path)(error)),
    }
}

fn read<const BYTES: usize>(path: &Path, mut file: File) -> Result<[u8; BYTES], SecretsError> {
    let metadata = file.metadata().map_err(SecretsError::failed(path))?;
    require_private(path, metadata.mode(), FILE_MODE)?;
    if metadata.len() != BYTES as u64 {
        let (found, wanted) = (metadata.len(), BYTES as u64);
        return Err(SecretsError::WrongLength { path: path.to_owned(), found, wanted });
    }
    let mut secret = [0; BYTES];
    file.read_exact(&mut secret).map_err(SecretsError::failed(path))?;
    if secret.iter().all(|&byte| byte == secret[0]) {
        return Err(SecretsError::Weak { path: path.to_owned() });
    }
    Ok(secret)
}

/// Writes a new secret under another name first, so that a crash leaves it whole or not at all.
fn make<const BYTES: usize>(
    folder: &Path,
    path: &Path,
    random: &dyn Random,
) -> Result<[u8; BYTES], SecretsError> {
    let failed = SecretsError::failed(path);
    let mut secret = [0; BYTES];
    random.fill(&mut secret);
    let draft = path.with_extension("new");
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&draft).map_err(&failed)?;
    file.write_all(&secret).and_then(|()| file.sync_all()).map_err(&failed)?;
    std::fs::rename(&draft, path).map_err(&failed)?;
    sync_folder(folder)?;
    Ok(secret)
}

fn sync_folder(folder: &Path) -> Result<(), SecretsError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(SecretsError::failed(folder))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::accounts::testing::SeededRandom;

    fn open(data: &Path) -> Result<Secrets, SecretsError> {
        Secrets::open(data, &SeededRandom::new(1))
    }

    #[test]
    fn made_once_and_read_ever_after() {
        let data = tempfile::tempdir().unwrap();
        let first = open(data.path()).unwrap();
        let second = Secrets::open(data.path(), &SeededRandom::new(2)).unwrap();
        assert_eq!(first.signing(), second.signing());
        assert_eq!(first.slot_key(), second.slot_key());
        assert_eq!(first.refresh(), second.refresh());
        assert_ne!(first.signing(), first.refresh());
        let folder = data.path().join(SECRETS_FOLDER);
        assert_eq!(fs::metadata(&folder).unwrap().mode() & MODE_BITS, FOLDER_MODE);
        let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(files.len(), 3);
        assert!(files.iter().all(|file| file.metadata().unwrap().mode() & MODE_BITS == FILE_MODE));
        assert_eq!(format!("{first:?}"), "Secrets(..)");
    }

    #[test]
    fn what_others_could_read_is_refused() {
        let data = tempfile::tempdir().unwrap();
        open(data.path()).unwrap();
        let folder = data.path().join(SECRETS_FOLDER);
        for (path, wide, narrow) in
            [(folder.clone(), 0o750, FOLDER_MODE), (folder.join(SLOT_KEY), 0o604, FILE_MODE)]
        {
            fs::set_permissions(&path, Permissions::from_mode(wide)).unwrap();
            let error = open(data.path()).unwrap_err();
            assert!(matches!(&error, SecretsError::TooOpen { .. }), "{error}");
            assert!(error.to_string().contains(&format!("{wide:04o}")), "{error}");
            assert!(error.to_string().contains(&format!("chmod {narrow:o}")), "{error}");
            fs::set_permissions(&path, Permissions::from_mode(narrow)).unwrap();
        }
        assert!(open(data.path()).is_ok());
    }

    #[test]
    fn short_and_known_ones_are_refused() {
        let data = tempfile::tempdir().unwrap();
        open(data.path()).unwrap();
        let path = data.path().join(SECRETS_FOLDER).join(SIGNING_KEY);
        fs::write(&path, [1; 31]).unwrap();
        let error = open(data.path()).unwrap_err().to_string();
        assert!(error.contains("31 bytes") && error.contains("32"), "{error}");
        fs::write(&path, [0; 32]).unwrap();
        assert!(matches!(open(data.path()), Err(SecretsError::Weak { .. })));
    }

    #[test]
    fn a_crash_in_the_middle_is_made_good() {
        let data = tempfile::tempdir().unwrap();
        open(data.path()).unwrap();
        let folder = data.path().join(SECRETS_FOLDER);
        fs::remove_file(folder.join(REFRESH_KEY)).unwrap();
        fs::write(folder.join("refresh.new"), [1; 5]).unwrap();
        assert!(open(data.path()).is_ok());
        assert!(!folder.join("refresh.new").exists());
    }
}
